"""The one reader of TOML: an error names the file and the line, whatever the file is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.errors import SettingsError
from drsn_edge.support.toml_file import line_of, parse_document, parse_toml, quoted, read_document


@dataclass(frozen=True)
class Pump:
    name: str = ""
    rpm: float = 0.0


def test_the_line_of_a_key() -> None:
    text = 'a = 1\n[b]\nc = 2  # [x]\n"d e" = [\n  "c = 3",\n]\n[[f]]\ng.h = 1\n'
    assert line_of(text, ["a"]) == 1
    assert line_of(text, ["b"]) == 2
    assert line_of(text, ["b", "c"]) == 3
    assert line_of(text, ["b", "d e"]) == 4
    assert line_of(text, ["b", "nowhere"]) == 2
    assert line_of(text, ["f", 0, "g", "h"]) == 8
    assert line_of(text, ["z"]) is None


def test_the_line_of_a_key_in_the_second_of_several_tables() -> None:
    text = "[[pump]]\nrpm = 1\n[[pump]]\nname = 'a'\nrpm = 2\n[pump.bearing]\nballs = 9\n[[pump.foot]]\nx = 1\n"
    assert line_of(text, ["pump", 0, "rpm"]) == 2
    assert line_of(text, ["pump", 1]) == 3
    assert line_of(text, ["pump", 1, "rpm"]) == 5
    assert line_of(text, ["pump", 0, "name"]) == 1
    assert line_of(text, ["pump", 1, "bearing", "balls"]) == 7
    assert line_of(text, ["pump", 1, "foot", 0, "x"]) == 9


def test_a_value_of_the_wrong_type_is_named_with_its_line() -> None:
    document = parse_document("[[pump]]\nrpm = 1\n[[pump]]\nrpm = 'fast'\n", "pumps.toml", SettingsError)
    first, second = document.values["pump"]
    assert document.typed(Pump, first, "pump", 0) == {"rpm": 1.0}
    with refused(SettingsError, "wrong_type", place="pumps.toml, line 4", key="rpm", expected="a number", got="'fast'"):
        document.typed(Pump, second, "pump", 1)


@pytest.mark.parametrize(
    ("data", "problem", "facts"),
    [
        (None, "missing", {"what": "pumps", "reason": "No such file or directory"}),
        (b"name = '\xff'", "not_utf8", {"what": "pumps"}),
        (b"a = 1\nb = \n", "not_toml", {"line": 2}),
        (b"a = " + b"[" * 5000, "not_toml", {"line": None}),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, data: bytes | None, problem: str, facts: dict[str, Any]
) -> None:
    path = tmp_path / "pumps.toml"
    if data is not None:
        path.write_bytes(data)
    with refused(SettingsError, problem, path=path, **facts) as caught:
        read_document(path, "pumps", SettingsError)
    assert str(path) in str(caught.value)


def test_an_unknown_key_is_named_with_its_line_and_the_keys_there_are() -> None:
    document = parse_document("name = 'a'\nspeed = 3\n", "pump.toml", SettingsError)
    with refused(SettingsError, "unknown_key", place="pump.toml, line 2", key="speed") as caught:
        document.typed(Pump, document.values)
    assert "name, rpm" in str(caught.value)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_quoted_text_is_read_back(text: str) -> None:
    assert parse_toml(f"a = {quoted(text)}") == {"a": text}


def test_a_name_beyond_the_basic_plane_is_no_surrogates() -> None:
    assert parse_toml(f"file = {quoted('pump 🔧.csv')}")["file"] == "pump 🔧.csv"
