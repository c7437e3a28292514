"""One place writes what commands print, and what it writes is JSON."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import drsn_edge.cli
from drsn_edge.cli.output import note, print_json, print_text, print_values

FILES = sorted(Path(drsn_edge.cli.__file__).parent.glob("*.py"))


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


def _writes(text: str) -> list[str]:
    """Return the calls in a module that write on stdout or stderr, or make JSON of their own."""
    names = {"click.echo", "click.secho", "json.dumps", "json.dump", "sys.stdout.write", "print"}
    calls = (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return [name for name in map(ast.unparse, calls) if name in names]


def test_own_writes_are_found() -> None:
    assert _writes("import click, json\nclick.echo(json.dumps({}))") == ["click.echo", "json.dumps"]


@pytest.mark.parametrize("file", [file for file in FILES if file.name != "output.py"], ids=lambda file: str(file.name))
def test_commands_write_nowhere_else(file: Path) -> None:
    assert _writes(file.read_text(encoding="utf-8")) == []
