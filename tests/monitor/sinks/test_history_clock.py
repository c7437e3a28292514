"""A clock that is set while the monitor runs, or between two runs: nothing is lost, filed wrongly, or left unsaid."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.monitor import result_clock
from drsn_edge.monitor.result_clock import ResultClock
from drsn_edge.monitor.sinks import clock_watch
from drsn_edge.monitor.sinks.clock_watch import ClockWatch, Once, believed_offset_s
from drsn_edge.monitor.sinks.history import HistorySink
from drsn_edge.monitor.sinks.history_reader import read_history
from drsn_edge.monitor.stages.results import Decision, WindowResult
from drsn_edge.verdicts import Verdict
from firmware_bridge.sources.arrivals import Arrival
from firmware_bridge.wire.events import Idle

DAY_S = 86_400.0
NOON = 1_800_000_000.0 // DAY_S * DAY_S + DAY_S / 2
FOREVER = (-1e12, 1e12)


class Clocks:
    """The system's clock, which is set now and then, and one that only goes on."""

    def __init__(self, wall_s: float = NOON, steady_s: float = 50.0) -> None:
        self.wall_s, self.steady_s = wall_s, steady_s

    def pass_by(self, seconds: float) -> None:
        self.wall_s += seconds
        self.steady_s += seconds

    def sink(self, path: Path, machine: str = "pump", boot: str = "first", **more: Any) -> HistorySink:
        return HistorySink(path, machine, now_s=lambda: self.wall_s, steady_s=lambda: self.steady_s, boot=boot, **more)


def window(label: str = "calm") -> WindowResult:
    return WindowResult(0, 0.0, Verdict.CLASS, label, {label: 1.0}, None, 0)


def jumps_in(path: Path) -> list[tuple[float, float]]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT from_s, to_s FROM clock_jumps ORDER BY rowid").fetchall()
    connection.close()
    return found


def test_a_leap_of_the_systems_clock_removes_nothing_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    ahead_s, true_time = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + ahead_s[0])
    path, began_s = tmp_path / "history", true_time()
    sink = HistorySink(path, "pump", keep_days=2.0, tell=told.append)
    for leap_s in (0.0, 500 * DAY_S, 500 * DAY_S, 0.0, -500 * DAY_S, 0.0):
        ahead_s[0] = leap_s
        sink.take(window())
        sink.take(Decision(window(), 0.0))
    sink.close()
    (found,) = read_history(path, *FOREVER, DAY_S)
    assert len(found.decisions) == 6 and sum(span.windows for span in found.spans) == 6
    assert all(abs(each.time_s - began_s) < 60 for each in found.decisions)
    assert all(abs(span.start_s - began_s) < 2 * DAY_S for span in found.spans)
    forward = [to_s > from_s for from_s, to_s in jumps_in(path)]
    assert forward == [True, False, False, True] == ["forward" in text for text in told]


def test_a_board_without_a_clock_gets_the_time_while_it_runs(tmp_path: Path) -> None:
    told: list[Any] = []
    clocks, path = Clocks(wall_s=1000.0), tmp_path / "history"
    for label, seconds in (("first", 5), ("second", 60)):  # a run that fails soon, and the next of the same start
        sink = clocks.sink(path, tell=told.append)
        sink.take(Decision(window(label), 0.0))
        for _ in range(seconds):
            sink.take(window(label))
            sink.flush()
            clocks.pass_by(1)
        if label == "first":
            sink.close()
    assert [each.time_s for each in read_history(path, *FOREVER)[0].decisions] == [1000.0, 1005.0]
    clocks.wall_s = NOON
    for _ in range(700):
        sink.take(window("second"))
        sink.flush()
        clocks.pass_by(1)
    sink.close()
    (found,) = read_history(path, *FOREVER)
    assert [each.time_s for each in found.decisions] == [NOON - 65, NOON - 60]
    assert found.spans[0].start_s == NOON - 120 and found.spans[-1].start_s == NOON + 660
    assert sum(span.windows for span in found.spans) == 765
    assert [dict(span.states) for span in read_history(path, NOON - DAY_S, NOON - 61)[0].spans] == [
        {"first": 5, "second": 15}
    ]
    (jump,) = found.jumps
    assert jump.time_s == NOON and jump.shifted_s == NOON - 1065 and "forward" in jump.words and len(told) == 1


def test_a_clock_that_is_set_back_for_good_ends_no_run_before_it_began(tmp_path: Path) -> None:
    clocks, path = Clocks(), tmp_path / "history"
    sink = clocks.sink(path)
    for number in range(300):
        if number == 100:
            clocks.wall_s -= 3 * DAY_S
        sink.take(Decision(window(str(number)), 0.0))
        sink.take(window())
        clocks.pass_by(1)
    sink.close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM runs WHERE ended_s < began_s").fetchone() == (0,)
    connection.close()
    (found,) = read_history(path, *FOREVER)
    assert [each.label for each in found.decisions] == [str(number) for number in range(300)]
    times = [each.time_s for each in found.decisions]
    assert times == sorted(times) and times[-1] - times[0] == 299


