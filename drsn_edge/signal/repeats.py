"""Samples that came before, bit for bit: a frozen buffer, a block sent twice, an old block in place of the new one.

Every 8 samples in a row, all axes, get a fingerprint, and an eighth of the fingerprints, chosen by their own value and
so the same in both copies, is kept for some thousand samples. Where one comes again, the samples themselves are
compared as far as they agree, and it is asked how much of a coincidence that is: by how unlikely each of them was,
given those before it. A pure tone, a machine at rest or a sensor of few levels repeats itself and surprises nobody.
"""

from __future__ import annotations

from collections import Counter, deque

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.windows import Window
from firmware_bridge.wire.messages import Counts

MEMORY = 16_384
MEMORY_WINDOWS = 16
"""Samples, and windows if that is less, for which a repetition is remembered: about what the memory of a sensor's board
can hold, and less than recordings have that are played again and again. What repeats later goes unnoticed."""

SURPRISE_BITS = 64.0
"""A repetition by chance is that unlikely, 2^-64: once in 2^24 pairs of samples and 2^40 windows."""

_GRAM = 8
_KEPT = np.uint64(1 << 61)
_ORDER = 16
_MOST_SURPRISING = 10.0
_LAGS, _RUNS = 2, 8
_STRETCH, _COUNTED = 1024, 512
_REST = 8
"""So many windows pass after a coincidence was none before the next is looked at: it costs as much as ten windows."""

