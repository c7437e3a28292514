"""The recent sampling rate, and whether the device's clock can be trusted to measure it."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from drsn_edge.verdicts import CLOCK_STOPPED, RATE_OFF
from firmware_bridge.wire.clock import Rate, RateAlarm, slope_of

HORIZON_S = 2.0
MIN_SPAN_S = 1.0
MIN_BLOCKS = 8

_APART_S = 0.001
"""Timestamps closer than this, in seconds, are not kept, so that no clock can use up the memory."""

_EVERY_S = 0.1
"""Period in seconds in which the rate is measured again."""

_OVERDUE_STEPS = 1.5
"""Multiple of a clock's longest step after which a clock without a new time may have stopped."""


_STOPPED_S, _STOPPED_SHARE, _STOPPED_BLOCKS = 0.5, 0.1, 3
"""A clock counts as stopped if it passes less than this share of the time in which these samples were taken."""

_BACK_S, _LEAP_S, _LEAP_FACTOR = 0.05, 0.5, 2.0
"""A clock counts as set if it is this far from the time that follows from the samples."""

_GRACE_S, _GRACE_BLOCKS = 1.5 * MIN_SPAN_S, 2 * MIN_BLOCKS
"""After this time a running clock has shown the rate; until then windows are judged without it."""


class RecentRate:
    """Samples per second of device time over the last `HORIZON_S`, in bounded memory whatever the clock does.

    It decides whether the present windows may be judged. The fit over a whole session
    (`firmware_bridge.wire.clock.ClockFit`) is more exact, but would need minutes to show that a sensor has silently
    changed its rate after hours.

    Some clocks tick only every 100 ms, and some timestamps are late by 20 ms. A line through all timestamps gives the
    rate of such a sensor, which two timestamps would not; two timestamps show a change sooner. For a clock that ticks,
    only the first block of each tick counts, unless the next tick is overdue.
    """

    def __init__(self) -> None:
        """Begin without a rate."""
        self._stamps: deque[tuple[int, float]] = deque()  # times increase by at least _APART_S
        self._newest = (0, 0.0)
        self.reset()

    def reset(self) -> None:
        """Forget everything, since index and time start again."""
        self._stamps.clear()
        self._line: Rate | None = None
        self._due_s = -math.inf
        self._longest = 0  # samples between two timestamps

    def add(self, first_sample: int, device_time_s: float) -> None:
        """Take the index and the time of a block's first sample."""
        self._newest = (first_sample, device_time_s)
        if self._stamps and device_time_s - self._stamps[-1][1] < _APART_S:
            return
        self._stamps.append(self._newest)
        while len(self._stamps) > MIN_BLOCKS and device_time_s - self._stamps[1][1] >= HORIZON_S:
            self._stamps.popleft()
        if len(self._stamps) < MIN_BLOCKS or device_time_s - self._stamps[0][1] < MIN_SPAN_S:
            self._line = None
        elif self._line is None or device_time_s >= self._due_s:
            self._due_s = device_time_s + _EVERY_S
            first, first_s = self._stamps[0]
            points = np.array([(sample - first, time_s - first_s) for sample, time_s in self._stamps], np.float64)
            self._line, self._longest = slope_of(points), int(np.diff(points[:, 0]).max())

    @property
    def sample_rate_hz(self) -> float | None:
        """The rate by the first and the last timestamp; None before there are `MIN_BLOCKS` over `MIN_SPAN_S`."""
        if self._line is None:
            return None
        (first_sample, first_s), (last_sample, last_s) = self._stamps[0], self._stamps[-1]
        return ((self._newest[0] if self._is_overdue() else last_sample) - first_sample) / (last_s - first_s)

    @property
    def rate(self) -> Rate | None:
        """The rate by all timestamps; None without one, and while the next is overdue: the clock may have stopped."""
        return None if self._is_overdue() else self._line

    def _is_overdue(self) -> bool:
        return self._newest[0] - self._stamps[-1][0] > _OVERDUE_STEPS * self._longest if self._stamps else False


