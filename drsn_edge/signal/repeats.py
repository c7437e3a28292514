"""Repeated samples, equal bit by bit: a frozen buffer, a block sent twice, or an old block in place of a new one.

Every run of 8 samples (all axes) has a fingerprint. One in eight fingerprints is kept for some thousand samples; its
value decides whether it is kept, so that both copies keep the same ones. Where a fingerprint occurs again, the samples
are compared as far as they agree. The probability of each sample, given the samples before it, then decides whether
the agreement can be chance. A pure tone, a machine at rest and a sensor with few levels repeat themselves with a high
probability, and do not count.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.windows import Window
from firmware_bridge.wire.messages import Counts

MEMORY = 16_384
MEMORY_WINDOWS = 16
"""Samples, or windows if that is less, within which a repetition is found. That is about the memory of a sensor board,
and shorter than a recording that is played in a loop. A later repetition is not found."""

SURPRISE_BITS = 64.0
"""Least information of a repetition that counts. A false repetition has a chance of 2^-64 per pair of samples: once in
2^40 windows with 2^24 pairs each."""

_GRAM = 8
_KEPT = np.uint64(1 << 61)
_ORDER = 16
_MOST_SURPRISING = 10.0
_LAGS, _RUNS = 2, 8
_STRETCH, _COUNTED = 1024, 512
_REST = 8
"""Windows without a comparison after a candidate did not count, because a comparison costs as much as ten windows."""

_FACTORS = tuple(np.uint64(f) for f in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_STEPS = tuple(
    (n, np.uint64(f)) for n, f in ((1, 0xD6E8FEB86659FD93), (2, 0xA0761D6478BD642F), (4, 0xE7037ED1A0B428DB))
)


def memory_for(window: int) -> int:
    """Return the number of samples to remember for a model with this window."""
    return min(MEMORY, MEMORY_WINDOWS * window)


class RepeatWatch:
    """Finds samples of a window that repeat earlier samples; it remembers the samples of earlier windows."""

    def __init__(self, memory: int = MEMORY) -> None:
        """Begin without samples; a repetition within `memory` samples is found."""
        self._memory = memory
        self.reset()

    def remember(self, memory: int) -> None:
        """Find repetitions within `memory` samples from now on."""
        self._memory = memory

    def reset(self) -> None:
        """Forget all samples, after a restart of the device."""
        self._end: int | None = None  # index after the last sample taken
        self._chunks: deque[Counts] = deque()  # the latest samples; the last one has the number _taken - 1
        self._tail = np.zeros((0, 1), np.int64)
        self._kept = self._taken = 0
        self._tables: tuple[dict[int, int], dict[int, int]] = ({}, {})  # fingerprint -> number of its first sample
        self._renewed = 0
        self._repeated_until = -1  # an index
        self._rest = 0

    def repeats(self, window: Window) -> bool:
        """Take a window without missing samples, and tell whether it contains repeated samples."""
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

    def repeat(self, windows: Sequence[Window]) -> list[bool]:
        """Return `repeats` of each window, in order."""
        return [self.repeats(window) for window in windows]

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
        """Return the numbers of repeated runs with the numbers of their first occurrence; remember all runs."""
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
        """Return the number after the last repeated sample; None if the repetition may be chance."""
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
    """Return the range of numbers around `at` where samples agree with those `lag` earlier."""
    first = max(lag, at - 1024)
    differs = (samples[first:] != samples[first - lag : len(samples) - lag]).any(axis=1)
    breaks = np.flatnonzero(differs)
    later = breaks[breaks >= at - first]
    earlier = breaks[breaks < at - first]
    low = first if not len(earlier) else first + int(earlier[-1]) + 1
    high = len(samples) if not len(later) else first + int(later[0])
    return begin + low, begin + high


def _fingerprints(samples: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a fingerprint of every run of 8 samples (n, axes), shape (n - 7,): a polynomial modulo 2^64."""
    wide = samples.view(np.uint64)
    prints = wide[:, 0] * _FACTORS[0]
    for axis in range(1, wide.shape[1]):
        prints += wide[:, axis] * _FACTORS[axis % len(_FACTORS)]
    for step, factor in _STEPS:
        prints = prints[:-step] * factor + prints[step:]
    return prints


def surprises(samples: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the information of each of (n, axes) samples in bits, shape (n,), for the axis where it is largest.

    The prediction from the 16 samples before (least squares over the stretch) is subtracted. The frequency of the
    remainder, in steps of the converter, is the probability of the sample.
    """
    bits = np.zeros(len(samples))
    for axis in samples.T:
        values = np.unique(axis)
        steps = np.diff(values)
        step = int(np.sort(steps)[len(steps) // 10]) if len(steps) else 1
        off = _unforeseen(axis) / step
        _, which, times = np.unique(np.rint(off), return_inverse=True, return_counts=True)
        new = np.minimum(np.log2(len(off)) - np.log2(times[which]), _MOST_SURPRISING)
        bits = np.maximum(bits, np.where(np.abs(off) > 1, new, 0))  # rounding alone makes a difference of one step
    return bits


def _unforeseen(axis: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the difference of each sample to its prediction; 0 for the first samples, which have no prediction."""
    x = axis - axis.mean()
    order = min(_ORDER, len(x) // 4)
    if not order:
        return np.zeros(len(x))
    before = np.lib.stride_tricks.sliding_window_view(x[:-1], order).T  # (order, n - order)
    power = before @ before.T
    power[np.diag_indices(order)] += 1e-12 * max(float(power.trace()), 1.0)
    weights = np.linalg.solve(power, before @ x[order:])
    return np.concatenate([np.zeros(order), x[order:] - weights @ before])
