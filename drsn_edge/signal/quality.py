"""Quality of a window: a damaged window gets a reason, never a class."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.amplitude import (
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
from drsn_edge.signal.ordered import Batch, Ordered, batch_of
from drsn_edge.signal.suspects import LEAST_PILE, LEAST_REPEATS, LEAST_RUN, REPEATS_OF_NOISE, suspects
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
from firmware_bridge.support.median import median_of
from firmware_bridge.wire.messages import Counts

MAX_CLIPPED_SHARE = 0.001
"""Largest share of samples at full scale in a window that is not clipped: a single peak may reach full scale.

In a window of fewer than 1000 samples a single sample at full scale counts as clipped.
"""


_PILE_FACTOR = 10.0
_PILE_CHANCE = 1e-6
_NEIGHBOURS = 8
"""Clipping below full scale, for example by an amplifier, piles up samples at the outermost value. It counts if there
are at least `_PILE_FACTOR` times as many samples as the `_NEIGHBOURS` next values suggest (a sine has 2.6 times as
many), and if their number has a chance below `_PILE_CHANCE` (Chernoff bound of the Poisson tail)."""

_ALIKE = 3.0
"""Signals without noise repeat each of their values: the outermost one must occur this many times as often as those
next to it."""

_RUN_CHANCE = 1e-6
"""Largest chance of a run of equal values on an axis that counts as stuck."""

_READINGS_TOGETHER = 1 << 16
"""Readings that are checked together: the arrays of more do not fit into caches."""

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
    return find_defects([window], [limits], [measured_sample_rate_hz])[0]


def find_defects(
    windows: Sequence[Window], limits: Sequence[SensorLimits], measured_sample_rates_hz: Sequence[float | None]
) -> list[str | None]:
    """Return `find_defect` of each window; each has its own limits and measured sampling rate."""
    found = [LOST_SAMPLES if each.lost_samples else OVERRUN if each.has_seam else None for each in windows]
    whole = [number for number, defect in enumerate(found) if defect is None]
    defects = defects_of_readings(
        [windows[number].counts for number in whole],
        [limits[number].full_scale_counts for number in whole],
        [MAX_CLIPPED_SHARE / limits[number].factor for number in whole],
    )
    for number, defect in zip(whole, defects, strict=True):
        found[number] = defect or _why_rate_off(limits[number], measured_sample_rates_hz[number])
    return found


def _why_rate_off(limits: SensorLimits, measured_hz: float | None) -> str | None:
    if measured_hz and abs(measured_hz / limits.expected_sample_rate_hz - 1) > RATE_TOLERANCE:
        return RATE_OFF
    return None


def defect_of_readings(
    counts: Counts, full_scale_counts: float = math.inf, most_clipped: float = MAX_CLIPPED_SHARE
) -> str | None:
    """Return the reason that the readings of a window alone give; None for sound readings.

    Args:
        counts: Readings, shape (window, axes).
        full_scale_counts: Smallest magnitude that is taken as clipped; infinite if the sensor's range is not known.
        most_clipped: Largest share of samples at full scale in a window that is not clipped.
    """
    return defects_of_readings([counts], [full_scale_counts], [most_clipped])[0]


def defects_of_readings(
    counts: Sequence[Counts], full_scale_counts: Sequence[float], most_clipped: Sequence[float]
) -> list[str | None]:
    """Return `defect_of_readings` of each window; each has its own values, and a shape and type of its own."""
    alike: dict[tuple[tuple[int, ...], np.dtype[Any]], list[int]] = {}
    for number, each in enumerate(counts):
        alike.setdefault((each.shape, each.dtype), []).append(number)
    found: list[str | None] = [None] * len(counts)
    for (shape, dtype), numbers in alike.items():
        together, most = max(1, _READINGS_TOGETHER // math.prod(shape)), float(np.iinfo(dtype).max)
        for start in range(0, len(numbers), together):
            part = numbers[start : start + together]
            limits = [min(full_scale_counts[number], most) for number in part]
            batch = batch_of([counts[number] for number in part], limits, [most_clipped[number] for number in part])
            for number, defect in zip(part, _defects_of(batch), strict=True):
                found[number] = defect
    return found


def _defects_of(batch: Batch) -> list[str | None]:
    suspect = suspects(batch)
    found: list[str | None] = [None] * len(batch.counts)
    for number in np.flatnonzero(np.array([*suspect.values()]).any(axis=0)).tolist():
        names = {name for name, windows in suspect.items() if windows[number]}
        window = batch.window(number)
        found[number] = next((reason for name, reason, is_so in _CHECKS if name in names and is_so(window)), None)
    return found


def _is_flat(window: Ordered) -> bool:
    return any(shape.lowest == shape.highest for shape in window.shapes)


def _exceeds_limit(window: Ordered) -> bool:
    at_limit = (window.counts >= window.full_scale_counts) | (window.counts <= -window.full_scale_counts)
    return bool(at_limit.any(axis=0).mean() > window.most_clipped)


def _is_piled(window: Ordered) -> bool:
    from_ends = (each for ordered in window.ordered for each in (ordered, ordered[::-1]))
    return any(each[0] == each[LEAST_PILE - 1] and piles_up(each) for each in from_ends)


def _sticks(window: Ordered) -> bool:
    return any(
        repeats >= LEAST_RUN and _is_stuck(axis, repeats)
        for axis, repeats in zip(window.counts, window.repeats, strict=True)
    )


def _is_repeated(window: Ordered) -> bool:
    return any(
        repeats >= LEAST_REPEATS + REPEATS_OF_NOISE * window.n / max(shape.spread, 1) and repeats_readings(window, axis)
        for axis, (repeats, shape) in enumerate(zip(window.repeats, window.shapes, strict=True))
    )


_CHECKS: tuple[tuple[str, str, Callable[[Ordered], bool]], ...] = (
    ("flat", FLAT_LINE, _is_flat),
    ("limit", CLIPPED, _exceeds_limit),
    ("spikes", SPIKE, has_spikes),
    ("held", REPEATED, lambda window: held_for(window) is not None),
    ("wraps", WRAPPED, wrapped_axes),
    ("bit", STUCK_BIT, has_stuck_bit),
    ("piled", CLIPPED, _is_piled),
    ("sticks", STUCK, _sticks),
    ("repeated", REPEATED, _is_repeated),
    ("clips", CLIPPED, clipped_axes),
    ("dropout", DROPOUTS, drops_out),
    ("offset", OFFSET_JUMPED, offset_steps),
)
"""Name in `suspects`, reason and function of each check, in the order in which they are made: a wrapped signal also
piles up at its ends, and so does one whose values are each read several times."""


def piles_up(ordered: NDArray[np.int32]) -> bool:
    """Tell whether an axis, sorted from one of its ends, piles up there."""
    starts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1  # of each value but the outermost one
    if len(starts) <= _NEIGHBOURS:
        return False
    step = int(np.abs(ordered[starts] - ordered[starts - 1]).min())  # of the converter, may be larger than a count
    there, times = int(starts[0]), np.diff(starts[: _NEIGHBOURS + 1])
    span = abs(int(ordered[starts[_NEIGHBOURS - 1]]) - int(ordered[0])) / step
    expected = float(times.sum()) / span
    if there < max(_PILE_FACTOR * expected, _ALIKE * float(median_of(times))):
        return False
    return bool(there * (1 + np.log(expected / there)) < np.log(_PILE_CHANCE))


def _is_stuck(axis: NDArray[np.int32], repeats: int) -> bool:
    """Tell whether an axis, shape (window,), keeps its value longer than its number of `repeats` makes likely."""
    changes = np.flatnonzero(axis[1:] != axis[:-1])
    edges = np.concatenate([[-1], changes, [len(axis) - 1]])
    longest = int(np.diff(edges).max()) - 1
    if longest < LEAST_RUN:
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
                self._usual = median_of(self._first)
                self._scatter = 1.4826 * median_of(np.abs(self._first - self._usual))
            return False
        off = mean - self._usual
        if (np.abs(off) > np.maximum(_JUMP_SHARE * full_scale, _JUMP_SCATTERS * self._scatter)).any():
            return True
        self._usual = self._usual + _FORGET * off
        return False