def test_a_start_of_the_machine_with_an_older_clock_is_noted_and_keeps_its_place(tmp_path: Path) -> None:
    told: list[Any] = []
    clocks, path = Clocks(), tmp_path / "history"
    for boot, wall_s, steady_s in (("first", NOON, 9e5), ("second", 1000.0, 10.0), ("third", NOON + DAY_S, 10.0)):
        clocks.wall_s, clocks.steady_s = wall_s, steady_s
        sink = clocks.sink(path, boot=boot, tell=told.append)
        sink.take(Decision(window(boot), 0.0))
        clocks.pass_by(5)
        sink.close()
    (found,) = read_history(path, *FOREVER)
    assert [each.label for each in found.decisions] == ["first", "second", "third"]
    assert [(jump.from_s, jump.to_s) for jump in found.jumps] == [(NOON + 5, 1000.0)]
    assert len(told) == 1 and "back" in told[0] and "between two runs" in told[0]
    # Who asks for the days around it hears of it, too.
    (found,) = read_history(path, NOON - DAY_S, NOON + DAY_S)
    assert [each.label for each in found.decisions] == ["first", "third"] and len(found.jumps) == 1


def test_between_two_runs_of_one_start_the_clock_is_set_forward(tmp_path: Path) -> None:
    clocks, path = Clocks(), tmp_path / "history"
    for wall_s in (NOON, NOON + 100 * DAY_S):
        clocks.wall_s = wall_s
        sink = clocks.sink(path)
        sink.take(window())
        clocks.pass_by(700)
        sink.close()
    assert jumps_in(path) == [(NOON + 700, NOON + 100 * DAY_S)]
    (found,) = read_history(path, *FOREVER, 60.0)
    assert 660 <= found.spans[1].start_s - found.spans[0].start_s <= 720  # by the clock that nobody set, to the minute


def test_time_that_no_monitor_ran_makes_nothing_old(tmp_path: Path) -> None:
    clocks, path = Clocks(), tmp_path / "history"
    for boot in ("first", "second"):
        sink = clocks.sink(path, boot=boot, keep_days=30.0)
        for _ in range(3):
            sink.take(window())
            sink.take(Decision(window(boot), 0.0))
            clocks.pass_by(DAY_S)
        sink.close()
        clocks.pass_by(500 * DAY_S)
    assert len(read_history(path, *FOREVER)[0].decisions) == 6


def test_what_is_old_goes_by_the_days_that_the_file_has_seen_and_not_within_a_day_of_a_jump(tmp_path: Path) -> None:
    clocks, path = Clocks(), tmp_path / "history"

    def kept() -> list[str]:
        return [str(each.label) for each in read_history(path, *FOREVER)[0].decisions]

    number = 0
    for boot in ("first", "second"):
        sink = clocks.sink(path, boot=boot, keep_days=2.0)
        for _ in range(4):
            sink.take(Decision(window(str(number)), 0.0))
            number += 1
            clocks.pass_by(DAY_S / 2)
        sink.close()
        clocks.pass_by(300 * DAY_S)  # the machine is off
    assert kept() == ["4", "5", "6", "7"] or kept() == ["3", "4", "5", "6", "7"]
    sink = clocks.sink(path, boot="third", keep_days=2.0)
    before = kept()
    for _ in range(2):
        clocks.wall_s += 400 * DAY_S
        sink.take(Decision(window(str(number)), 0.0))
        number += 1
        clocks.pass_by(DAY_S / 4)
    assert kept() == [*before, "8", "9"]
    clocks.pass_by(DAY_S)
    sink.take(Decision(window(str(number)), 0.0))
    assert kept()[0] > before[0] and kept()[-1] == "10"
    sink.close()


def test_two_machines_that_ran_at_once_have_seen_the_time_once(tmp_path: Path) -> None:
    clocks, path = Clocks(), tmp_path / "history"
    sinks = [clocks.sink(path, machine, keep_days=4.5) for machine in ("fan", "pump")]
    for _ in range(4):
        for sink in sinks:
            sink.take(Decision(window(), 0.0))
        clocks.pass_by(DAY_S)
    for sink in sinks:
        sink.close()
    assert [len(each.decisions) for each in read_history(path, *FOREVER)] == [4, 4]


