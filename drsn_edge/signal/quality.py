"""May this window be judged at all? A damaged one gets a reason, never a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.amplitude import (
    Ordered,
    clipped_axes,
    drops_out,
    has_spikes,
    has_stuck_bit,
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

MAX_CLIPPED_SHARE = 0.001
"""Of a window's samples at full scale: a lone peak may just touch it, a clipped signal sits there.

In a window of fewer than 1000 samples even one counts as clipped.
"""


_PILE_FACTOR = 10.0
_PILE_CHANCE = 1e-6
_NEIGHBOURS = 8
_LEAST_PILE = 3
"""Clipping below full scale, as by an amplifier, shows as samples that pile up at the outermost value: at least
`_PILE_FACTOR` times as many as the `_NEIGHBOURS` values beside it make likely (of a sine 2.6 times), and so many by
chance with a probability below `_PILE_CHANCE` (Chernoff's bound of the Poisson tail)."""

_LEAST_RUN = 8
_LEAST_REPEATS, _REPEATS_OF_NOISE = 12, 4.5
_RUN_CHANCE = 1e-6
"""An axis that is stuck for a part of the window repeats its value longer than it would by chance."""

_LEARNT_WINDOWS = 16
_JUMP_SHARE, _JUMP_SCATTERS = 0.05, 10.0
_FORGET = 1 / 256


@dataclass(frozen=True)
class SensorLimits:
    """What the sensor can measure, and the rate that the model expects.

    Attributes:
        full_scale_counts: From here on, on either side of 0, a count is taken as clipped.
        expected_sample_rate_hz: Of the contract.
    """

    full_scale_counts: float
    expected_sample_rate_hz: float


def clipping_level(full_scale: float, scale: float) -> float:
    """Return the magnitude in counts from which on a reading is at the sensor's limit.

    That is a little below full scale: readings end one step short of it on the positive side (4095 for 4096), or a few
    where the lowest bits stay 0, as in the ADXL345 at 3200 Hz (data sheet, "Data Formatting of Upper Data Rates").

    Args:
        full_scale: Largest magnitude that the sensor measures, in its unit.
        scale: Unit per count.
    """
    counts = full_scale / scale
    return min(0.999 * counts, counts - 1)


def find_defect(window: Window, limits: SensorLimits, measured_sample_rate_hz: float | None) -> str | None:
    """Return why the window must not be classified, None if it may be.

    Args:
        window: Raw counts with the number of missing samples.
        limits: Of the sensor and the contract.
        measured_sample_rate_hz: Rate by the sensor's clock, None while it is not known yet.
    """
    if window.lost_samples:
        return LOST_SAMPLES
    if window.has_seam:
        return OVERRUN
    counts = np.ascontiguousarray(window.counts.T, np.int32)  # what is contiguous takes a third of the time
    defect = _of_amplitude(
        Ordered(counts, np.sort(counts, axis=1)), min(limits.full_scale_counts, np.iinfo(window.counts.dtype).max)
    )
    if defect is not None:
        return defect
    if measured_sample_rate_hz and abs(measured_sample_rate_hz / limits.expected_sample_rate_hz - 1) > RATE_TOLERANCE:
        return RATE_OFF
    return None


def _of_amplitude(window: Ordered, full_scale_counts: float) -> str | None:
    """Return what is wrong with a window as it is, without a look at what was before it."""
    shapes = window.shapes
    if any(shape.lowest == shape.highest for shape in shapes):
        return FLAT_LINE
    if any(max(shape.highest, -shape.lowest) >= full_scale_counts for shape in shapes):
        at_limit = (window.counts >= full_scale_counts) | (window.counts <= -full_scale_counts)
        if at_limit.any(axis=0).mean() > MAX_CLIPPED_SHARE:
            return CLIPPED
    if has_spikes(window, full_scale_counts):
        return SPIKE
    return next((reason for reason, is_so in _QUESTIONS if is_so(window)), None)


def _is_piled(window: Ordered) -> bool:
    for counts, ordered in zip(window.counts, window.ordered, strict=True):
        for end, near in ((ordered[0], ordered[_LEAST_PILE - 1]), (ordered[-1], ordered[-_LEAST_PILE])):
            if end == near and _piles_up(counts, int(end), int(np.count_nonzero(counts == end))):
                return True
    return False


def _sticks(window: Ordered) -> bool:
    if max(window.repeats) < _LEAST_RUN:
        return False
    runs = window.differences == 0
    for length in (1, 2, 4):  # 8 in a row, of all axes at once
        runs = runs[:, :-length] & runs[:, length:]
    return any(_is_stuck(window.counts[axis], window.repeats[axis]) for axis in np.flatnonzero(runs.any(axis=1)))


def _is_repeated(window: Ordered) -> bool:
    return any(
        repeats >= _LEAST_REPEATS + _REPEATS_OF_NOISE * window.n / max(shape.spread, 1)
        and repeats_readings(window, axis)
        for axis, (repeats, shape) in enumerate(zip(window.repeats, window.shapes, strict=True))
    )


_QUESTIONS = (
    (WRAPPED, wrapped_axes),
    (STUCK_BIT, has_stuck_bit),
    (CLIPPED, _is_piled),
    (STUCK, _sticks),
    (REPEATED, _is_repeated),
    (CLIPPED, clipped_axes),
    (DROPOUTS, drops_out),
    (OFFSET_JUMPED, offset_steps),
)
"""In this order: a wrapped signal piles up at its ends, too."""


def _piles_up(axis: NDArray[np.int32], end: int, there: int) -> bool:
    """Tell whether an axis, shape (window,), sits at one of its two outermost values, which it has `there` times."""
    values, times = np.unique(axis, return_counts=True)
    if len(values) <= _NEIGHBOURS + 1:
        return False
    beside = slice(1, 1 + _NEIGHBOURS) if values[0] == end else slice(-1 - _NEIGHBOURS, -1)
    step = int(np.diff(values).min())  # of the converter, which may be coarser than the counts
    span = abs(int(values[beside][-1 if values[0] == end else 0]) - end) / step
    expected = float(times[beside].sum()) / span
    chance = (np.e * expected / there) ** there
    return bool(there >= _PILE_FACTOR * expected and chance < _PILE_CHANCE)


def _is_stuck(axis: NDArray[np.int32], repeats: int) -> bool:
    """Tell whether an axis, shape (window,), keeps its value for longer than its usual `repeats` make likely."""
    changes = np.flatnonzero(axis[1:] != axis[:-1])
    edges = np.concatenate([[-1], changes, [len(axis) - 1]])
    longest = int(np.diff(edges).max()) - 1
    if longest < _LEAST_RUN:
        return False
    elsewhere = max(len(axis) - 1 - longest, 1)
    usual = (repeats - longest + 1) / (elsewhere + 1)
    return bool(len(axis) * usual**longest < _RUN_CHANCE)


class OffsetWatch:
    """Notices that an axis' mean jumps and stays: the sensor was moved, fell off, or its axes changed places.

    What is usual was taught on site, or is learned from the first windows, and followed slowly, as with temperature.
    A jump stays one until the mean is back or `reset` is called: a restart of the device or a lost link is no reason to
    take what comes next for right. Without gravity, or another offset, axes may change places unseen.
    """

    def __init__(self, taught: NDArray[np.float64] | None = None) -> None:
        """Begin with the mean of each axis that was taught, shape (axes,); None: to learn."""
        self._first: list[NDArray[np.float64]] = []
        self._usual = taught
        self._scatter: NDArray[np.float64] | float = 0.0

    def reset(self) -> None:
        """Learn anew what is usual."""
        self._first, self._usual, self._scatter = [], None, 0.0

    def jumped(self, mean: NDArray[np.float64], full_scale: NDArray[np.float64]) -> bool:
        """Take in the mean of a window without damage, and tell whether it is not the usual one.

        Args:
            mean: Of each axis, shape (axes,), in a unit that stays the same from session to session.
            full_scale: Where the sensor clips, of each axis in that unit.
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
