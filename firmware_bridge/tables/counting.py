"""Counters of samples: the values of a column in, how many samples are missing and where out; in bounded memory.

A counter rises by the same whole step from row to row, and may begin again after 8, 16 or 32 bits. A number that
several rows share, or one that begins again with every block of samples, tells nothing about lost samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_bridge.tables.numbers import Numbers

_MODULI = np.array([2.0**8, 2.0**16, 2.0**32])
_STEADY = 0.99
"""Share of steps above which a column that rises by the usual step is a counter of samples."""
_FEW_ODD = 2
"""Odd steps that a short column may have nevertheless."""
_FEWEST = 32
_NEAR = 1 / 256
"""Share of a counter's range that a jump over its end may take to be a jump, and no new beginning."""
_EXACT = 2.0**53


@dataclass(frozen=True)
class Count:
    """What a counter says.

    Attributes:
        is_steady: Whether it rises by the usual step, so that its jumps are missing samples.
        missing: Number of samples that are missing in its jumps.
        jumps: Number of these places.
        sample: Sample before the first jump, from 0; None without jumps.
        value: What the counter is there.
        first: Number of samples missing in the first jump.
        steps: Number of steps from row to row.
        is_mostly_steady: Whether more than half of the steps are the usual one, and no row begins again.
    """

    is_steady: bool
    missing: int = 0
    jumps: int = 0
    sample: int | None = None
    value: float = 0.0
    first: int = 0
    steps: int = 0
    is_mostly_steady: bool = False


@dataclass
class _Jumps:
    """Jumps of one kind so far."""

    missing: float = 0.0
    n: int = 0
    at: tuple[int, float, float] | None = None  # sample before the first one, its value, missing samples

    def add(self, missing: Numbers, samples: Numbers, values: Numbers) -> None:
        """Take in places, of which those with no missing samples are no jumps."""
        found = np.flatnonzero(missing > 0)
        self.missing += float(missing[found].sum())
        self.n += len(found)
        if len(found) and self.at is None:
            self.at = int(samples[found[0]]), float(values[found[0]]), float(missing[found[0]])

    def with_(self, other: _Jumps) -> _Jumps:
        """Return the jumps of both."""
        places = [at for at in (self.at, other.at) if at is not None]
        return _Jumps(self.missing + other.missing, self.n + other.n, min(places, default=None))


class CountMeter:
    """Follows a counter piece by piece."""

    def __init__(self, step: float) -> None:
        """Begin with the usual step."""
        self._step = step
        self._n = self._n_steps = self._n_usual = self._n_falls = 0
        self._last = np.empty(0), np.empty(0)  # sample and value of the last row with a number
        self._most, self._is_exact = 0.0, True
        self._ahead = _Jumps()
        self._over = [_Jumps() for _ in _MODULI]
        self._n_even, self._n_near = np.zeros(len(_MODULI), int), np.zeros(len(_MODULI), int)

    def add(self, values: Numbers) -> None:
        """Take in the values of the next rows, shape (n,); NaN where a row has none."""
        kept = np.flatnonzero(np.isfinite(values))
        samples = np.concatenate([self._last[0], kept + float(self._n)])
        self._n += len(values)
        values = np.concatenate([self._last[1], values[kept]])
        self._last = samples[-1:], values[-1:]
        if not len(values):
            return
        self._most = max(self._most, float(values.max()))
        self._is_exact &= bool(values.min() >= 0 and self._most < _EXACT)
        steps, rows = np.diff(values), np.diff(samples)
        ahead = steps / self._step - rows
        is_fall = steps < 0
        self._n_steps += len(steps)
        self._n_usual += int(np.count_nonzero(ahead == 0))
        self._ahead.add(np.where(is_fall, 0, np.rint(ahead)), samples, values)
        self._n_falls += int(np.count_nonzero(is_fall))
        for at, modulus in enumerate(_MODULI if is_fall.any() else ()):
            over = np.mod(steps[is_fall], modulus) / self._step - rows[is_fall]
            self._over[at].add(np.rint(over), samples[:-1][is_fall], values[:-1][is_fall])
            self._n_even[at] += np.count_nonzero(over == 0)
            self._n_near[at] += np.count_nonzero((over >= 0) & (over < _NEAR * modulus / self._step))

    def count(self) -> Count:
        """Return what all values so far say."""
        jumps, n_usual = self._ahead, self._n_usual
        at = int(np.searchsorted(_MODULI, self._most, side="right"))
        if self._n_falls and at < len(_MODULI):
            is_full = self._most + self._step >= _MODULI[at]
            if is_full or 2 * self._n_near[at] > self._n_falls:
                jumps, n_usual = jumps.with_(self._over[at]), n_usual + int(self._n_even[at])
        is_steady = self._is_exact and _is_steady(n_usual, self._n_steps)
        if jumps.at is None:
            return Count(is_steady, steps=self._n_steps)
        sample, value, first = jumps.at
        is_mostly = 2 * n_usual > self._n_steps and not self._n_falls
        return Count(is_steady, round(jumps.missing), jumps.n, sample, value, round(first), self._n_steps, is_mostly)


def step_of(values: Numbers) -> float:
    """Return the usual step of a counter by its first values; 0 if it is no whole number above 0."""
    values = values[np.isfinite(values)]
    step = float(np.median(np.diff(values))) if len(values) > 1 else 0.0
    return step if step >= 1 and step == round(step) else 0.0


def is_count(values: Numbers) -> bool:
    """Tell whether values rise by 1 from row to row, but for lost samples and new beginnings."""
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or step_of(values) != 1:
        return False
    meter = CountMeter(1.0)
    meter.add(values)
    return meter.count().is_steady


def _is_steady(n_usual: int, n_steps: int) -> bool:
    return n_steps >= _FEWEST and n_steps - n_usual <= max(_FEW_ODD, (1 - _STEADY) * n_steps)
