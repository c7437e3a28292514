"""Measurement of the true sampling rate, and conversion of device times into host times.

A nominal sampling rate is off by up to a few percent, and every fault frequency moves with it. `ClockFit` gives samples
per second of the device's clock, `HostClock` seconds of the device's clock per second of the host's clock, and
`HostRate` their product. `RateAlarm` detects a rate that changes, and `HostClock.stamp` gives host times that never go
back. No I/O; no clock is read here.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.support.median import median_of

FloatArray = NDArray[np.float64]

_BACK_S = 0.05
"""A device clock that goes back by more than this was set; less may be jitter of its time stamps."""


@dataclass(frozen=True)
class Rate:
    """A sampling rate and its uncertainty.

    Attributes:
        hz: Samples per second.
        uncertainty_hz: Standard uncertainty of the fit alone; the clock itself may be off by more.
    """

    hz: float
    uncertainty_hz: float


@dataclass(frozen=True)
class Ratio:
    """The ratio of the speeds of two clocks, and its uncertainty.

    Attributes:
        value: Ratio, about 1.
        uncertainty: Standard uncertainty of the fit alone.
    """

    value: float
    uncertainty: float


class ClockFit:
    """Least-squares line of sample index over device time, updated block by block in constant memory.

    The sums are kept about the running mean (Welford's update), so that they stay exact to double precision over days,
    where sums of raw squares would cancel. Call `reset` when the device restarts, because index and time then restart.
    """

    def __init__(self, min_points: int = 8, min_span_s: float = 1.0) -> None:
        """Give a rate after at least `min_points` blocks over `min_span_s` seconds."""
        self._min_points = max(3, min_points)
        self._min_span_s = min_span_s
        self.reset()

    def reset(self) -> None:
        """Discard all points."""
        self._origin: tuple[int, float] | None = None
        self._points = 0
        self._mean_time = self._mean_index = 0.0
        self._time_time = self._time_index = self._index_index = 0.0
        self._span_s = 0.0

    def add(self, sample_index: int, device_time_s: float) -> None:
        """Add a point: sample `sample_index`, usually the first of a block, was taken at `device_time_s`."""
        if self._origin is None:
            self._origin = (sample_index, device_time_s)
        # Indices count from the first point: a host that joins after days sees large ones, which would cost precision.
        origin, origin_s = self._origin
        index = float(sample_index - origin)
        time_s = self._span_s = device_time_s - origin_s
        self._points = points = self._points + 1
        time_step, index_step = time_s - self._mean_time, index - self._mean_index
        self._mean_time = mean_time = self._mean_time + time_step / points
        self._mean_index = mean_index = self._mean_index + index_step / points
        self._time_time += time_step * (time_s - mean_time)
        self._time_index += time_step * (index - mean_index)
        self._index_index += index_step * (index - mean_index)

    @property
    def rate(self) -> Rate | None:
        """Samples per second of device time; None until there are enough points."""
        if self._points < self._min_points or self._span_s < self._min_span_s or self._time_time <= 0.0:
            return None
        slope = self._time_index / self._time_time
        if slope <= 0.0:  # the clock ran backwards
            return None
        scatter = max(0.0, self._index_index - slope * self._time_index) / (self._points - 2)
        return Rate(slope, math.sqrt(scatter / self._time_time))

    @property
    def sample_rate_hz(self) -> float | None:
        """The rate in Hz without its uncertainty."""
        rate = self.rate
        return None if rate is None else rate.hz


class HostClock:
    """The device's clock against the host's, from the arrival times of blocks, in constant memory.

    A block may arrive late by any time, but never early, so the quickest deliveries are the accurate ones. Time is cut
    into cells that each keep the quickest delivery, and neighbouring cells merge as time goes on. A line is fitted
    through the points of the cells: it starts from the median of slopes, and Tukey's biweight removes outliers, such as
    a cell in which the host was stalled throughout.
    """

    CELLS = 128
    _FIRST_CELL_S = 0.1
    _ROUNDS = 10
    _TUKEY = 4.685
    """Standard deviations at which the weight of a point is 0: 95 % of the efficiency of least squares."""

    def __init__(self, min_cells: int = 16) -> None:
        """Give results after at least `min_cells` cells of 0.1 s each."""
        self._min_cells = max(3, min_cells)
        self.reset()

    def reset(self) -> None:
        """Discard all points, because the device's clock restarted; later stamps stay after earlier ones."""
        self._cell_s = self._FIRST_CELL_S
        self._cells: dict[int, tuple[float, float]] = {}
        self._origin: tuple[float, float] | None = None
        self._line: tuple[float, float, float] | None = None  # offset, slope and its uncertainty, about the origin
        self._fitted_cells = 0
        self._last_stamp_s = getattr(self, "_last_stamp_s", -math.inf)

    def add(self, device_time_s: float, host_time_s: float) -> None:
        """Add a point: data of device time `device_time_s` arrived at `host_time_s` of a monotonic clock."""
        if self._origin is None:
            self._origin = (device_time_s, host_time_s)
        point = (device_time_s - self._origin[0], host_time_s - self._origin[1])
        cell = math.floor(point[0] / self._cell_s)
        known = self._cells.get(cell)
        if known is None or self._delay(point) < self._delay(known):
            self._cells[cell] = point
        if len(self._cells) > self.CELLS:
            self._merge()
        if known is None:
            self._fit()

    @property
    def seconds_per_second(self) -> Ratio | None:
        """Seconds of the device's clock per second of the host's; None until there are enough points."""
        if self._line is None:
            return None
        _, slope, uncertainty = self._line
        return Ratio(1 / slope, uncertainty / slope**2)

    def stamp(self, device_time_s: float) -> float | None:
        """Return the host time of a device time, never before an earlier stamp; None until there are enough points.

        Call it in the order of device time.
        """
        time_s = self.at(device_time_s)
        if time_s is None:
            return None
        self._last_stamp_s = max(self._last_stamp_s, time_s)
        return self._last_stamp_s

    def at(self, device_time_s: float) -> float | None:
        """Return the host time of a device time by the current fit; a later fit may give a slightly earlier time."""
        if self._line is None or self._origin is None:
            return None
        offset, slope, _ = self._line
        return self._origin[1] + offset + slope * (device_time_s - self._origin[0])

    def _delay(self, point: tuple[float, float]) -> float:
        slope = 1.0 if self._line is None else self._line[1]
        return point[1] - slope * point[0]

    def _merge(self) -> None:
        """Double the length of the cells; of two neighbours the quicker point is kept."""
        self._cell_s *= 2
        merged: dict[int, tuple[float, float]] = {}
        for point in self._cells.values():
            cell = math.floor(point[0] / self._cell_s)
            if cell not in merged or self._delay(point) < self._delay(merged[cell]):
                merged[cell] = point
        self._cells = merged

    def _fit(self) -> None:
        # The last cell is left out: its quickest delivery may still come.
        points = np.array(list(self._cells.values())[:-1])
        if len(points) >= self._min_cells:
            line = robust_line(points[:, 0], points[:, 1], self._ROUNDS, self._TUKEY)
            # If device time passes in no host time, the data comes from a buffer and says nothing about the clock.
            self._line = line if line[1] > 0 else None


def robust_line(x: FloatArray, y: FloatArray, rounds: int = 10, tukey: float = 4.685) -> tuple[float, float, float]:
    """Return offset, slope and standard uncertainty of the slope of a line fitted with Tukey's biweight.

    Args:
        x: Shape (n,), n >= 3, all values different.
        y: Shape (n,).
        rounds: Number of reweightings.
        tukey: Standard deviations at which the weight of a point becomes 0.
    """
    half = len(x) // 2
    slope = float(median_of((y[-half:] - y[:half]) / (x[-half:] - x[:half])))
    for _ in range(rounds):
        residuals = y - slope * x
        residuals -= median_of(residuals)  # at least half of the points then keep nearly all of their weight
        sigma = max(1.4826 * float(median_of(np.abs(residuals))), 1e-9)
        weights = np.square(np.clip(1 - np.square(residuals / (tukey * sigma)), 0, None))
        total = float(weights.sum())
        mean_x, mean_y = float(weights @ x) / total, float(weights @ y) / total
        spread = float(weights @ np.square(x - mean_x))
        slope = float(weights @ ((x - mean_x) * (y - mean_y))) / spread
        offset = mean_y - slope * mean_x
    return offset, slope, sigma / math.sqrt(spread)


@dataclass(frozen=True)
class BestRate(Rate):
    """The best sampling rate that is known.

    Attributes:
        clock: Clock that the rate refers to: "host" or "sensor".
    """

    clock: str


class HostRate:
    """The sampling rate by the host's clock; the clock of a device may be off by as much as its sensor."""

    IMPLAUSIBLE = 0.1
    """Share by which no sensor is off: data sheets allow 3 %, and the clock of a resonator adds half a percent."""

    def __init__(self) -> None:
        """Begin without a rate."""
        self.device = ClockFit()
        self.host = HostClock()
        self._last_s = -math.inf

    def reset(self) -> None:
        """Discard all points: the device has restarted, or its clock was set back."""
        self.device.reset()
        self.host.reset()
        self._last_s = -math.inf

    def add(self, sample_index: int, device_time_s: float, host_time_s: float) -> None:
        """Add a block: index and device time of its first sample, and the host time of its arrival."""
        if device_time_s < self._last_s - _BACK_S:
            self.reset()
        self._last_s = device_time_s
        self.device.add(sample_index, device_time_s)
        self.host.add(device_time_s, host_time_s)

    @property
    def rate(self) -> Rate | None:
        """The rate by the host's clock; None until there are enough points."""
        samples, seconds = self.device.rate, self.host.seconds_per_second
        if samples is None or seconds is None:
            return None
        relative = math.hypot(samples.uncertainty_hz / samples.hz, seconds.uncertainty / seconds.value)
        return Rate(samples.hz * seconds.value, samples.hz * seconds.value * relative)

    def best(self, nominal_hz: float, known_within: float = 2e-4) -> BestRate | None:
        """Return the rate by the host's clock if it is known well enough, otherwise by the device's clock, or None.

        Args:
            nominal_hz: Rate that the device reports. A rate by the host's clock that differs by more than `IMPLAUSIBLE`
                comes from a recording that is played faster or slower, and is ignored.
            known_within: Largest acceptable standard uncertainty, as a share of the rate.
        """
        by_host = self.rate
        if by_host is not None and abs(by_host.hz / nominal_hz - 1) > self.IMPLAUSIBLE:
            by_host = None
        for rate, clock in ((by_host, "host"), (self.device.rate, "sensor")):
            if rate is not None and rate.uncertainty_hz < known_within * rate.hz:
                return BestRate(rate.hz, rate.uncertainty_hz, clock)
        return None


@dataclass(frozen=True)
class RateChange:
    """A change of the sampling rate.

    Attributes:
        device_time_s: Device time at which the change was detected.
        before_hz: Samples per second of device time before the change.
        after_hz: Samples per second of device time after the change.
    """

    device_time_s: float
    before_hz: float
    after_hz: float

    @property
    def relative(self) -> float:
        """Relative change: 0.005 is half a percent more."""
        return self.after_hz / self.before_hz - 1


class Trail:
    """Indices and times of blocks, oldest first; the times increase."""

    _SPARE = 4096
    """Number of forgotten points that still take up memory."""

    def __init__(self) -> None:
        """Begin without points."""
        self.clear()

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self._times_s) - self._start

    def clear(self) -> None:
        """Discard all points."""
        self._indices, self._times_s, self._start = array("d"), array("d"), 0

    @property
    def first(self) -> tuple[float, float]:
        """Index and time of the oldest point."""
        return self._indices[self._start], self._times_s[self._start]

    @property
    def first_s(self) -> float:
        """Time of the oldest point."""
        return self._times_s[self._start]

    @property
    def last(self) -> tuple[float, float]:
        """Index and time of the newest point."""
        return self._indices[-1], self._times_s[-1]

    def time_s(self, number: int) -> float:
        """Return the time of a point from the end, such as -1 for the newest one."""
        return self._times_s[number]

    def append(self, sample_index: int, time_s: float) -> None:
        """Add a point; its time is after that of the newest one."""
        self._indices.append(sample_index)
        self._times_s.append(time_s)

    def forget_before(self, time_s: float) -> None:
        """Discard points before a time; the newest point is always kept."""
        times_s, start = self._times_s, self._start
        last = len(times_s) - 1
        while start < last and times_s[start] < time_s:
            start += 1
        self._start = start
        self._compact()

    def keep_span(self, span_s: float, least: int) -> None:
        """Discard the oldest points as long as the others span `span_s` and are `least` or more."""
        times_s, start = self._times_s, self._start
        newest_s, end = times_s[-1], len(times_s) - least
        while start < end and newest_s - times_s[start + 1] >= span_s:
            start += 1
        self._start = start
        self._compact()

    def _compact(self) -> None:
        if self._start > self._SPARE:
            del self._indices[: self._start], self._times_s[: self._start]
            self._start = 0

    def points(self) -> tuple[FloatArray, FloatArray]:
        """Return indices and times relative to the oldest point, each of shape (n,)."""
        indices, times_s = (np.frombuffer(held)[self._start :] for held in (self._indices, self._times_s))
        return indices - indices[0], times_s - times_s[0]


