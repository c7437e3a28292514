"""Rate, doubts and alarms of every clock, against the same rules written down plainly over lists of all points."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drsn_edge.monitor.stages.rate import RateWatch
from drsn_edge.verdicts import CLOCK_STOPPED, RATE_OFF
from firmware_bridge.wire.clock import Rate, RateAlarm

Points = list[tuple[int, float]]
LIMIT = 0.01


def line(points: Points) -> Rate:
    """Return the least-squares line through points (index, time)."""
    relative = np.array([(index - points[0][0], time_s - points[0][1]) for index, time_s in points])
    index, time_s = (relative - relative.mean(axis=0)).T
    hz = float((time_s * index).sum() / np.square(time_s).sum())
    scatter = np.square(index - hz * time_s).sum() / (len(points) - 2)
    return Rate(hz, math.sqrt(scatter / np.square(time_s).sum()))


@dataclass
class PlainRecent:
    stamps: Points = field(default_factory=list)
    newest: int = 0
    line: Rate | None = None
    due_s: float = -math.inf
    longest: int = 0

    def add(self, index: int, time_s: float) -> None:
        self.newest = index
        if self.stamps and time_s - self.stamps[-1][1] < 0.001:
            return
        self.stamps.append((index, time_s))
        while len(self.stamps) > 8 and time_s - self.stamps[1][1] >= 2.0:
            self.stamps.pop(0)
        if len(self.stamps) < 8 or time_s - self.stamps[0][1] < 1.0:
            self.line = None
        elif self.line is None or time_s >= self.due_s:
            self.due_s, self.line = time_s + 0.1, line(self.stamps)
            self.longest = max(b[0] - a[0] for a, b in zip(self.stamps, self.stamps[1:], strict=False))

    @property
    def is_late(self) -> bool:
        return bool(self.stamps) and self.newest - self.stamps[-1][0] > 1.5 * self.longest

    @property
    def by_two_stamps_hz(self) -> float | None:
        if self.line is None:
            return None
        (first, first_s), (last, last_s) = self.stamps[0], self.stamps[-1]
        return ((self.newest if self.is_late else last) - first) / (last_s - first_s)


@dataclass
class PlainAlarm:
    limit: float
    trail: Points = field(default_factory=list)
    due_s: float = -math.inf
    first_hz: float | None = None

    def add(self, index: int, time_s: float) -> tuple[float, list[float], float] | None:
        if self.trail and time_s < self.trail[-1][1] - 0.05:
            self.trail, self.due_s, self.first_hz = [], -math.inf, None
        if self.trail and time_s - self.trail[-1][1] < 0.01:
            return None
        self.trail.append((index, time_s))
        while len(self.trail) > 1 and self.trail[0][1] < time_s - 10.0 - 0.5:
            self.trail.pop(0)
        start_s = self.trail[0][1]
        if time_s < self.due_s or time_s - start_s < 1.5:
            return None
        self.due_s = time_s + 0.05
        if len(self.trail) < 16:
            return None
        border_s = min(time_s - start_s - 0.5, self.trail[-8][1] - start_s)
        older = [point for point in self.trail if point[1] - start_s < border_s]
        return self.look(older, self.trail[len(older) :], start_s + border_s) if len(older) >= 8 else None

    def look(self, older: Points, newer: Points, border_s: float) -> tuple[float, list[float], float] | None:
        before, after = line(older), line(newer)
        self.first_hz = self.first_hz or before.hz
        for base_hz in (before.hz, self.first_hz):
            scatter_hz = 6.0 * math.hypot(before.uncertainty_hz, after.uncertainty_hz)
            if abs(after.hz - base_hz) > max(self.limit * base_hz, scatter_hz):
                time_s, bases_hz = self.trail[-1][1], [before.hz, self.first_hz]
                while len(self.trail) > 1 and self.trail[0][1] < border_s:
                    self.trail.pop(0)
                self.first_hz = None
                return time_s, bases_hz, after.hz
        return None


class PlainWatch:
    def __init__(self, nominal_hz: float) -> None:
        self.nominal_hz = nominal_hz
        self.recent, self.alarm = PlainRecent(), PlainAlarm(LIMIT)
        self.doubt: str | None = None
        self.broken_at = self.blocks = self.since_moved = 0
        self.begun_at: int | None = None
        self.last = self.moved = (0, 0.0)

    def add(self, index: int, time_s: float) -> bool:
        now = (index, time_s)
        if self.begun_at is None:
            self.begun_at, self.last, self.moved = index, now, now
        fault = self.fault(now)
        if fault is not None:
            self.alarm, self.recent = PlainAlarm(LIMIT), PlainRecent()
            self.doubt, self.broken_at = fault, max(index, self.broken_at)
        elif self.alarm.add(index, time_s) is not None:
            self.doubt, self.recent = RATE_OFF, PlainRecent()
        self.last, self.blocks = now, self.blocks + 1
        self.recent.add(index, time_s)
        if self.recent.line is not None:
            self.doubt = None
        elif self.doubt is None and self.blocks >= 16 and (index - self.begun_at) / self.nominal_hz >= 1.5:
            self.doubt = RATE_OFF
        return fault is not None

    def fault(self, now: tuple[int, float]) -> str | None:
        sampled_s, passed_s = (now[0] - self.last[0]) / self.nominal_hz, now[1] - self.last[1]
        if passed_s < -0.05 or passed_s > 2 * sampled_s + 0.5:
            self.moved, self.since_moved = now, 0
            return RATE_OFF
        self.since_moved += 1
        sampled_s, passed_s = (now[0] - self.moved[0]) / self.nominal_hz, now[1] - self.moved[1]
        if sampled_s < 0.5 or self.since_moved < 3:
            return None
        self.moved, self.since_moved = now, 0
        return CLOCK_STOPPED if passed_s < 0.1 * sampled_s else None


PIECES = st.tuples(
    st.floats(0.2, 2.5),  # duration in seconds
    st.sampled_from([0.0, 0.02, 0.9, 0.97, 0.996, 1.0, 1.0, 1.0, 1.004, 1.03, 1.5]),  # pace of the clock
    st.sampled_from([0.0, 0.0, 0.0, -10.0, -0.06, -0.03, 0.03, 0.4, 30.0]),  # step of the clock at the beginning
    st.sampled_from([0, 0, 0, 1, 5, 40]),  # blocks lost at the beginning
)
STAMPS = st.tuples(
    st.sampled_from([1e-6, 1e-6, 1e-3, 0.01, 0.1]),  # ticks in seconds
    st.sampled_from([0.0, 0.0, 1e-4, 0.003, 0.02]),  # jitter in seconds
)


def stamped(pieces: list[tuple[float, float, float, int]], tick_s: float, jitter_s: float, block_s: float) -> Points:
    """Return index and time of each block of 64 samples, which take `block_s`."""
    random, points = np.random.default_rng(0), []
    number, clock_s = 0, 5.0
    for seconds, pace, step_s, lost in pieces:
        clock_s, number = clock_s + step_s + lost * block_s * pace, number + lost
        for _ in range(round(seconds / block_s)):
            late_s = random.uniform(0, jitter_s)
            points.append((64 * number, float(math.floor((clock_s + late_s) / tick_s) * tick_s)))
            number, clock_s = number + 1, clock_s + pace * block_s
    return points


@settings(deadline=None, max_examples=30)
@given(st.lists(PIECES, min_size=1, max_size=5), STAMPS, st.sampled_from([0.0024, 0.0053, 0.02, 0.11]))
def test_rates_and_doubts_are_those_of_the_definition(
    pieces: list[tuple[float, float, float, int]], stamps: tuple[float, float], block_s: float
) -> None:
    watch, plain = RateWatch(LIMIT), PlainWatch(64 / block_s)
    watch.nominal_hz = plain.nominal_hz
    for index, time_s in stamped(pieces, *stamps, block_s):
        assert watch.add(index, time_s) == plain.add(index, time_s)
        assert watch.trust == (plain.doubt, plain.broken_at)
        assert (watch.sample_rate_hz or 0.0) == pytest.approx(plain.recent.by_two_stamps_hz or 0.0, rel=1e-12)
        expected = None if plain.recent.is_late else plain.recent.line
        assert (watch.rate is None) == (expected is None)
        if watch.rate is not None and expected is not None:
            assert watch.rate.hz == pytest.approx(expected.hz, rel=1e-9)
            assert watch.rate.uncertainty_hz == pytest.approx(expected.uncertainty_hz, rel=1e-6, abs=1e-9 * expected.hz)


@settings(deadline=None, max_examples=20)
@given(st.lists(PIECES, min_size=1, max_size=5), STAMPS, st.sampled_from([0.0024, 0.0053, 0.02, 0.11]))
def test_changes_of_the_rate_are_those_of_the_definition(
    pieces: list[tuple[float, float, float, int]], stamps: tuple[float, float], block_s: float
) -> None:
    alarm, plain = RateAlarm(), PlainAlarm(0.0025)
    for index, time_s in stamped(pieces, *stamps, block_s):
        change, expected = alarm.add(index, time_s), plain.add(index, time_s)
        assert (change is None) == (expected is None)
        if change is not None and expected is not None:
            at_s, bases_hz, after_hz = expected
            assert (change.device_time_s, change.after_hz) == pytest.approx((at_s, after_hz), rel=1e-9)
            assert any(change.before_hz == pytest.approx(base_hz, rel=1e-9) for base_hz in bases_hz)