_FACTORS = tuple(np.uint64(f) for f in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_STEPS = tuple(
    (n, np.uint64(f)) for n, f in ((1, 0xD6E8FEB86659FD93), (2, 0xA0761D6478BD642F), (4, 0xE7037ED1A0B428DB))
)


def memory_for(window: int) -> int:
    """Return for how many samples to remember what a model with this window sees."""
    return min(MEMORY, MEMORY_WINDOWS * window)


class RepeatWatch:
    """Notices samples of a window that were there before; remembers from window to window."""

    def __init__(self, memory: int = MEMORY) -> None:
        """Begin knowing nothing; what repeats within `memory` samples is noticed."""
        self._memory = memory
        self.reset()

    def reset(self) -> None:
        """Forget everything: a device began anew."""
        self._end: int | None = None  # index behind the last sample taken
        self._chunks: deque[Counts] = deque()  # the last samples; the very last has the number _taken - 1
        self._tail = np.zeros((0, 1), np.int64)
        self._kept = self._taken = 0
        self._tables: tuple[dict[int, int], dict[int, int]] = ({}, {})  # fingerprint -> number of its first sample
        self._renewed = 0
        self._repeated_until = -1  # an index
        self._rest = 0

    def repeats(self, window: Window) -> bool:
        """Take in a window that lacks no sample, each sample once, and tell whether it holds any for a second time."""
        if window.lost_samples:
            return False
        end = window.first_sample + len(window.counts)
        known = window.first_sample if self._end is None else max(window.first_sample, self._end)
        if self._end is not None and end < self._end:
            self.reset()
            known = window.first_sample
        if known < end:
            self._take(window.counts[known - window.first_sample :], end)
            self._end = end
        return window.first_sample < self._repeated_until

    def _take(self, new: Counts, end: int) -> None:
        samples = np.concatenate([self._tail, new.astype(np.int64)]) if len(self._tail) else new.astype(np.int64)
        first = self._taken - len(self._tail)
        self._chunks.append(new)
        self._kept += len(new)
        while self._kept - len(self._chunks[0]) >= self._memory + 2 * _GRAM:
            self._kept -= len(self._chunks.popleft())
        self._taken += len(new)
        self._tail = samples[1 - _GRAM :]
        matches = self._matches(samples, first)
        self._rest = max(0, self._rest - 1)
        if matches and not self._rest:
            behind = self._confirmed(matches, len(new))
            if behind is None:
                self._rest = _REST
            else:
                self._repeated_until = max(self._repeated_until, end - (self._taken - behind))

    def _matches(self, samples: NDArray[np.int64], first: int) -> list[tuple[int, int]]:
        """Return the numbers of the grams that came before, and of the same ones then; remember all of them."""
        if len(samples) < _GRAM:
            return []
        if self._taken - self._renewed > self._memory:
            self._tables, self._renewed = ({}, self._tables[0]), self._taken
        table, older = self._tables
        prints = _fingerprints(samples)
        chosen = np.flatnonzero(prints < _KEPT)
        found = []
        for place, value in zip(chosen.tolist(), prints[chosen].tolist(), strict=True):
            at = table.get(value)
            if at is None:
                at = older.get(value)
            if at is not None and first + place - at <= self._memory:
                found.append((first + place, at))
            table[value] = first + place
        return found

    def _confirmed(self, matches: list[tuple[int, int]], n_new: int) -> int | None:
        """Return the number behind the last sample that is there again, None if that is no surprise."""
        kept: NDArray[np.int32] = np.concatenate(self._chunks).astype(np.int32)
        begin = self._taken - self._kept
        bits = surprises(kept[-max(n_new, _STRETCH) :])
        bits_begin = self._taken - len(bits)
        lags = Counter(at - before for at, before in matches)
        for lag, _ in lags.most_common(_LAGS):
            runs: list[tuple[int, int]] = []
            for at in (at for at, before in matches if at - before == lag and before >= begin):
                if len(runs) < _RUNS and (not runs or at >= runs[-1][1]):
                    runs.append(_run(kept, at - begin, lag, begin))
            found = (
                bits[max(a, b - _COUNTED, bits_begin) - bits_begin : max(b - bits_begin, 0)].sum() for a, b in runs
            )
            if sum(found) >= SURPRISE_BITS:
                return max(b for _, b in runs)
        return None


def _run(samples: NDArray[np.int32], at: int, lag: int, begin: int) -> tuple[int, int]:
    """Return the numbers between which samples agree with those `lag` before, around a place where they do."""
    first = max(lag, at - 1024)
    differs = (samples[first:] != samples[first - lag : len(samples) - lag]).any(axis=1)
    breaks = np.flatnonzero(differs)
    later = breaks[breaks >= at - first]
    earlier = breaks[breaks < at - first]
    low = first if not len(earlier) else first + int(earlier[-1]) + 1
    high = len(samples) if not len(later) else first + int(later[0])
    return begin + low, begin + high


def _fingerprints(samples: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return one number for every 8 samples in a row of (n, axes), shape (n - 7,): a polynomial modulo 2^64."""
    wide = samples.view(np.uint64)
    prints = wide[:, 0] * _FACTORS[0]
    for axis in range(1, wide.shape[1]):
        prints += wide[:, axis] * _FACTORS[axis % len(_FACTORS)]
    for step, factor in _STEPS:
        prints = prints[:-step] * factor + prints[step:]
    return prints


def surprises(samples: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return how unlikely each of (n, axes) samples was, in bits, shape (n,); of the axis where it was most.

    What the 16 samples before it foretell is taken away (least squares over the stretch); how often the rest, in steps
    of the converter, has its value says how likely it was.
    """
    bits = np.zeros(len(samples))
    for axis in samples.T:
        values = np.unique(axis)
        steps = np.diff(values)
        step = int(np.sort(steps)[len(steps) // 10]) if len(steps) else 1
        off = _unforeseen(axis) / step
        _, which, times = np.unique(np.rint(off), return_inverse=True, return_counts=True)
        new = np.minimum(np.log2(len(off)) - np.log2(times[which]), _MOST_SURPRISING)
        bits = np.maximum(bits, np.where(np.abs(off) > 1, new, 0))  # a step is as much as rounding does
    return bits


def _unforeseen(axis: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return what the samples before each do not foretell; 0 for the first ones, which have none."""
    x = axis - axis.mean()
    order = min(_ORDER, len(x) // 4)
    if not order:
        return np.zeros(len(x))
    before = np.lib.stride_tricks.sliding_window_view(x[:-1], order).T  # (order, n - order)
    power = before @ before.T
    power[np.diag_indices(order)] += 1e-12 * max(float(power.trace()), 1.0)
    weights = np.linalg.solve(power, before @ x[order:])
    return np.concatenate([np.zeros(order), x[order:] - weights @ before])
