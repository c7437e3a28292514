from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks import Guarded
from drsn_edge.monitor.sinks.history import HistorySink
from drsn_edge.monitor.sinks.history_reader import read_history
from drsn_edge.monitor.stages.results import Coverage, Decision, Summary, WindowResult
from drsn_edge.verdicts import Verdict

NOON = 1_800_000_000.0 // 86_400 * 86_400 + 43_200
FOREVER = (0.0, 1e12)


class Clock:
    def __init__(self) -> None:
        self.now_s = NOON

    def __call__(self) -> float:
        return self.now_s


def window(label: str | None = "calm", reason: str | None = None, lost: int = 0) -> WindowResult:
    verdict = Verdict.NO_VERDICT if reason else Verdict.CLASS if label else Verdict.UNKNOWN
    scores = None if reason else {"calm": 0.75, "worn": 0.25}
    novelty = None if reason else 0.5 if label else 2.0
    return WindowResult(0, 0.0, verdict, label, scores, reason, lost, novelty)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_minutes_and_decisions_are_read_back(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "history"
    sink = HistorySink(path, "pump 3", now_s=clock)
    sink.take(Decision(window(), 0.0))
    for number in range(180):
        sink.take(window("worn" if number >= 120 else "calm"))
        clock.now_s += 1
    sink.take(window(reason="lost samples", lost=7))
    sink.take(Decision(window(None), 0.0))
    sink.take(window(None))
    sink.take(Summary(9, 7, 182, {}, {}, None))
    sink.close()
    sink.close()
    (found,) = read_history(path, *FOREVER)
    assert found.machine == "pump 3" and found.span_s == 60
    assert [dict(span.states) for span in found.spans] == [
        {"calm": 60}, {"calm": 60}, {"worn": 60}, {"NO_VERDICT": 1, "UNKNOWN": 1},
    ]  # fmt: skip
    assert [(span.start_s, span.windows, span.lost_samples) for span in found.spans] == [
        (NOON, 60, 0), (NOON + 60, 60, 0), (NOON + 120, 60, 0), (NOON + 180, 2, 7),
    ]  # fmt: skip
    assert found.spans[0].novelty == 0.5 and found.spans[3].novelty == 2.0
    assert [(each.time_s, each.verdict, each.label, each.novelty) for each in found.decisions] == [
        (NOON, "CLASS", "calm", 0.5),
        (NOON + 180, "UNKNOWN", None, 2.0),
    ]
    (run,) = sqlite3.connect(path).execute("SELECT summary FROM runs").fetchall()
    assert json.loads(run[0])["samples_lost"] == 7
    hours = read_history(path, NOON, NOON + 100, 3600.0)[0]
    assert [span.windows for span in hours.spans] == [120] and len(hours.decisions) == 1


def test_a_decision_that_is_unsure_is_read_back_with_its_two_classes(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "history"
    sink = HistorySink(path, "pump 3", now_s=clock)
    unsure = WindowResult.unsure(0, 0.0, {"calm": 0.3, "worn": 0.6, "loud": 0.1}, 0.5)
    for result in (unsure, Decision(unsure, 0.0), Coverage(0, 0.0, True, 0.5, 0.8, 0.9, 500), Decision(window(), 0.0)):
        sink.take(result)
    sink.close()
    (found,) = read_history(path, *FOREVER)
    assert [dict(span.states) for span in found.spans] == [{"UNSURE": 1}]
    assert [each.said.words for each in found.decisions] == ["UNSURE (worn 60%, or calm)", "calm (75%)"]
    assert [(each.nearest, each.second) for each in found.decisions] == [("worn", "calm"), ("calm", None)]
    assert found.measured_s is not None


def test_a_reader_sees_what_is_a_second_old_and_decisions_at_once(tmp_path: Path, clock: Clock) -> None:
    sink = HistorySink(tmp_path / "history", "pump", now_s=clock)
    for _ in range(11):
        sink.take(window())
        sink.flush()
        clock.now_s += 0.1
    assert read_history(tmp_path / "history", *FOREVER)[0].spans[0].windows >= 1
    clock.now_s += 0.01
    sink.take(Decision(window("worn"), 0.0))
    (found,) = read_history(tmp_path / "history", *FOREVER)
    assert (found.spans[0].windows, [each.label for each in found.decisions]) == (11, ["worn"])


def test_a_second_run_goes_on_in_the_same_minute(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "history"
    for _ in range(2):
        sink = HistorySink(path, "pump", now_s=clock)
        sink.take(window())
        sink.take(window())
        sink.close()
        clock.now_s += 5
    assert read_history(path, *FOREVER)[0].spans[0].windows == 4


@given(
    steps=st.lists(st.tuples(st.floats(-200, 200), st.sampled_from(["calm", "worn", None])), min_size=1, max_size=40)
)
def test_whatever_the_clock_does_every_window_is_counted_once(steps: list[Any], tmp_path_factory: Any) -> None:
    clock, path = Clock(), tmp_path_factory.mktemp("clock") / "history"
    sink = HistorySink(path, "pump", now_s=clock)
    for step_s, label in steps:
        clock.now_s += step_s
        sink.take(window(label))
        sink.flush()
    sink.close()
    spans = [span for found in read_history(path, *FOREVER) for span in found.spans]
    assert sum(span.windows for span in spans) == len(steps)


def test_what_is_too_old_is_removed(tmp_path: Path, clock: Clock) -> None:
    sink = HistorySink(tmp_path / "history", "pump", keep_days=2.0, now_s=clock)
    for _ in range(5):
        sink.take(window())
        sink.take(Decision(window(), 0.0))
        clock.now_s += 86_400
    (found,) = read_history(tmp_path / "history", *FOREVER)
    assert len(found.decisions) == 3 and len(found.spans) == 3


def test_machines_share_a_file(tmp_path: Path, clock: Clock) -> None:
    first, second = (HistorySink(tmp_path / "history", name, now_s=clock) for name in ("fan", "pump"))
    for _ in range(30):
        first.take(window("calm"))
        second.take(window("worn"))
        clock.now_s += 1
    first.close()
    second.close()
    assert [(each.machine, each.spans[0].states) for each in read_history(tmp_path / "history", *FOREVER)] == [
        ("fan", {"calm": 30}), ("pump", {"worn": 30}),
    ]  # fmt: skip


def test_a_full_disk_loses_no_decision_and_is_said_once(tmp_path: Path, clock: Clock) -> None:
    told: list[Any] = []
    path = tmp_path / "history"
    sink = HistorySink(path, "pump", now_s=clock)
    guarded = Guarded("history", sink, told.append, now_s=clock)
    guarded.take(Decision(window(), 0.0))
    assert sink._file._connection is not None
    whole = sink._file._connection.execute("PRAGMA page_count").fetchone()[0]
    sink._file._connection.execute(f"PRAGMA max_page_count = {whole}")  # SQLite then says what it says of a full disk
    for number in range(400):
        guarded.take(Decision(window("worn"), 0.0))
        guarded.take(window(f"label {number}"))
        guarded.flush()
        clock.now_s += 1
    assert len(told) == 1 and "full" in told[0] and guarded.failing
    sink._file._connection.execute("PRAGMA max_page_count = 1000000")
    for _ in range(70):
        guarded.take(Decision(window("calm"), 0.0))
        guarded.flush()
        clock.now_s += 1
    guarded.close()
    assert told[1:] == ['The output "history" can be written again.']
    (found,) = read_history(path, *FOREVER, 86_400.0)
    assert len(found.decisions) == 471 and sum(span.windows for span in found.spans) == 400


@pytest.mark.parametrize(
    ("make", "when_read", "when_written"),
    [
        ("nothing", "missing", ""),
        ("rubbish", "not_a_history", "cannot_open"),
        ("folder", "missing", "is_folder"),
        ("newer", "other_version", "other_version"),
    ],
)
def test_what_is_no_history(tmp_path: Path, make: str, when_read: str, when_written: str) -> None:
    path = tmp_path / "history"
    if make == "rubbish":
        path.write_bytes(b"rubbish " * 1000)
    elif make == "folder":
        path.mkdir()
    elif make == "newer":
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 99")
    with refused(OutputError, when_read, path=path):
        read_history(path, *FOREVER)
    if make != "nothing":
        with refused(OutputError, when_written, path=path):
            HistorySink(path, "pump")
