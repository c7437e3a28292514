"""The recent sampling rate, and whether the device's clock can be trusted to measure it."""

from __future__ import annotations

import math
from typing import NamedTuple

from drsn_edge.verdicts import CLOCK_STOPPED, RATE_OFF
from firmware_bridge.wire.clock import Rate, RateAlarm, Trail, slope_of

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
        self.reset()

    def reset(self) -> None:
        """Forget everything, since index and time start again."""
        self._stamps = Trail()  # times increase by at least _APART_S
        self._last_s, self._newest = -math.inf, 0
        self._line: Rate | None = None
        self._due_s = -math.inf
        self._longest = 0  # samples between two timestamps
        self._is_overdue = False
        self.rate: Rate | None = None
        """The rate by all timestamps; None without one, and while the next is overdue: the clock may have stopped."""

    def add(self, first_sample: int, device_time_s: float) -> None:
        """Take the index and the time of a block's first sample."""
        self._newest = first_sample
        stamps = self._stamps
        if device_time_s - self._last_s < _APART_S:
            self._is_overdue = first_sample - stamps.last[0] > _OVERDUE_STEPS * self._longest
            self.rate = None if self._is_overdue else self._line
            return
        self._last_s, self._is_overdue = device_time_s, False
        stamps.append(first_sample, device_time_s)
        stamps.keep_span(HORIZON_S, MIN_BLOCKS)
        is_due = device_time_s >= self._due_s
        if self._line is None:  # once there are enough, there always are
            is_due = len(stamps) >= MIN_BLOCKS and device_time_s - stamps.first_s >= MIN_SPAN_S
        if is_due:
            self._due_s = device_time_s + _EVERY_S
            indices, times_s = stamps.points()
            self._line, self._longest = slope_of(indices, times_s), int((indices[1:] - indices[:-1]).max())
        self.rate = self._line

    @property
    def is_known(self) -> bool:
        """Whether there are `MIN_BLOCKS` timestamps over `MIN_SPAN_S`."""
        return self._line is not None

    @property
    def sample_rate_hz(self) -> float | None:
        """The rate by the first and the last timestamp; None before it `is_known`."""
        if self._line is None:
            return None
        (first_sample, first_s), (last_sample, last_s) = self._stamps.first, self._stamps.last
        return ((self._newest if self._is_overdue else last_sample) - first_sample) / (last_s - first_s)


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
        self.trust = RateTrust()
        """Whether the rate of windows that end now is known."""
        self.rate: Rate | None = None
        """The recent rate by all timestamps, with its uncertainty; None if unknown or the clock may have stopped."""
        self._begun_at: int | None = None
        self._blocks = 0
        self._last_sample, self._last_s = 0, 0.0
        self._moved, self._blocks_since = (0, 0.0), 0  # when the clock was last known to run

    @property
    def sample_rate_hz(self) -> float | None:
        """The recent rate in Hz; None while it is unknown."""
        return self._recent.sample_rate_hz

    def link_lost(self) -> None:
        """Expect a pause of the device, which is no fault of its clock."""
        self._begun_at, self._blocks = None, 0

    def add(self, first_sample: int, device_time_s: float) -> bool:
        """Take the index and the time of a block's first sample; return whether the clock was set or has stopped."""
        if self._begun_at is None:
            self._begun_at, self._last_sample, self._last_s = first_sample, first_sample, device_time_s
            self._moved, self._blocks_since = (first_sample, device_time_s), 0
        fault = self._fault(first_sample, device_time_s)
        if fault is not None:
            self._alarm.reset()
            self._lose_track(fault, first_sample)
        elif self._alarm.add(first_sample, device_time_s) is not None:
            self._lose_track(RATE_OFF, 0)
        self._last_sample, self._last_s = first_sample, device_time_s
        self._blocks += 1
        recent = self._recent
        recent.add(first_sample, device_time_s)
        self.rate = recent.rate
        if recent.is_known:
            if self.trust.doubt is not None:
                self.trust = RateTrust(None, self.trust.broken_at)
        elif self.trust.doubt is None and self._is_overdue(first_sample):
            self.trust = RateTrust(RATE_OFF, self.trust.broken_at)
        return fault is not None

    def _lose_track(self, doubt: str, broken_at: int) -> None:
        self._recent.reset()
        self.trust = RateTrust(doubt, max(broken_at, self.trust.broken_at))

    def _fault(self, first_sample: int, device_time_s: float) -> str | None:
        sampled_s, passed_s = (first_sample - self._last_sample) / self.nominal_hz, device_time_s - self._last_s
        if passed_s < -_BACK_S or passed_s > _LEAP_FACTOR * sampled_s + _LEAP_S:
            self._moved, self._blocks_since = (first_sample, device_time_s), 0
            return RATE_OFF
        self._blocks_since += 1
        moved_sample, moved_s = self._moved
        sampled_s = (first_sample - moved_sample) / self.nominal_hz
        if sampled_s < _STOPPED_S or self._blocks_since < _STOPPED_BLOCKS:
            return None
        self._moved, self._blocks_since = (first_sample, device_time_s), 0
        return CLOCK_STOPPED if device_time_s - moved_s < _STOPPED_SHARE * sampled_s else None

    def _is_overdue(self, first_sample: int) -> bool:
        sampled_s = (first_sample - (self._begun_at or 0)) / self.nominal_hz
        return self._blocks >= _GRACE_BLOCKS and sampled_s >= _GRACE_S
