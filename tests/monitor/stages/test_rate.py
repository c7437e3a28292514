"""The rate of late under every clock: in bounded memory, and no verdict at a rate that nobody knows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drsn_edge.monitor.stages.capture import Capture
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.rate import RateWatch, RecentRate
from drsn_edge.monitor.stages.results import WindowResult
from drsn_edge.monitor.stages.settings import CaptureSettings
from drsn_edge.verdicts import CLOCK_STOPPED, RATE_OFF, Verdict
from firmware_bridge.wire.clock import ClockFit, RateAlarm
from firmware_bridge.wire.events import SampleBlock

RATE_HZ, N = 4000.0, 32
PER_S = RATE_HZ / N
Clock = Callable[[float], float]

RNG = np.random.default_rng(0)
CLOCKS: dict[str, Clock] = {
    "stuck from the start": lambda t: 5.0,
    "stuck after 4 s": lambda t: min(t, 4.0),
    "set back by 10 s": lambda t: t if t < 4 else t - 10,
    "set back by 1 s": lambda t: t if t < 4 else t - 1,
    "runs backwards": lambda t: 1000 - t,
    "to and fro": lambda t: 5.0 if round(t * PER_S) % 2 else 20.0,
    "to and fro by 40 ms": lambda t: 5.0 if round(t * PER_S) % 2 else 5.04,
    "leaps by an hour every second": lambda t: t + 3600 * int(t),
    "a fiftieth of its pace": lambda t: t / 50,
    "fifty times its pace": lambda t: 50 * t,
    "at random": lambda t: float(RNG.uniform(0, 1000)),
}
SOUND: dict[str, Clock] = {
    "exact": lambda t: t,
    "3 % fast": lambda t: t * 1.03,
    "milliseconds": lambda t: round(t, 3),
    "ticks of 10 ms": lambda t: round(t, 2),
    "late by up to 3 ms": lambda t: t + float(RNG.uniform(0, 0.003)),
}


def size_of(thing: Any, seen: set[int] | None = None) -> int:
    """Return the bytes of all that an object holds of its own."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, type) or callable(thing):
        return 0
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        return int(thing.nbytes)
    inside: Iterable[Any] = vars(thing).values() if hasattr(thing, "__dict__") else ()
    if isinstance(thing, dict):
        inside = [*thing.keys(), *thing.values()]
    elif not isinstance(thing, str | bytes) and hasattr(thing, "__iter__"):
        inside = list(thing)
    return sys.getsizeof(thing) + sum(size_of(each, seen) for each in inside)


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
@pytest.mark.parametrize("new", [RecentRate, lambda: RateWatch(0.01), RateAlarm, ClockFit],
                         ids=["recent", "watch", "alarm", "fit"])  # fmt: skip
def test_memory_is_bounded_under_every_clock(new: Callable[[], Any], clock: Clock) -> None:
    watch = new()
    if isinstance(watch, RateWatch):
        watch.nominal_hz = RATE_HZ
    sizes = []
    for number in range(10_000):
        watch.add(number * N, clock(number / PER_S))
        if number in (4_000, 9_999):
            sizes.append(size_of(watch))
    assert sizes[1] <= max(1.2 * sizes[0], 500_000)


@pytest.mark.parametrize("clock", [CLOCKS["stuck from the start"], CLOCKS["runs backwards"]], ids=["stuck", "back"])
def test_a_capture_holds_no_more_than_it_was_told_under_such_a_clock(clock: Clock, sensor: Any, tmp_path: Path) -> None:
    capture = Capture(CaptureSettings(str(tmp_path), before_s=1.0), "pump")
    capture.take(sensor.hello(), 0.0)
    for number in range(2_000):
        capture.take(SampleBlock(number * N, clock(number / PER_S), np.zeros((N, 2), np.int16), 0), 0.0)
    assert len(capture._recent) <= 1.3 * PER_S


def judged(monitor: Monitor, sensor: Any, clock: Clock, seconds: float) -> list[WindowResult]:
    results: list[Any] = monitor.take(sensor.hello())
    for number in range(round(seconds * PER_S)):
        block = sensor.block("calm")
        results += monitor.take(SampleBlock(block.first_sample, clock(number / PER_S), block.samples, 0))
    return [result for result in results if isinstance(result, WindowResult)]