class _SummedTrail(Trail):
    """A trail that gives the slope of any stretch of its points in a few steps, to six digits."""

    def clear(self) -> None:
        """Discard all points."""
        super().clear()
        self._origin = 0.0, 0.0
        # Of indices, times, squared times and products of both about the origin, up to each point.
        self._sums = [array("d", [0.0]) for _ in range(4)]

    def append(self, sample_index: int, time_s: float) -> None:
        """Add a point; its time is after that of the newest one."""
        if not self._times_s:
            self._origin = sample_index, time_s
        super().append(sample_index, time_s)
        index, since_s = sample_index - self._origin[0], time_s - self._origin[1]
        for sums, value in zip(self._sums, (index, since_s, since_s * since_s, index * since_s), strict=True):
            sums.append(sums[-1] + value)

    def border(self, since_first_s: float) -> int:
        """Return the number of points less than `since_first_s` after the oldest one."""
        times_s, start = self._times_s, self._start
        first_s = times_s[start]
        at = bisect_left(times_s, first_s + since_first_s, start)
        while at > start and times_s[at - 1] - first_s >= since_first_s:  # the sum above was rounded
            at -= 1
        while at < len(times_s) and times_s[at] - first_s < since_first_s:
            at += 1
        return at - start

    def slope_hz(self, first: int, end: int) -> float:
        """Return the slope of the line through the points from number `first` until before number `end`."""
        n, first, end = end - first, first + self._start, end + self._start
        indices, times_s, squares, products = (sums[end] - sums[first] for sums in self._sums)
        return (products - indices * times_s / n) / (squares - times_s * times_s / n)

    def _compact(self) -> None:
        if self._start > self._SPARE:
            super()._compact()
            self._origin = self.first
            indices, times_s = self.points()
            for sums, values in zip(self._sums, (indices, times_s, times_s**2, indices * times_s), strict=True):
                sums[:] = array("d", [0.0, *np.cumsum(values)])


