"""A question to a fresh process: its answer, or in words how the process ended."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.support.apart import (
    NO_MESSAGE,
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
    ("lines", "kind", "exit_code", "last_words"),
    [
        ("answer_apart(lambda: int('x'), (KeyError,))", ApartError, 1, "ValueError: invalid"),
        ("import os\nos.abort()", KilledApartError, -6, NO_MESSAGE),
        ("print('no JSON')", ApartError, 0, NO_MESSAGE),
        ("print('[1]')", ApartError, 0, NO_MESSAGE),
    ],
)
def test_how_a_process_without_an_answer_ended_is_named(
    ask: Ask, lines: str, kind: type[ApartError], exit_code: int, last_words: str
) -> None:
    with pytest.raises(ApartError) as raised:
        ask(lines)
    assert type(raised.value) is kind and raised.value.exit_code == exit_code
    assert raised.value.last_words.startswith(last_words) and last_words in str(raised.value)


def test_a_refusal_is_the_message_of_the_module_that_was_asked(ask: Ask) -> None:
    with pytest.raises(RefusedApartError) as raised:
        ask("answer_apart(lambda: {}['x'], (KeyError,))")
    assert str(raised.value) == "'x'" and raised.value.problem == ""


def test_a_refusal_keeps_problem_and_facts(ask: Ask) -> None:
    lines = (
        "from drsn_edge.errors import BundleError\n"
        "def work(): raise BundleError('two words', 'no_golden_vectors', path=1)\n"
        "answer_apart(work, (BundleError,))"
    )
    with pytest.raises(RefusedApartError) as raised:
        ask(lines)
    assert (raised.value.problem, raised.value.facts) == ("no_golden_vectors", {"path": "1"})


def test_a_crash_after_the_answer_counts_where_it_is_asked_for(ask: Ask) -> None:
    lines = "import os\nanswer_apart(lambda: 5, ())\nsys.stdout.flush()\nos.abort()"
    assert ask(lines) == 5
    with pytest.raises(KilledApartError) as raised:
        ask(lines, to_its_end=True)
    assert raised.value.signal == signal.SIGABRT and "SIGABRT" in str(raised.value)


def test_a_process_that_never_returns_is_ended(ask: Ask) -> None:
    with pytest.raises(TimeoutApartError) as raised:
        ask("import time\ntime.sleep(600)", timeout_s=0.5)
    assert "0.5 s" in str(raised.value)


def test_an_error_without_a_message_is_refused_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    def run_out() -> None:
        raise MemoryError

    answer_apart(run_out, (MemoryError,))
    assert json.loads(capsys.readouterr().out) == {"refused": "MemoryError", "problem": "", "facts": {}}
