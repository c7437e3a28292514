"""Gravity as a check of units: a sensor at rest, and the mean of one on a machine, shows an acceleration of 1 g."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.units import KNOWN_UNITS, canonical, gravity_in

WITHIN = 0.05
"""Largest relative difference from the length of gravity, which the offsets of a sensor change by a few percent."""


def length_of(means: NDArray[np.float64]) -> float:
    """Return the length of the mean vector of one window or recording, shape (axes,)."""
    return float(np.linalg.norm(means))


def units_by_gravity(length: float) -> tuple[str, ...]:
    """Return the units in which a mean vector of this length may be gravity: none, or several as mg and cm/s2."""
    return tuple(unit for unit in KNOWN_UNITS if abs(length / gravity_in(unit) - 1) < WITHIN)


def trained_gravity(means: NDArray[np.float64], unit: str) -> float | None:
    """Return the length of gravity in training, in the contract's unit, if all recordings agree that they show it.

    Args:
        means: Mean of each axis of each window, shape (n, axes).
        unit: Unit of the contract.
    """
    if canonical(unit) not in KNOWN_UNITS:
        return None
    lengths = np.linalg.norm(means, axis=1)
    low, middle, high = (set(units_by_gravity(length)) for length in np.quantile(lengths, (0.05, 0.5, 0.95)).tolist())
    return float(np.median(lengths)) if low & middle & high else None
