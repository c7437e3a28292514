from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drsn_edge.cli.output import say
from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks import Guarded
from drsn_edge.support.notice import Notice, about, as_line


def test_a_text_is_a_warning_and_a_notice_is_a_note() -> None:
    assert as_line("a disk is full") == "Warning: a disk is full"
    assert as_line(OutputError("a disk is full")) == "Warning: a disk is full"
    assert as_line(Notice("it is confirmed")) == "Note: it is confirmed"


def test_the_machines_name_makes_no_warning_of_a_note() -> None:
    assert as_line(about("pump 3", Notice("it is confirmed"))) == "Note: pump 3: it is confirmed"
    assert as_line(about("pump 3", "a disk is full")) == "Warning: pump 3: a disk is full"


def test_the_monitor_prints_good_news_as_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    say(Notice("pump 1.1.0 has worked for 300 s and is confirmed."))
    assert capsys.readouterr().err.startswith("Note: pump 1.1.0")


def test_an_output_that_works_again_is_good_news() -> None:
    told: list[str] = []
    sink = _Failing()
    guarded = Guarded("lines", sink, told.append)
    guarded.take(object())  # type: ignore[arg-type]
    sink.broken = False
    for _ in range(100):
        guarded.take(object())  # type: ignore[arg-type]
    assert as_line(told[0]).startswith("Warning: ")
    assert all(as_line(text).startswith("Note: ") for text in told[1:])


class _Failing:
    broken = True

    def take(self, result: Any) -> None:
        if self.broken:
            raise OutputError("no space")

    def close(self) -> None: ...


def test_no_good_news_is_told_as_a_warning() -> None:
    """Whoever tells that something is well again, active, confirmed or reloaded says so as a note."""
    good = (" is confirmed.", " was reloaded.", "reachable again", "can be written again", "the sensor says", "active{")
    for file in Path(__file__).parents[2].joinpath("drsn_edge").rglob("*.py"):
        for line in file.read_text().splitlines():
            if any(word in line for word in good) and ("_tell(" in line or "_announce(" in line):
                assert "Notice(" in line, f"{file}: {line}"


def test_nothing_that_a_terminal_obeys_is_printed() -> None:
    assert as_line("fan\x1b]0;own\x07\u202e\udcff\nWarning: b") == r"Warning: fan\x1b]0;own\x07\u202e\udcff\nWarning: b"
