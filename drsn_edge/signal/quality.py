"""Quality of a window: a damaged window gets a reason, never a class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.amplitude import (
    Ordered,
    clipped_axes,
    drops_out,
    has_spikes,
    has_stuck_bit,
    held_for,
    offset_steps,
    repeats_readings,
    wrapped_axes,
)
from drsn_edge.signal.contract import RATE_TOLERANCE
from drsn_edge.signal.windows import Window
from drsn_edge.verdicts import (
    CLIPPED,
    DROPOUTS,
    FLAT_LINE,
    LOST_SAMPLES,
    OFFSET_JUMPED,
    OVERRUN,
    RATE_OFF,
    REPEATED,
    SPIKE,
    STUCK,
    STUCK_BIT,
    WRAPPED,
)
from firmware_bridge.wire.messages import Counts

MAX_CLIPPED_SHARE = 0.001
"""Largest share of samples at full scale in a window that is not clipped: a single peak may reach full scale.

In a window of fewer than 1000 samples a single sample at full scale counts as clipped.
"""


_PILE_FACTOR = 10.0
_PILE_CHANCE = 1e-6
_NEIGHBOURS = 8
_LEAST_PILE = 3
"""Clipping below full scale, for example by an amplifier, piles up samples at the outermost value. It counts if there
are at least `_PILE_FACTOR` times as many samples as the `_NEIGHBOURS` next values suggest (a sine has 2.6 times as
many), and if their number has a chance below `_PILE_CHANCE` (Chernoff bound of the Poisson tail)."""

_ALIKE = 3.0
"""Signals without noise repeat each of their values: the outermost one must occur this many times as often as those
next to it."""

_LEAST_RUN = 8
_LEAST_REPEATS, _REPEATS_OF_NOISE = 12, 4.5
_RUN_CHANCE = 1e-6
"""Largest chance of a run of equal values on an axis that counts as stuck."""

_LEARNT_WINDOWS = 16
_JUMP_SHARE, _JUMP_SCATTERS = 0.05, 10.0
_FORGET = 1 / 256


@dataclass(frozen=True)
class SensorLimits:
    """Limit of the sensor's readings, and the sampling rate of the model.

    Attributes:
        full_scale_counts: Smallest magnitude in counts that is taken as clipped.
        expected_sample_rate_hz: Sampling rate that windows are cut for, in Hz.
        factor: Number by which the sensor is decimated. A window may hold as many samples at full scale as without
            decimation.
    """

    full_scale_counts: float
    expected_sample_rate_hz: float
    factor: int = 1


def clipping_level(full_scale: float, scale: float) -> float:
    """Return the smallest magnitude in counts at which a reading is at the limit of the sensor.

    It is slightly below full scale: positive readings end one step below full scale (4095 for 4096), or a few steps if
    the lowest bits stay 0, as in the ADXL345 at 3200 Hz (data sheet, "Data Formatting of Upper Data Rates").

    Args:
        full_scale: Largest magnitude that the sensor measures, in its unit.
        scale: Unit per count.
    """
    counts = full_scale / scale
    return min(0.999 * counts, counts - 1)


def find_defect(window: Window, limits: SensorLimits, measured_sample_rate_hz: float | None) -> str | None:
    """Return the reason why a window must not be classified; None for a sound window.

    Args:
        window: Window of raw counts.
        limits: Limits of sensor and contract.
        measured_sample_rate_hz: Sampling rate by the sensor's clock in Hz; None while it is unknown.
    """
    if window.lost_samples:
        return LOST_SAMPLES
    if window.has_seam:
        return OVERRUN
    defect = defect_of_readings(window.counts, limits.full_scale_counts, MAX_CLIPPED_SHARE / limits.factor)
    if defect is not None:
        return defect
    if measured_sample_rate_hz and abs(measured_sample_rate_hz / limits.expected_sample_rate_hz - 1) > RATE_TOLERANCE:
        return RATE_OFF
    return None


def find_defects(
    windows: Sequence[Window], limits: Sequence[SensorLimits], measured_sample_rates_hz: Sequence[float | None]
) -> list[str | None]:
    """Return `find_defect` of each window; each has its own limits and measured sampling rate."""
    return [find_defect(*each) for each in zip(windows, limits, measured_sample_rates_hz, strict=True)]


def defect_of_readings(
    counts: Counts, full_scale_counts: float = math.inf, most_clipped: float = MAX_CLIPPED_SHARE
) -> str | None:
    """Return the reason that the readings of a window alone give; None for sound readings.

    Args:
        counts: Readings, shape (window, axes).
        full_scale_counts: Smallest magnitude that is taken as clipped; infinite if the sensor's range is not known.
        most_clipped: Largest share of samples at full scale in a window that is not clipped.
    """
    by_axis = np.ascontiguousarray(counts.T, np.int32)  # contiguous arrays need a third of the time
    full_scale_counts = min(full_scale_counts, np.iinfo(counts.dtype).max)
    return _of_amplitude(Ordered(by_axis, np.sort(by_axis, axis=1)), full_scale_counts, most_clipped)


def _of_amplitude(window: Ordered, full_scale_counts: float, most_clipped: float) -> str | None:
    shapes = window.shapes
    if any(shape.lowest == shape.highest for shape in shapes):
        return FLAT_LINE
    if any(max(shape.highest, -shape.lowest) >= full_scale_counts for shape in shapes):
        at_limit = (window.counts >= full_scale_counts) | (window.counts <= -full_scale_counts)
        if at_limit.any(axis=0).mean() > most_clipped:
            return CLIPPED
    if has_spikes(window, full_scale_counts):
        return SPIKE
    return next((reason for reason, is_so in _QUESTIONS if is_so(window)), None)


def _is_piled(window: Ordered) -> bool:
    for counts, ordered in zip(window.counts, window.ordered, strict=True):
        for end, near in ((ordered[0], ordered[_LEAST_PILE - 1]), (ordered[-1], ordered[-_LEAST_PILE])):
            if end == near and piles_up(counts, int(end), int(np.count_nonzero(counts == end))):
                return True
    return False


def _sticks(window: Ordered) -> bool:
    if max(window.repeats) < _LEAST_RUN:
        return False
    runs = window.differences == 0
    for length in (1, 2, 4):  # 8 in a row, on all axes at once
        runs = runs[:, :-length] & runs[:, length:]
    return any(_is_stuck(window.counts[axis], window.repeats[axis]) for axis in np.flatnonzero(runs.any(axis=1)))


def _is_repeated(window: Ordered) -> bool:
    return any(
        repeats >= _LEAST_REPEATS + _REPEATS_OF_NOISE * window.n / max(shape.spread, 1)
        and repeats_readings(window, axis)
        for axis, (repeats, shape) in enumerate(zip(window.repeats, window.shapes, strict=True))
    )


_QUESTIONS = (
    (REPEATED, lambda window: held_for(window) is not None),
    (WRAPPED, wrapped_axes),
    (STUCK_BIT, has_stuck_bit),
    (CLIPPED, _is_piled),
    (STUCK, _sticks),
    (REPEATED, _is_repeated),
    (CLIPPED, clipped_axes),
    (DROPOUTS, drops_out),
    (OFFSET_JUMPED, offset_steps),
)
"""Checks in the order in which they are made: a wrapped signal also piles up at its ends, and so does one whose values
are each read several times."""


def piles_up(axis: NDArray[np.int32], end: int, there: int) -> bool:
    """Tell whether an axis, shape (window,), piles up at its outermost value `end`, which occurs `there` times."""
    values, times = np.unique(axis, return_counts=True)
    if len(values) <= _NEIGHBOURS + 1:
        return False
    beside = slice(1, 1 + _NEIGHBOURS) if values[0] == end else slice(-1 - _NEIGHBOURS, -1)
    step = int(np.diff(values).min())  # step of the converter, which may be larger than a count
    span = abs(int(values[beside][-1 if values[0] == end else 0]) - end) / step
    expected = float(times[beside].sum()) / span
    if there < max(_PILE_FACTOR * expected, _ALIKE * float(np.median(times[beside]))):
        return False
    return bool(there * (1 + np.log(expected / there)) < np.log(_PILE_CHANCE))


def _is_stuck(axis: NDArray[np.int32], repeats: int) -> bool:
    """Tell whether an axis, shape (window,), keeps its value longer than its number of `repeats` makes likely."""
    changes = np.flatnonzero(axis[1:] != axis[:-1])
    edges = np.concatenate([[-1], changes, [len(axis) - 1]])
    longest = int(np.diff(edges).max()) - 1
    if longest < _LEAST_RUN:
        return False
    elsewhere = max(len(axis) - 1 - longest, 1)
    usual = (repeats - longest + 1) / (elsewhere + 1)
    return bool(len(axis) * usual**longest < _RUN_CHANCE)


class OffsetWatch:
    """Detects a lasting jump of the mean of an axis: the sensor was moved, fell off, or its axes were exchanged.

    The usual mean was learned on site, or is learned from the first windows. It follows slow changes, such as those of
    temperature. A jump lasts until the mean returns or `reset` is called; a restart of the device or a lost link does
    not end it. Without gravity or another offset, exchanged axes are not detected.
    """

    def __init__(self, taught: NDArray[np.float64] | None = None) -> None:
        """Begin with the usual mean of each axis, shape (axes,); None: learn it from the first windows."""
        self._first: list[NDArray[np.float64]] = []
        self._usual = taught
        self._scatter: NDArray[np.float64] | float = 0.0

    def reset(self) -> None:
        """Learn the usual mean again."""
        self._first, self._usual, self._scatter = [], None, 0.0

    def jumped(self, mean: NDArray[np.float64], full_scale: NDArray[np.float64]) -> bool:
        """Take the mean of a sound window, and tell whether it has jumped from the usual mean.

        Args:
            mean: Mean of each axis, shape (axes,), in a unit that is the same in all sessions.
            full_scale: Full scale of each axis in that unit, shape (axes,).
        """
        if self._usual is None:
            self._first.append(mean)
            if len(self._first) == _LEARNT_WINDOWS:
                self._usual = np.median(self._first, axis=0)
                self._scatter = 1.4826 * np.median(np.abs(self._first - self._usual), axis=0)
            return False
        off = mean - self._usual
        if (np.abs(off) > np.maximum(_JUMP_SHARE * full_scale, _JUMP_SCATTERS * self._scatter)).any():
            return True
        self._usual = self._usual + _FORGET * off
        return False