class RateTrust(NamedTuple):
    """Whether the sampling rate of windows is known.

    Attributes:
        doubt: Why no window may be judged now; None: those that begin after `broken_at` may be.
        broken_at: Index of the sample at which the clock was last set or stopped.
    """

    doubt: str | None = None
    broken_at: int = 0

    def why_not(self, first_sample: int) -> str | None:
        """Return why a window from `first_sample` to now must not be judged; None if it may be."""
        if self.doubt is None and first_sample < self.broken_at:
            return RATE_OFF
        return self.doubt


class RateWatch:
    """Measures the recent rate, and tells why windows must wait while the device's clock cannot show it.

    The first second of a stream is judged without a known rate. Later, a clock that stops, is set, or shows another
    rate withholds windows until the rate is known again.
    """

    def __init__(self, limit: float) -> None:
        """Begin without a rate; a relative step of the rate by more than `limit` withholds windows."""
        self._recent, self._alarm = RecentRate(), RateAlarm(limit)
        self.nominal_hz = 1.0
        """Sampling rate that the sensor reports, in Hz."""
        self.reset()

    def reset(self) -> None:
        """Forget everything, since index and time start again."""
        self._recent.reset()
        self._alarm.reset()
        self._doubt: str | None = None
        self._broken_at = 0
        self._begun_at: int | None = None
        self._blocks = 0
        self._last = (0, 0.0)
        self._moved, self._blocks_since = (0, 0.0), 0  # when the clock was last known to run

    @property
    def sample_rate_hz(self) -> float | None:
        """The recent rate in Hz; None while it is unknown."""
        return self._recent.sample_rate_hz

    @property
    def rate(self) -> Rate | None:
        """The recent rate by all timestamps, with its uncertainty; None if unknown or the clock may have stopped."""
        return self._recent.rate

    def link_lost(self) -> None:
        """Expect a pause of the device, which is no fault of its clock."""
        self._begun_at, self._blocks = None, 0

    @property
    def trust(self) -> RateTrust:
        """Whether the rate of windows that end now is known."""
        return RateTrust(self._doubt, self._broken_at)

    def add(self, first_sample: int, device_time_s: float) -> bool:
        """Take the index and the time of a block's first sample; return whether the clock was set or has stopped."""
        now = (first_sample, device_time_s)
        if self._begun_at is None:
            self._begun_at, self._last, self._moved, self._blocks_since = first_sample, now, now, 0
        fault = self._fault(now)
        if fault is not None:
            self._alarm.reset()
            self._lose_track(fault, first_sample)
        elif self._alarm.add(first_sample, device_time_s) is not None:
            self._lose_track(RATE_OFF, 0)
        self._last = now
        self._blocks += 1
        self._recent.add(first_sample, device_time_s)
        if self._recent.sample_rate_hz is not None:
            self._doubt = None
        elif self._doubt is None and self._is_overdue(first_sample):
            self._doubt = RATE_OFF
        return fault is not None

    def _lose_track(self, doubt: str, broken_at: int) -> None:
        self._recent.reset()
        self._doubt, self._broken_at = doubt, max(broken_at, self._broken_at)

    def _fault(self, now: tuple[int, float]) -> str | None:
        sampled_s, passed_s = self._between(self._last, now)
        if passed_s < -_BACK_S or passed_s > _LEAP_FACTOR * sampled_s + _LEAP_S:
            self._moved, self._blocks_since = now, 0
            return RATE_OFF
        self._blocks_since += 1
        sampled_s, passed_s = self._between(self._moved, now)
        if sampled_s < _STOPPED_S or self._blocks_since < _STOPPED_BLOCKS:
            return None
        self._moved, self._blocks_since = now, 0
        return CLOCK_STOPPED if passed_s < _STOPPED_SHARE * sampled_s else None

    def _between(self, before: tuple[int, float], after: tuple[int, float]) -> tuple[float, float]:
        """Return the duration of the samples by the nominal rate, and by the device's clock, in seconds."""
        return (after[0] - before[0]) / self.nominal_hz, after[1] - before[1]

    def _is_overdue(self, first_sample: int) -> bool:
        sampled_s = (first_sample - (self._begun_at or 0)) / self.nominal_hz
        return self._blocks >= _GRACE_BLOCKS and sampled_s >= _GRACE_S
