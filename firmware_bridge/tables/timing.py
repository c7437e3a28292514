"""Time stamps in, the sampling rate, its spread and the places of missing samples out; in bounded memory.

Stamps are rarely the times of samples. A host may give all samples of a batch the same stamp, a clock may count whole
milliseconds, and the line may delay some. None of these moves the later stamps, whereas missing samples move all later
stamps for good. Therefore a place counts as a hole if the stamps behind it are later, against an even grid, than those
before it: by more than a quarter of a step and the usual scatter. Stamps that one constant rate explains when they
are rounded to their own resolution have no holes. The scatter hides holes that are shorter than it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
Indices = NDArray[np.int64]

_CHUNK = 1 << 14
"""Different stamps that are judged together."""
_WINDOW = 16
"""Different stamps before and behind a place that are compared."""
_FEWEST = 4
"""With fewer stamps on one side of a place, the extremes are compared instead of quartiles."""
_CANDIDATE, _SHIFT = 0.5, 0.25
"""Shares of a step: of the interval at a hole, and of the shift behind it."""
_NEIGHBOUR = 0.7
"""Share of the interval at a hole from which an interval near it is a hole of its own."""
_ROUNDED = 1.2
"""Largest range of rounded stamps about an even grid, in units of their resolution."""
_SHARED = 1.5
"""Samples per stamp from which stamps count as shared."""
_ALIKE = 0.1
"""Difference of intervals that are alike, and share of those that may not be."""
_EQUAL = 0.01
"""Difference of intervals that are equal but for their decimals."""
_FEWEST_ROUNDED = 3
"""Fewest intervals of another length from which rounding is believed; one or two are holes."""
_SCATTERED = 0.02
"""Spread from which the rate is fitted to all stamps."""
_COARSEST_S = 1.1e-3
"""Resolution up to which stamps that all differ can be rounded ones; no clock that people use is coarser."""


@dataclass(frozen=True)
class Hole:
    """A place where stamps jump for good.

    Attributes:
        sample: Sample before the place, from 0.
        time: Its stamp.
        step: Interval to the next stamp.
    """

    sample: int
    time: float
    step: float


@dataclass(frozen=True)
class Timing:
    """What time stamps say, in the clock's own unit of time.

    Attributes:
        n_samples: Number of stamps.
        n_finite: How many are numbers.
        step: Usual interval between samples; 0 or less if the stamps do not rise.
        rate: Mean number of samples per unit; 0 if unknown.
        spread: Standard deviation of the interval between samples, as a share of its mean.
        per_stamp: Mean number of samples that share a stamp.
        holes: Number of places where stamps jump for good.
        first: The first of them.
    """

    n_samples: int
    n_finite: int
    step: float
    rate: float
    spread: float
    per_stamp: float
    holes: int = 0
    first: Hole | None = None


class TimingMeter:
    """Measures a clock piece by piece."""

    def __init__(self, unit_s: float = 1.0) -> None:
        """Begin with the unit of the stamps in seconds."""
        self._coarsest = _COARSEST_S / unit_s
        self._n = self._n_finite = 0
        self._times: Times = np.empty(0)  # of stamps that differ from the one before, not judged yet
        self._firsts: Indices = np.empty(0, np.int64)  # the first sample of each
        self._judged = 0  # how many of these are there for comparison only
        self._origin: tuple[float, int] | None = None  # the first stamp and its sample
        self._end = 0.0, 0  # the last different stamp and its first sample, from the origin
        self._squares = 0.0
        self._sums = np.zeros(5)
        self._groups = self._n_holes = 0
        self._steps: list[float] = []
        self._first: Hole | None = None

    def add(self, times: Times) -> None:
        """Take in the stamps of the next samples, shape (n,)."""
        finite = np.isfinite(times)
        self._n_finite += int(finite.sum())
        index = np.arange(self._n, self._n + len(times))[finite]
        self._n += len(times)
        times = times[finite]
        if not len(times):
            return
        last = self._times[-1] if len(self._times) else np.nan
        new = np.flatnonzero(np.diff(times, prepend=last) != 0)
        self._times = np.concatenate([self._times, times[new]])
        self._firsts = np.concatenate([self._firsts, index[new]])
        while len(self._times) > _CHUNK + 2 * _WINDOW:
            self._judge(_CHUNK, is_end=False)

    def timing(self) -> Timing:
        """Return what all stamps so far say; nothing can be added any more."""
        self._judge(len(self._times), is_end=True)
        step = float(np.median(self._steps)) if self._steps else 0.0
        rate, spread = self._rate()
        per_stamp = self._n_finite / max(1, self._groups)
        return Timing(self._n, self._n_finite, step, rate, spread, per_stamp, self._n_holes, self._first)

    def _rate(self) -> tuple[float, float]:
        """Return mean rate and spread; both 0 unless the stamps rise."""
        span, last = self._end
        if span <= 0:
            return 0.0, 0.0
        rate = last / span
        spread = math.sqrt(max(0.0, self._squares / last * rate * rate - 1.0))
        if spread > _SCATTERED:  # every stamp counts then, not only the first and the last
            n, index, time, index2, product = self._sums
            slope = (n * product - index * time) / (n * index2 - index * index)
            rate = 1.0 / slope if slope > 0 else rate
        return rate, spread

    def _judge(self, n_stamps: int, is_end: bool) -> None:
        """Look at some of the stamps that wait; the last ones of these stay for comparison with the next."""
        if self._origin is None and len(self._times) > _FEWEST and self._firsts[-1] >= _SHARED * len(self._times):
            # Of the first stamp's samples, some may be missing, so that they do not tell where it begins.
            self._times, self._firsts, n_stamps = self._times[1:], self._firsts[1:], n_stamps - 1
            self._groups += 1
        times, firsts = self._times[: n_stamps + _WINDOW], self._firsts[: n_stamps + _WINDOW]
        self._sum(times[self._judged : n_stamps], firsts[self._judged : n_stamps])
        if len(times) > 1 and n_stamps > self._judged:
            intervals, counts = np.diff(times), np.diff(firsts)
            own = slice(max(self._judged - 1, 0), n_stamps - 1)
            self._squares += float(np.sum(intervals[own] ** 2 / counts[own]))
            step = _usual_step(times, firsts)
            self._steps.append(step)
            rounding = _rounding(times, firsts, self._coarsest, step)
            if step > 0 and not (rounding and _is_even(times, firsts, rounding)):
                self._find_holes(times, firsts, step, rounding, own)
        kept = n_stamps if is_end else n_stamps - _WINDOW
        self._times, self._firsts = self._times[kept:], self._firsts[kept:]
        self._judged = n_stamps - kept

    def _sum(self, times: Times, firsts: Indices) -> None:
        if not len(times):
            return
        if self._origin is None:
            self._origin = float(times[0]), int(firsts[0])
        time, index = times - self._origin[0], (firsts - self._origin[1]).astype(np.float64)
        self._sums += np.array([len(time), index.sum(), time.sum(), np.sum(index * index), np.sum(index * time)])
        self._groups += len(time)
        self._end = float(time[-1]), int(index[-1])

    def _find_holes(self, times: Times, firsts: Indices, step: float, rounding: float, own: slice) -> None:
        late = (times - times[0]) - step * (firsts - firsts[0])
        found = _shifts(late, step, rounding, own)
        self._n_holes += len(found)
        if found and self._first is None:
            at = found[0]
            self._first = Hole(int(firsts[at + 1]) - 1, float(times[at]), float(times[at + 1] - times[at]))


def _shifts(late: Times, step: float, rounding: float, own: slice) -> list[int]:
    """Return the intervals of a slice behind which stamps are later, or earlier, for good.

    Args:
        late: How much later than an even grid each stamp is.
        step: Step of the grid.
        rounding: Largest shift that rounding explains.
        own: Intervals to look at.
    """
    excess = np.diff(late)
    scatter = _scatter(late)
    found: list[int] = []
    for at in (np.flatnonzero(np.abs(excess[own]) > _CANDIDATE * step) + own.start).tolist():
        if not _is_shift(late, at, 1.0 if excess[at] > 0 else -1.0, step, rounding, scatter):
            continue
        # A hole also moves the stamps that are compared for intervals near it, which are shorter.
        while found and at - found[-1] <= _WINDOW and abs(excess[found[-1]]) < _NEIGHBOUR * abs(excess[at]):
            found.pop()
        if not found or at - found[-1] > _WINDOW or abs(excess[at]) >= _NEIGHBOUR * abs(excess[found[-1]]):
            found.append(at)
    return found


def _is_shift(late: Times, at: int, sign: float, step: float, rounding: float, scatter: float) -> bool:
    before = sign * late[max(0, at + 1 - _WINDOW) : at + 1]
    behind = sign * late[at + 1 : at + 1 + _WINDOW]
    if min(len(before), len(behind)) < _FEWEST:
        return bool(behind.min() - before.max() > max(rounding, _CANDIDATE * step + 4 * scatter))
    shift = np.quantile(behind, 0.25) - np.quantile(before, 0.75)
    return bool(shift > max(rounding, _SHIFT * step + scatter * (1 if scatter < step else 2)))


def _rounding(times: Times, firsts: Indices, coarsest: float, step: float) -> float:
    """Return the largest range of stamps about an even grid that rounding explains; 0 if they are not rounded.

    The first sample of a stamp is late by less than the resolution, and by less than a step.
    """
    resolution = _resolution(times - times[0])
    per_stamp = (firsts[-1] - firsts[0]) / (len(firsts) - 1)
    if not resolution or (resolution > coarsest and per_stamp < _SHARED):
        return 0.0
    intervals = np.diff(times)
    is_odd = (np.abs(intervals - np.median(intervals)) > resolution / 2) | (np.diff(firsts) > 1)
    n_odd = np.count_nonzero(is_odd)
    is_likely = per_stamp >= _SHARED or n_odd >= _FEWEST_ROUNDED
    return _ROUNDED * min(resolution, step) if is_likely else 0.0


def _is_even(times: Times, firsts: Indices, most: float) -> bool:
    """Tell whether all stamps lie on an even grid, but for a range of `most`."""
    since, index = times - times[0], (firsts - firsts[0]).astype(np.float64)
    centred = index - index.mean()
    slope = float(np.sum(centred * since) / np.sum(centred * centred))
    return bool(slope > 0 and np.ptp(since - slope * index) <= most)


def _usual_step(times: Times, firsts: Indices) -> float:
    """Return the usual interval between samples: holes and delays are exceptions."""
    intervals, counts = np.diff(times), np.diff(firsts)
    usual = float(np.median(intervals))
    alike = np.abs(intervals - usual) <= _ALIKE * abs(usual)
    if counts.max() == 1 and np.mean(alike) > 1 - _ALIKE:
        return usual if np.ptp(intervals[alike]) < _EQUAL * abs(usual) else float(np.mean(intervals[alike]))
    span = min(4 * _WINDOW, len(intervals) // 2) or 1
    return float(np.median((times[span:] - times[:-span]) / (firsts[span:] - firsts[:-span])))


def _scatter(late: Times) -> float:
    """Return the usual distance between the quartiles of neighbouring stamps."""
    rows = late[: len(late) // _WINDOW * _WINDOW].reshape(-1, _WINDOW) if len(late) >= _WINDOW else late[None]
    low, high = np.quantile(rows, (0.25, 0.75), axis=1)
    return float(np.median(high - low))


def _resolution(since: Times) -> float:
    """Return the largest power of ten of which all stamps are multiples; 0 if there is none above 1e-12."""
    least = float(np.min(np.abs(np.diff(since[: 4 * _WINDOW])), initial=1.0)) * (1 + 1e-6)
    for power in range(math.floor(math.log10(least)) if least > 1e-12 else -13, -13, -1):
        unit = 10.0**power
        ratio = since[: 4 * _WINDOW] / unit
        if np.all(np.abs(ratio - np.rint(ratio)) < 1e-3):
            ratio = since / unit
            if np.all(np.abs(ratio - np.rint(ratio)) < 1e-3):
                return unit
    return 0.0