class RateAlarm:
    """Detects an unreported change of the sampling rate, by the device's clock, within about half a second.

    For a device that sends fewer than 16 blocks per second, detection takes about 8 blocks.
    The rate of the last `RECENT_S` is compared with the rate of up to `BASE_S` before; after an alarm the new rate is
    the base. A slow drift is detected against the first rate, `first_hz`. A clock that was set back resets everything.
    """

    RECENT_S = 0.5
    BASE_S = 10.0
    _ENOUGH_S = 1.0
    _EVERY_S = 0.05
    _THINNED_TO_S = 0.01
    _MIN_POINTS = 8
    _SIGMAS = 6.0
    """Multiple of the rates' combined uncertainty below which a change cannot be told from jitter of the stamps."""

    def __init__(self, limit: float = 0.0025) -> None:
        """Report changes of more than `limit`, a share: 0.0025 detects a step of half a percent halfway through."""
        self._limit = limit
        self.reset()

    def reset(self) -> None:
        """Discard all points, because index and time restart."""
        self._trail = _SummedTrail()
        self._last_s = self._due_s = -math.inf
        self.first_hz: float | None = None

    def add(self, sample_index: int, device_time_s: float) -> RateChange | None:
        """Add a block: index and device time of its first sample; return the change that it shows, or None."""
        if device_time_s - self._last_s < self._THINNED_TO_S:
            if device_time_s >= self._last_s - _BACK_S:
                return None
            self.reset()
        self._last_s = device_time_s
        self._trail.append(sample_index, device_time_s)
        self._trail.forget_before(device_time_s - self.BASE_S - self.RECENT_S)
        start_s = self._trail.first_s
        if device_time_s < self._due_s or device_time_s - start_s < self._ENOUGH_S + self.RECENT_S:
            return None
        self._due_s = device_time_s + self._EVERY_S
        return self._look(start_s, device_time_s)

    def _look(self, start_s: float, device_time_s: float) -> RateChange | None:
        trail = self._trail
        n = len(trail)
        if n < 2 * self._MIN_POINTS:
            return None
        border_s = min(device_time_s - start_s - self.RECENT_S, trail.time_s(-self._MIN_POINTS) - start_s)
        border = trail.border(border_s)
        if border < self._MIN_POINTS or self._is_steady(trail.slope_hz(0, border), trail.slope_hz(border, n)):
            return None
        indices, times_s = trail.points()
        before, after = slope_of(indices[:border], times_s[:border]), slope_of(indices[border:], times_s[border:])
        self.first_hz = self.first_hz or before.hz
        for base_hz in (before.hz, self.first_hz):  # a step, a slow drift
            scatter_hz = self._SIGMAS * math.hypot(before.uncertainty_hz, after.uncertainty_hz)
            if abs(after.hz - base_hz) > max(self._limit * base_hz, scatter_hz):
                self._trail.forget_before(start_s + border_s)
                self.first_hz = None
                return RateChange(device_time_s, base_hz, after.hz)
        return None

    def _is_steady(self, before_hz: float, after_hz: float) -> bool:
        """Tell whether the rate is so far within the limits that no more digits are needed."""
        if self.first_hz is None:
            return False
        return all(abs(after_hz - base_hz) < 0.9 * self._limit * base_hz for base_hz in (before_hz, self.first_hz))


def slope_of(indices: FloatArray, times_s: FloatArray) -> Rate:
    """Return the rate of a least-squares line through sample indices and their times, each of shape (n,), n >= 3."""
    n = len(times_s)
    index, time_s = indices - np.add.reduce(indices) / n, times_s - np.add.reduce(times_s) / n
    spread = float(time_s @ time_s)
    hz = float(time_s @ index) / spread
    residuals = index - hz * time_s
    return Rate(hz, math.sqrt(float(residuals @ residuals) / (n - 2) / spread))
