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
from functools import lru_cache
from typing import NamedTuple

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
_AT_ONCE = 8192
"""Fingerprints that are computed at once: the arrays of more do not fit into caches."""
_REST = 8
"""Windows without a comparison after a candidate did not count, because a comparison costs as much as ten windows."""

_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
_STEPS = tuple(
    (n, np.uint64(f)) for n, f in ((1, 0xD6E8FEB86659FD93), (2, 0xA0761D6478BD642F), (4, 0xE7037ED1A0B428DB))
)


def memory_for(window: int) -> int:
    """Return the number of samples to remember for a model with this window."""
    return min(MEMORY, MEMORY_WINDOWS * window)


class _New(NamedTuple):
    """What a window brings.

    Attributes:
        first_sample: Index of its first sample; None if samples are missing.
        end: Index after its last sample.
        counts: Samples that no window before it had, shape (n, axes); None without such samples.
    """

    first_sample: int | None
    end: int
    counts: Counts | None


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
        self._tail: list[Counts] = []  # the samples that begin the next fingerprints
        self._kept = self._taken = 0
        self._prints = np.zeros(0, np.uint64)  # fingerprints within the memory, without those that occurred again
        self._numbers = np.zeros(0, np.int64)  # numbers of their first samples, ascending
        self._repeated_until = -1  # an index
        self._rest = 0

    def repeats(self, window: Window) -> bool:
        """Take a window without missing samples, and tell whether it contains repeated samples."""
        return self.repeat([window])[0]

    def repeat(self, windows: Sequence[Window]) -> list[bool]:
        """Take windows in order, and tell for each whether it contains repeated samples.

        The answers are those of one window at a time. A window with missing samples is left out: False.
        """
        found: list[bool] = []
        while len(found) < len(windows):
            found += self._take(self._new(windows[len(found) :]))
        return found

    def _new(self, windows: Sequence[Window]) -> list[_New]:
        """Return what is new in windows up to the next one that a sensor sends after a restart."""
        new: list[_New] = []
        for window in windows:
            end = window.first_sample + len(window.counts)
            if not window.lost_samples and self._end is not None and end < self._end:
                if new:
                    break
                self.reset()
            known = window.first_sample if self._end is None else max(window.first_sample, self._end)
            is_new = not window.lost_samples and known < end
            counts = window.counts[known - window.first_sample :] if is_new else None
            new.append(_New(None if window.lost_samples else window.first_sample, end, counts))
            if is_new:
                self._end = end
        return new

    def _take(self, new: Sequence[_New]) -> list[bool]:
        matches = self._matches([each.counts for each in new if each.counts is not None])
        found = []
        for each in new:
            if each.counts is not None:
                self._add(each.counts)
                self._judge(matches, len(each.counts), each.end)
            found.append(each.first_sample is not None and each.first_sample < self._repeated_until)
        return found

    def _add(self, counts: Counts) -> None:
        self._chunks.append(counts)
        self._kept += len(counts)
        while self._kept - len(self._chunks[0]) >= self._memory + 2 * _GRAM:
            self._kept -= len(self._chunks.popleft())
        self._taken += len(counts)

    def _judge(self, matches: Sequence[tuple[int, int]], n_new: int, end: int) -> None:
        """Judge the matches that end within the last `n_new` samples; `end` is the index after them."""
        self._rest = max(0, self._rest - 1)
        if self._rest or not matches:
            return
        ended = [each for each in matches if self._taken - n_new < each[0] + _GRAM <= self._taken]
        if not ended:
            return
        behind = self._confirmed(ended, n_new)
        if behind is None:
            self._rest = _REST
        else:
            self._repeated_until = max(self._repeated_until, end - (self._taken - behind))

    def _matches(self, new: Sequence[Counts]) -> list[tuple[int, int]]:
        """Return the numbers of repeated runs with those of their last occurrence before; remember all runs."""
        if not new:
            return []
        samples = np.concatenate([*self._tail, *new])
        self._tail = [samples[1 - _GRAM :].copy()]
        end = self._taken + sum(map(len, new))
        places, prints = _kept_fingerprints(samples)
        self._prints = np.concatenate([self._prints, prints])
        self._numbers = np.concatenate([self._numbers, places + (end - len(samples))])
        found = self._again()
        oldest = np.searchsorted(self._numbers, end + 1 - _GRAM - self._memory)
        self._prints, self._numbers = self._prints[oldest:], self._numbers[oldest:]
        return found

    def _again(self) -> list[tuple[int, int]]:
        """Return the fingerprints that occur again, by number; forget where they occurred before."""
        ordered = np.sort(self._prints)
        if not (ordered[1:] == ordered[:-1]).any():  # a plain sort takes a quarter of the time
            return []
        order = np.argsort(self._prints, kind="stable")
        ordered = self._prints[order]
        again = np.flatnonzero(ordered[1:] == ordered[:-1])
        before, after = order[again], order[again + 1]
        at = self._numbers[after]
        near = np.flatnonzero(at - self._numbers[before] <= self._memory)
        by_time = near[np.argsort(at[near])]
        pairs = list(zip(at[by_time].tolist(), self._numbers[before[by_time]].tolist(), strict=True))
        self._prints, self._numbers = np.delete(self._prints, before), np.delete(self._numbers, before)
        return pairs

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


def _kept_fingerprints(samples: Counts) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return which runs of 8 of the samples (n, axes) have a fingerprint that is kept, and those fingerprints."""
    found = []
    for start in range(0, max(1, len(samples) + 1 - _GRAM), _AT_ONCE):
        prints = _fingerprints(samples[start : start + _AT_ONCE + _GRAM - 1])
        chosen = np.flatnonzero(prints < _KEPT)
        found.append((chosen + start, prints[chosen]))
    if len(found) == 1:
        return found[0]
    places, kept = zip(*found, strict=True)
    return np.concatenate(places), np.concatenate(kept)


@lru_cache(maxsize=8)
def _factors(axes: int) -> NDArray[np.uint64]:
    return np.resize(_FACTORS, (axes, 1))


def _fingerprints(samples: Counts) -> NDArray[np.uint64]:
    """Return a fingerprint of every run of 8 samples (n, axes), shape (n - 7,): a polynomial modulo 2^64."""
    by_axis = samples.T.astype(np.uint64, order="C")
    by_axis *= _factors(len(by_axis))
    prints: NDArray[np.uint64] = np.add.reduce(by_axis)
    for step, factor in _STEPS:
        sums = prints[:-step] * factor
        sums += prints[step:]
        prints = sums
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