@pytest.mark.parametrize("name", CLOCKS)
def test_no_verdict_is_given_at_a_rate_that_cannot_be_known(name: str, bench: Any, sensor: Any) -> None:
    windows = judged(bench.monitor, sensor, CLOCKS[name], 12.0)
    given = [window for window in windows if window.verdict is Verdict.CLASS]
    withheld = {window.reason for window in windows} - {None}
    assert withheld and withheld <= {RATE_OFF, CLOCK_STOPPED}
    if "stuck" in name:
        assert CLOCK_STOPPED in withheld
    from_the_start = 4.0 if "after" in name or "set back" in name else 0.0
    late = [window for window in given if window.first_sample > (from_the_start + 1.6) * RATE_HZ]
    if "set back" in name:  # it runs on: the rate is known again a second later
        assert all(window.first_sample > 4.9 * RATE_HZ for window in given if window.first_sample > 4 * RATE_HZ)
        assert len(late) > 300
    elif "every second" in name:
        assert not [w for w in late if w.first_sample % RATE_HZ + 64 > RATE_HZ]  # none of them across a leap
    else:
        assert late == []


@pytest.mark.parametrize("clock", SOUND.values(), ids=SOUND)
def test_a_clock_that_runs_withholds_nothing(clock: Clock, bench: Any, sensor: Any) -> None:
    windows = judged(bench.monitor, sensor, clock, 8.0)
    assert len(windows) > 500 and {window.reason for window in windows} == {None}


COARSE: dict[str, Clock] = {
    **{f"ticks of {ms} ms": lambda t, ms=ms: t // (ms / 1000) * (ms / 1000) for ms in (10, 20, 50, 100)},  # type: ignore[misc]
    **{f"late by up to {ms} ms": lambda t, ms=ms: t + float(RNG.uniform(0, ms / 1000)) for ms in (5, 10, 20)},  # type: ignore[misc]
}


@pytest.mark.parametrize("clock", COARSE.values(), ids=COARSE)
def test_coarse_stamps_cut_no_window_anew(clock: Clock, bench: Any, sensor: Any) -> None:
    windows = judged(bench.monitor, sensor, clock, 5.0)
    assert {window.reason for window in windows} == {None}
    assert np.diff([window.first_sample for window in windows]).tolist() == [32] * (round(5 * PER_S) - 2)


@pytest.mark.parametrize("name", ["ticks of 20 ms", "ticks of 100 ms", "late by up to 10 ms"])
@pytest.mark.parametrize("pace", [1.03, 0.97])
def test_a_sensor_that_is_off_is_followed_by_coarse_stamps(name: str, pace: float, bench: Any, sensor: Any) -> None:
    windows = judged(bench.monitor, sensor, lambda t: COARSE[name](t * pace), 5.0)
    assert len(windows) > 590 and {window.reason for window in windows} <= {None, RATE_OFF}
    assert bench.monitor.stream._grid.cut.ratio == pytest.approx(1 / pace, abs=0.005)


def test_windows_come_out_of_a_rate_that_creeps_all_the_time(bench: Any, sensor: Any) -> None:
    windows = judged(bench.monitor, sensor, lambda t: t + 0.01 * np.sin(2 * np.pi * t / 3) * t / 8, 8.0)
    assert len(windows) > 700


def test_a_clock_that_stopped_moves_no_cut(bench: Any, sensor: Any) -> None:
    judged(bench.monitor, sensor, lambda t: min(t, 4.0), 4.05)
    assert bench.monitor.stream.rate.rate is None and bench.monitor.stream._grid.cut.ratio == 1.0


def test_a_pause_behind_a_lost_link_is_no_fault_of_the_clock() -> None:
    watch = RateWatch(0.01)
    watch.nominal_hz = RATE_HZ
    for number in range(500):
        watch.add(number * N, number / PER_S)
    watch.link_lost()
    assert not watch.add(500 * N, 500 / PER_S + 100.0)
    assert watch.trust.why_not(500 * N) is None
    watch.add(501 * N, 501 / PER_S + 200.0)  # this one is
    assert watch.trust.why_not(500 * N) == RATE_OFF
