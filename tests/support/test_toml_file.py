"""The one reader of TOML: an error names the file and the line, whatever the file is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    with pytest.raises(SettingsError, match=r"pumps\.toml, line 4: Expected rpm to be a number, got 'fast'"):
        document.typed(Pump, second, "pump", 1)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, r"Expected pumps in .*pumps\.toml, could not read it: No such file or directory\. Check the path\."),
        (b"name = '\xff'", r"Expected pumps in .*pumps\.toml, could not read it: .*Save it as UTF-8\."),
        (b"a = 1\nb = \n", r"pumps\.toml: Expected TOML, got: .*line 2.*Correct that line\."),
        (b"a = " + b"[" * 5000, r"pumps\.toml: Expected TOML, got: too many nested brackets"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, data: bytes | None, says: str) -> None:
    if data is not None:
        (tmp_path / "pumps.toml").write_bytes(data)
    with pytest.raises(SettingsError, match=says):
        read_document(tmp_path / "pumps.toml", "pumps", SettingsError)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_quoted_text_is_read_back(text: str) -> None:
    assert parse_toml(f"a = {quoted(text)}") == {"a": text}


def test_a_name_beyond_the_basic_plane_is_no_surrogates() -> None:
    assert parse_toml(f"file = {quoted('pump 🔧.csv')}")["file"] == "pump 🔧.csv"
