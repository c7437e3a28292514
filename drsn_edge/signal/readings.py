"""Readings behind samples: the step of a sensor's converter, found in its samples, and the samples as whole counts.

Samples in g or m/s2 are counts times a factor. The checks of `drsn_edge.signal.quality` need the counts. Sorted
values of an undamaged converter lie on a grid; its spacing is the step. Samples that were filtered, normalised or
resampled have no grid. They become counts as fine as float32 is, which serves every check that needs no step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int32]

FINE_BITS = 22
"""Bits of the largest magnitude of samples without a step: float32 has 24."""

_MOST_VALUES = 20_000
_LEAST_VALUES = 4
_GAPS = (0.1, 0.01, 0.0)
"""Shares of the gaps between values that are smaller than the first guesses at the step."""

_FLOAT = 2.0
"""Largest step, in spacings of float32 at the largest value, that may come from float32 alone."""

_OFF_GRID = 0.1
"""Largest RMS distance from the grid, in steps. Values without a grid have 0.29."""


def step_between(samples: NDArray[Any]) -> float | None:
    """Return the step of the converter of one axis, in the unit of its samples; None if the values lie on no grid.

    Args:
        samples: Samples of one axis, finite, shape (n,).
    """
    values = np.unique(np.asarray(samples[:_MOST_VALUES], np.float64))
    if len(values) < _LEAST_VALUES:
        return None
    gaps = np.sort(np.diff(values))
    for share in _GAPS:  # values of a fine converter are seldom neighbours, and some gaps are rounding alone
        step = _grid(values, float(gaps[int(share * len(gaps))]))
        if step is not None:
            return step
    return None


def _grid(values: NDArray[np.float64], step: float) -> float | None:
    """Return the step of the grid on which sorted values lie, near a first guess; None if they lie on none."""
    for _ in range(2):
        numbers = np.concatenate([[0.0], np.cumsum(np.rint(np.diff(values) / step))])
        if not 0 < numbers[-1] < 1 << FINE_BITS:
            return None
        step = _slope(numbers, values)
    off = values - step * numbers
    return step if float(off.std()) <= _OFF_GRID * step else None


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float(np.multiply(x, y).sum() / np.square(x).sum())  # BLAS would start threads for so little


def steps_of(samples: NDArray[Any]) -> list[float | None]:
    """Return the step of each axis of samples, shape (n, axes)."""
    return [step_between(axis) for axis in samples.T]


def has_steps(samples: NDArray[Any], steps: list[float | None]) -> bool:
    """Tell whether the values of some axis lie on the grid of a converter.

    Values near 1 that were rounded to float32 lie on a grid as well: that of float32, which is no converter's.

    Args:
        samples: Samples, shape (n, axes).
        steps: Step of each axis, as `steps_of` returns it.
    """
    peaks = np.abs(samples).max(axis=0, initial=0.0)
    spacings = np.spacing(peaks.astype(np.float32))
    return any(step is not None and step > _FLOAT * space for step, space in zip(steps, spacings, strict=True))


def counts_of(samples: NDArray[Any], steps: list[float | None]) -> Counts:
    """Return samples (n, axes) as whole counts of the converter, or finer where an axis has no step."""
    scales = [step or _fine(axis) for step, axis in zip(steps, samples.T, strict=True)]
    return np.asarray(np.rint(samples / np.asarray(scales, np.float64)), np.int32)


def _fine(axis: NDArray[Any]) -> float:
    peak = float(np.abs(axis).max(initial=0.0))
    return peak / (1 << FINE_BITS) if peak else 1.0
