"""Lines of the shaft: the power at multiples of its speed, and what they resemble if they grow. NumPy only.

An imbalance turns with the shaft and raises the line at its speed. A misaligned coupling raises mostly the line at
twice the speed. Loose parts raise many multiples, and those of half the speed.

Source of these signatures: Randall 2011, "Vibration-based Condition Monitoring", chapter 2.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.likeness import IMBALANCE, LOOSENESS, MISALIGNMENT

ORDERS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
"""Multiples of the shaft speed whose lines are measured."""

GROWN = 2.0
"""Factor beyond its usual power from which a line counts as grown."""

EXPLAINED = 0.5
"""Share of a change's power that the lines must hold."""

_DOMINATES = 0.6
_FEWEST_LOOSE = 4
"""Fewest grown lines of loose parts, one of them at an odd multiple of half the speed."""

_REACH = 1.5
"""Lines of the spectrum on each side that a line of the shaft may be away."""

_SPEED = 0.005
"""Share of its frequency that a line may be away besides, because the speed is known roughly."""

_AROUND = 6.0
_STANDS_OUT = 20.0
"""Factor above the median power around it from which a line is one: 13 dB, which white noise exceeds in one line of a
million."""


def line_powers(samples: NDArray[np.float32], shaft: float) -> NDArray[np.float64]:
    """Return the power at each of `ORDERS` above its surroundings, summed over the axes, shape (9,).

    Args:
        samples: Stretch of vibration, shape (n, axes).
        shaft: Turns of the shaft in the stretch.

    Returns:
        Mean squares in the unit of the samples squared; 0 for a line that does not stand out of what is around it, or
        lies beyond half the sampling rate.
    """
    n = len(samples)
    taper = np.hanning(n)
    by_axis = samples.T.astype(np.float64)
    spectra = np.fft.rfft((by_axis - by_axis.mean(axis=1, keepdims=True)) * taper)
    power = 2 * (np.square(spectra.real) + np.square(spectra.imag)).sum(axis=0) / (n * float(np.square(taper).sum()))
    return np.array([_line_power(power, order * shaft) for order in ORDERS])


def _line_power(power: NDArray[np.float64], centre: float) -> float:
    reach = _REACH + _SPEED * centre
    inside = power[max(1, round(centre - reach)) : round(centre + reach) + 1]
    around = power[max(1, round(centre - reach - _AROUND)) : round(centre + reach + _AROUND) + 1]
    if round(centre + reach) >= len(power) or inside.max() <= _STANDS_OUT * np.median(around):
        return 0.0
    return float(inside.sum() - len(inside) * np.median(around))


def name_of_lines(powers: NDArray[np.float64], usual: NDArray[np.float64], change: float) -> str | None:
    """Return what grown lines resemble: imbalance, misalignment or looseness; None: not the shaft.

    Args:
        powers: What `line_powers` returned.
        usual: Power of each line that the healthy machine seldom exceeds.
        change: Power by which the stretch exceeds the usual one, without white noise, in the same unit.
    """
    grown = np.where(powers > GROWN * usual, powers - usual, 0.0)
    total = float(grown.sum())
    if total <= 0 or total < EXPLAINED * change:
        return None
    share: Mapping[float, float] = dict(zip(ORDERS, (grown / total).tolist(), strict=True))
    if max(share[1.0], share[2.0]) >= _DOMINATES:
        return IMBALANCE if share[1.0] > share[2.0] else MISALIGNMENT
    halves = any(value > 0 for order, value in share.items() if order % 1)
    return LOOSENESS if halves and np.count_nonzero(grown) >= _FEWEST_LOOSE else None
