"""One place writes what commands print, and what it writes is JSON."""

from __future__ import annotations

import json

import pytest

from drsn_edge.cli.output import note, print_json, print_text, print_values


def test_object_has_schema_and_type_first(capsys: pytest.CaptureFixture[str]) -> None:
    print_json("slots", {"trial": None})
    assert capsys.readouterr().out == '{"schema": 1, "type": "slots", "trial": null}\n'


def test_numbers_that_json_has_not_become_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_values({"a": float("nan"), "b": [1.5, float("-inf")], "c": (float("inf"), "NaN")})
    out = capsys.readouterr().out
    assert json.loads(out, parse_constant=pytest.fail) == {"a": None, "b": [1.5, None], "c": [None, "NaN"]}


def test_text_goes_to_stdout_and_notes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_text("a result")
    print_text("as it is", end="")
    note("a step")
    assert capsys.readouterr() == ("a result\nas it is", "a step\n")
