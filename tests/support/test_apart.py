"""A question to a fresh process: its answer, or in words how the process ended."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.support.apart import (
    ApartError,
    KilledApartError,
    RefusedApartError,
    TimeoutApartError,
    answer_apart,
    ask_apart,
)

Ask = Callable[..., Any]
ANSWERING = "import sys\nfrom drsn_edge.support.apart import answer_apart\n"


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return what runs a program of these lines as the one that is asked."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])

    def ask_program(lines: str, *arguments: str, timeout_s: float = 60.0, **how: Any) -> Any:
        (tmp_path / "planted_program.py").write_text(ANSWERING + lines)
        return ask_apart("planted_program", *arguments, timeout_s=timeout_s, **how)

    return ask_program


def test_arguments_and_bytes_go_in_and_values_come_out(ask: Ask) -> None:
    lines = "answer_apart(lambda: [sys.argv[1], list(sys.stdin.buffer.read())], ())"
    assert ask(lines, "a b", data=b"\0\xff") == ["a b", [0, 255]]
    assert ask("answer_apart(lambda: None, ())") is None


@pytest.mark.parametrize(
    ("lines", "kind", "says"),
    [
        ("answer_apart(lambda: {}['x'], (KeyError,))", RefusedApartError, "^'x'$"),
        ("answer_apart(lambda: int('x'), (KeyError,))", ApartError, "ended with exit code 1: ValueError: invalid"),
        ("import os\nos.abort()", KilledApartError, r"ended with signal 6 \(SIGABRT\): without a word"),
        ("print('no JSON')", ApartError, "ended with exit code 0: without a word"),
        ("print('[1]')", ApartError, "ended with exit code 0: without a word"),
    ],
)
def test_how_a_process_without_an_answer_ended_is_named(
    ask: Ask, lines: str, kind: type[ApartError], says: str
) -> None:
    with pytest.raises(kind, match=says):
        ask(lines)


def test_a_crash_after_the_answer_counts_where_it_is_asked_for(ask: Ask) -> None:
    lines = "import os\nanswer_apart(lambda: 5, ())\nsys.stdout.flush()\nos.abort()"
    assert ask(lines) == 5
    with pytest.raises(KilledApartError, match="SIGABRT"):
        ask(lines, to_its_end=True)


def test_a_process_that_never_returns_is_ended(ask: Ask) -> None:
    with pytest.raises(TimeoutApartError, match=r"longer than 0\.5 s"):
        ask("import time\ntime.sleep(600)", timeout_s=0.5)


def test_an_error_without_a_message_is_refused_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    def run_out() -> None:
        raise MemoryError

    answer_apart(run_out, (MemoryError,))
    assert capsys.readouterr().out == '{"refused": "MemoryError"}\n'
