"""Which windows need the checks for damage: a few quantiles of each axis pass most windows, for all windows at once.

Nearly all checks begin with limits to combinations of an axis' values that are linear, so that one product of matrices
tells which axes are within them. The limits are the checks' own or wider: a window that a check would refuse is always
suspect, and the check itself decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.amplitude import (
    BLUNT,
    CROWDED,
    LEAST_CLIPPED,
    LEAST_HALF,
    LEAST_HELD,
    LEAST_WINDOW,
    OUTERMOST,
    SPIKE_SPREADS,
    STEP_PARTS,
    STEP_SHARE,
    clipped_margin,
)
from drsn_edge.signal.ordered import Batch, Flags, Shape, places
from firmware_bridge.wire.messages import Counts

LEAST_PILE = 3
"""Fewest samples at the outermost value that may be a pile."""
LEAST_RUN = 8
"""Fewest equal values in a row that count as stuck."""
LEAST_REPEATS, REPEATS_OF_NOISE = 12, 4.5
"""Readings repeat the one before more often than noise does above 12 and 4.5 times the number of samples per count of
the spread."""

_SLACK = 1e-3
"""Limits are wider by this many counts, far above the rounding of the product."""

_VALUES = (
    *Shape._fields, "low_pile", "high_pile", "spread", "half", "full_scale", "step", "repeats", "by_chance", "one",
)  # fmt: skip
"""Values of an axis: its quantiles, the readings that are the third from both ends, the spread (at least 4), the power
of two above all readings, full scale, the difference of the means of the first and the last eighth, the number of
repeats and that of noise, and 1."""
_BY_CHANCE, _LOW_32, _HIGH_32 = map(_VALUES.index, ("by_chance", "low_32", "high_32"))

_FOUR = 0x01010101
"""Four flags in a row, as a word: half a run of 8 holds an aligned one."""

_Limit = dict[str, float]
"""A combination of values by their factors, which is at least 0 for a suspect axis."""


@dataclass(frozen=True)
class _Table:
    """The limits of all checks for windows of one length.

    Attributes:
        names: Names of the checks, first of those with limits.
        factors: Factors of the values, shape (limits, values).
        tests: First limit of each test; an axis is suspect by a test that is within all its limits.
        checks: First test of each check; an axis is suspect to a check by any of its tests.
    """

    names: tuple[str, ...]
    factors: NDArray[np.float64]
    tests: NDArray[np.intp]
    checks: NDArray[np.intp]


def suspects(batch: Batch) -> dict[str, Flags]:
    """Return by the name of each check which windows may fail it, shape (n,)."""
    n, axes, window = batch.counts.shape
    table, values = _table_for(window), _values(batch)
    within = table.factors @ values >= -_SLACK
    tests = np.logical_and.reduceat(within, table.tests)
    checks = np.logical_or.reduceat(tests, table.checks)
    found = np.empty((len(table.names), n, axes), np.bool_)
    found[: len(checks)] = checks.reshape(-1, n, axes)
    found[table.names.index("sticks")] = _is_stuck(batch)
    if window >= LEAST_WINDOW:
        found[table.names.index("bit")] = _has_stuck_bit(batch.counts)
        found[table.names.index("dropout")] = _drops_out(batch, values[_BY_CHANCE].reshape(n, axes))
    windows: Flags = np.asarray(found.any(axis=2))
    return dict(zip(table.names, windows, strict=True))


def _values(batch: Batch) -> NDArray[np.float64]:
    """Return the values of each axis, shape (values, n * axes)."""
    n, axes, window = batch.counts.shape
    counts, ordered = batch.counts.reshape(n * axes, window), batch.ordered.reshape(n * axes, window)
    quantiles = len(Shape._fields)
    values = np.ones((len(_VALUES), n * axes))
    values[: quantiles + 2] = ordered.take(_places_for(window), axis=1).T
    low, high = values[0], values[quantiles - 1]
    spread, half, full_scale, step, repeats, by_chance = values[quantiles + 2 : -1]
    np.subtract(values[_HIGH_32], values[_LOW_32], out=spread)
    np.divide(REPEATS_OF_NOISE * window, np.maximum(spread, 1), out=by_chance)
    np.maximum(spread, 4, out=spread)
    np.ldexp(1.0, np.frexp(np.maximum(np.maximum(high, -low - 1), 1))[1], out=half)
    full_scale.reshape(n, axes)[:] = batch.full_scale_counts[:, None]
    part = max(1, window // STEP_PARTS)
    np.subtract(_sums(counts[:, :part]), _sums(counts[:, -part:]), out=step)
    np.abs(step, out=step)
    step /= part
    repeats[:] = batch.repeats.ravel()
    return values


def _sums(counts: Counts) -> NDArray[np.int64]:
    return np.add.reduce(counts, axis=1, dtype=np.int64)


@lru_cache(maxsize=8)
def _places_for(window: int) -> NDArray[np.intp]:
    third = min(LEAST_PILE, window) - 1
    return np.array([*places(window), third, window - 1 - third])


@lru_cache(maxsize=8)
def _table_for(window: int) -> _Table:
    checks = _limits(window)
    tests = [test for each in checks.values() for test in each]
    limits = [limit for test in tests for limit in test]
    return _Table(
        (*checks, "sticks", *(("bit", "dropout") if window >= LEAST_WINDOW else ())),
        np.array([[limit.get(name, 0.0) for name in _VALUES] for limit in limits]),
        np.cumsum([0, *map(len, tests)])[:-1],
        np.cumsum([0, *map(len, checks.values())])[:-1],
    )


def _limits(window: int) -> dict[str, list[list[_Limit]]]:
    """Return the tests of each check, and the limits of each test."""
    checks: dict[str, list[list[_Limit]]] = {
        "flat": [[{"lowest": 1, "highest": -1}]],
        "limit": [[{"highest": 1, "full_scale": -1}], [{"lowest": -1, "full_scale": -1}]],
        "held": [[{"repeats": 1, "one": -LEAST_HELD * window}]],
        "piled": [[{"lowest": 1, "low_pile": -1}], [{"highest": -1, "high_pile": 1}]],
        "repeated": [[{"repeats": 1, "one": -LEAST_REPEATS, "by_chance": -1}]],
    }
    if window >= LEAST_WINDOW:
        checks["spikes"] = [
            *checks["limit"],
            [{"highest": 1, "middle": -1, "spread": -2 * SPIKE_SPREADS}],
            [{"middle": 1, "lowest": -1, "spread": -2 * SPIKE_SPREADS}],
        ]
        is_wide: _Limit = {"half": 1, "one": -LEAST_HALF}
        checks["wraps"] = [
            [is_wide, {"highest": 1, "half": -0.9}, {"lowest": -1, "half": -0.9}],
            [is_wide, {"lowest": 1}, {"highest": 1, "lowest": -16}, {"highest": 1, "half": -15 / 16}],
        ]
        checks["offset"] = [[{"step": 1, "spread": -STEP_SHARE}]]
    if window >= LEAST_CLIPPED:
        checks["clips"] = [[each] for each in _clipped_limits(clipped_margin(window))]
    return checks


def _clipped_limits(margin: float) -> list[_Limit]:
    """Return the limits of crowding at both ends, and of bluntness, in steps of a count."""
    found: list[_Limit] = []
    for end, sign in (("low", 1), ("high", -1)):
        outermost = "lowest" if end == "low" else "highest"
        for a, b, most in ((64, 32, OUTERMOST), (32, 16, 1.0), (16, 8, 1.0), (8, 4, 1.0)):
            most *= CROWDED * margin
            found.append({
                f"{end}_{b}": sign, f"{end}_{a}": -sign * (1 + most), outermost: sign * most, "one": -most,
            })  # fmt: skip
    blunt: _Limit = {"high_32": BLUNT, "low_32": -BLUNT, "high_512": -margin, "low_512": margin, "one": -margin}
    return [*found, blunt]


def _is_stuck(batch: Batch) -> Flags:
    """Tell which axes hold a value for `LEAST_RUN` samples and one more, shape (n, axes)."""
    suspect: Flags = (batch.equal.view(np.uint32) == _FOUR).any(axis=2)
    if suspect.any():
        runs = batch.equal[suspect]
        for length in (1, 2, 4):  # 8 in a row
            runs = runs[:, :-length] & runs[:, length:]
        suspect[suspect] = runs.any(axis=1)
    return suspect


def _has_stuck_bit(counts: Counts) -> Flags:
    """Tell on which axes of (n, axes, window) a bit never changes although bits above and below it change."""
    changing = np.bitwise_or.reduce(counts, axis=2) ^ np.bitwise_and.reduce(counts, axis=2)
    return (changing + (changing & -changing)) & changing != 0  # one run of bits carries over into none of them


def _drops_out(batch: Batch, by_chance: NDArray[np.float64]) -> Flags:
    """Tell on which axes one value occurs more often than `by_chance` makes likely, shape (n, axes)."""
    usual = np.minimum(8 + np.ceil(by_chance), batch.n).astype(np.int64)
    part = batch.ordered[..., :: (int(usual.min()) + 1) // 2]  # holds such a value twice
    suspect: Flags = (part[..., 1:] == part[..., :-1]).any(axis=2)
    for number, axis in np.argwhere(suspect).tolist() if suspect.any() else ():
        row, often = batch.ordered[number, axis], int(usual[number, axis])
        suspect[number, axis] = (row[often:] == row[:-often]).any()
    return suspect
