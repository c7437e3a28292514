"""May this window be judged at all? A damaged one gets a reason, never a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.contract import RATE_TOLERANCE
from drsn_edge.monitor.results import NOT_RUNNING as NOT_RUNNING
from drsn_edge.monitor.windows import Window
from drsn_edge.signal import axis_means
from firmware_bridge.messages import Counts

LOST_SAMPLES = "lost samples"
FLAT_LINE = "flat line"
CLIPPED = "clipped"
STUCK = "stuck"
OFFSET_JUMPED = "offset jumped"
AXES_TURNED = "axes inverted or swapped"
RATE_OFF = "sample rate off"
NOISE_ALONE = "noise alone"
LINK_LOST = "LINK LOST"
NO_SAMPLES = "NO SAMPLES"
TOO_FEW_SAMPLES = "TOO FEW SAMPLES"
SKIPPED = "skipped: this machine is too slow"

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
        measured_sample_rate_hz: True rate by the sensor's clock, None while it is not known yet.
    """
    if window.lost_samples:
        return LOST_SAMPLES
    counts = np.ascontiguousarray(window.counts.T, np.int32)  # what is contiguous takes a third of the time
    lowest, highest = counts.min(axis=1), counts.max(axis=1)
    if (lowest == highest).any():
        return FLAT_LINE
    full_scale_counts = min(limits.full_scale_counts, np.iinfo(window.counts.dtype).max)
    if highest.max() >= full_scale_counts or lowest.min() <= -full_scale_counts:
        at_limit = (counts >= full_scale_counts) | (counts <= -full_scale_counts)
        if at_limit.any(axis=0).mean() > MAX_CLIPPED_SHARE:
            return CLIPPED
    for ends in (lowest, highest):  # of all axes at once: calls cost more here than samples do
        there = np.count_nonzero(counts == ends[:, None], axis=1)
        if any(_piles_up(counts[axis], int(ends[axis]), int(there[axis])) for axis in _at_least(there, _LEAST_PILE)):
            return CLIPPED
    repeats = np.count_nonzero(counts[:, 1:] == counts[:, :-1], axis=1)
    if any(_is_stuck(counts[axis], int(repeats[axis])) for axis in _at_least(repeats, _LEAST_RUN)):
        return STUCK
    if measured_sample_rate_hz and abs(measured_sample_rate_hz / limits.expected_sample_rate_hz - 1) > RATE_TOLERANCE:
        return RATE_OFF
    return None


def _at_least(numbers: NDArray[np.intp], least: int) -> list[int]:
    """Return where they are that large."""
    return [index for index, number in enumerate(numbers.tolist()) if number >= least]


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
        """Begin with the mean of each axis that was taught, shape (axes,), in the unit of `scales`; None: to learn."""
        self._first: list[NDArray[np.float64]] = []
        self._usual = taught
        self._scatter: NDArray[np.float64] | float = 0.0

    def reset(self) -> None:
        """Learn anew what is usual."""
        self._first, self._usual, self._scatter = [], None, 0.0

    def jumped(self, counts: Counts, full_scale_counts: float, scales: NDArray[np.float32] | float = 1.0) -> bool:
        """Take in a window without damage, and tell whether its mean is not the usual one.

        Args:
            counts: Shape (n, axes).
            full_scale_counts: Where the sensor clips.
            scales: Unit per count of each axis, which another session of the device may change.
        """
        mean = axis_means(counts[None])[0] * scales
        if self._usual is None:
            self._first.append(mean)
            if len(self._first) == _LEARNT_WINDOWS:
                self._usual = np.median(self._first, axis=0)
                self._scatter = 1.4826 * np.median(np.abs(self._first - self._usual), axis=0)
            return False
        off = mean - self._usual
        least = _JUMP_SHARE * full_scale_counts * np.abs(scales)
        if (np.abs(off) > np.maximum(least, _JUMP_SCATTERS * self._scatter)).any():
            return True
        self._usual = self._usual + _FORGET * off
        return False