@pytest.mark.parametrize("leap_s", [-DAY_S, 5.0, 500 * DAY_S])
@pytest.mark.parametrize("before", [0, 3, 10])
def test_a_clock_that_is_set_within_a_slice_is_noticed_once_and_moves_no_row(
    tmp_path: Path, leap_s: float, before: int
) -> None:
    told: list[Any] = []
    clocks, path = Clocks(), tmp_path / "history"
    came = [0.0]
    sink = clocks.sink(path, tell=told.append, came_s=lambda: came[0])
    for number in range(4):
        clocks.pass_by(60.0)
        for result in range(10):
            if (number, result) == (2, before):
                clocks.wall_s += leap_s
            came[0] = clocks.steady_s - 30.0 + result
            sink.take(Decision(window(str(number)), 0.0) if result == 5 else window(str(number)))
        if (number, before) == (2, 10):
            clocks.wall_s += leap_s
        sink.flush()
    sink.close()
    assert len(told) == 1 and jumps_in(path) == [(NOON + 180, NOON + 180 + leap_s)]
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT detail, minute * 60.0, windows FROM minutes ORDER BY minute").fetchall()
    decisions = connection.execute("SELECT label, time_s FROM decisions ORDER BY time_s").fetchall()
    connection.close()
    assert rows == [(str(number), NOON + 60 * number, 9) for number in range(4)]
    assert decisions == [(str(number), NOON + 60 * number + 35) for number in range(4)]


def test_a_process_that_is_stopped_between_two_clocks_sees_no_jump(tmp_path: Path) -> None:
    told: list[Any] = []
    clocks, stops = Clocks(), iter([600.0, 0.0, 0.0, 7200.0])

    def wall_s() -> float:
        read_s = clocks.wall_s
        clocks.pass_by(next(stops, 0.0))  # after the clock was read
        return read_s

    sink = HistorySink(
        tmp_path / "history", "pump", now_s=wall_s, steady_s=lambda: clocks.steady_s, boot="first", tell=told.append
    )
    for _ in range(5):
        sink.take(window())
        sink.flush()
    sink.close()
    assert told == [] and jumps_in(tmp_path / "history") == [] and clocks.wall_s == NOON + 7800


def test_the_time_of_an_arrival_by_the_clock_that_counts_suspension(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks, stops, suspended_s = Clocks(steady_s=1000.0), iter([0.0, 600.0]), [250.0]

    def monotonic() -> float:
        read_s = clocks.steady_s - suspended_s[0]
        clocks.pass_by(next(stops, 0.0))  # the process is stopped here
        return read_s

    monkeypatch.setattr(clock_watch, "steady_s", lambda: clocks.steady_s)
    monkeypatch.setattr(result_clock, "steady_s", lambda: clocks.steady_s)
    monkeypatch.setattr(time, "monotonic", monotonic)
    clock = ResultClock(lambda: clocks.wall_s)
    for _ in range(2):  # in the second slice the process is stopped between two clocks
        for steady_s in (740.0, 741.0):
            clock.at = Arrival(Idle(), steady_s, NOON - 10)
            assert clock.steady_s() == steady_s + 250.0 and clock.time_s() == NOON - 10
        clock.at = None
    assert clock.steady_s() == 1600.0 and clock.time_s() == NOON + 600
    suspended_s[0] += 7200.0
    clocks.pass_by(7200.0)
    clock.at = Arrival(Idle(), 1350.0, NOON + 7800)
    assert clock.steady_s() == 8800.0


# --- the pieces ------------------------------------------------------------------------------------------------------


def test_the_watch_goes_on_by_itself_and_small_steps_add_up() -> None:
    clocks = Clocks()
    watch = ClockWatch(lambda: clocks.wall_s, lambda: clocks.steady_s)
    found = []
    for _ in range(10):
        clocks.pass_by(100)
        clocks.wall_s += 0.9
        found.append(watch.look())
    assert watch.now_s == NOON + 1000
    assert [round(jump.to_s - jump.from_s, 1) for jump in found if jump] == [2.7, 2.7, 2.7]


@pytest.mark.parametrize(
    ("held", "believed"),
    [
        ([(7.0, 1.0)], 7.0),
        ([(0.0, 30.0), (500.0, 4.0)], 0.0),  # just now
        ([(0.0, 30.0), (500.0, 40.0)], 500.0),  # the network's time soon after the start
        ([(0.0, 3 * DAY_S), (500.0, 599.0)], 0.0),
        ([(0.0, 3 * DAY_S), (500.0, 601.0)], 500.0),  # three days without a network
        ([(0.0, 300.0), (500.0, 200.0), (0.5, 1.0), (500.0, 9.0)], 0.0),
        ([(0.0, 700.0), (500.0, 700.0), (0.5, 1.0)], 0.0),  # it was set wrong, and back
    ],
)
def test_which_reading_is_believed(held: list[tuple[float, float]], believed: float) -> None:
    assert believed_offset_s(held) == believed


def test_a_clock_that_never_rests_is_said_now_and_then() -> None:
    told: list[Any] = []
    now_s = [0.0]
    once = Once(told.append, within_s=100.0, most=3, now_s=lambda: now_s[0])
    for number in range(8):
        once("forward")
        once(f"by {number}")
    assert told == ["forward", "by 0", "by 1"]
    now_s[0] = 101.0
    once("forward")
    assert told[3:] == ["forward"]
