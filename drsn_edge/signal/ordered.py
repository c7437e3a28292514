"""Readings by axes and sorted: what the checks for damage share, of one window or of many at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.wire.messages import Counts

Ints = NDArray[np.int32]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

_WORD = 8
_MOST_WORDS = 128
"""Flags are counted as words of 8 bytes, up to 128 of them: each byte of the sum holds up to 255."""


class Shape(NamedTuple):
    """Quantiles of an axis, from both ends; see `places`."""

    lowest: int
    low_512: int
    low_64: int
    low_32: int
    low_16: int
    low_8: int
    low_4: int
    middle: int
    high_4: int
    high_8: int
    high_16: int
    high_32: int
    high_64: int
    high_512: int
    highest: int

    @property
    def spread(self) -> int:
        """Distance from the lowest 32nd to the highest 32nd: 3.7 standard deviations of noise."""
        return self.high_32 - self.low_32

    @property
    def reach(self) -> int:
        """Distance from the median to the further end."""
        return max(self.highest - self.middle, self.middle - self.lowest)


@lru_cache(maxsize=8)
def places(n: int) -> NDArray[np.intp]:
    """Return where the quantiles of `Shape` are in n sorted samples."""
    low = [0, *(n // share for share in (512, 64, 32, 16, 8, 4))]
    return np.array([*low, n // 2, *(n - 1 - place for place in reversed(low))])


@dataclass(frozen=True)
class Ordered:
    """A window by axes.

    Attributes:
        counts: Readings, shape (axes, window), contiguous.
        ordered: The same readings, each axis sorted.
        full_scale_counts: Smallest magnitude that is taken as clipped.
        most_clipped: Largest share of samples at full scale in a window that is not clipped.
    """

    counts: Ints
    ordered: Ints
    full_scale_counts: float = np.inf
    most_clipped: float = 1.0

    @property
    def n(self) -> int:
        """Number of samples of the window."""
        return self.counts.shape[1]

    @cached_property
    def differences(self) -> Ints:
        """Differences from each sample to the next, shape (axes, window - 1)."""
        return self.counts[:, 1:] - self.counts[:, :-1]

    @cached_property
    def repeats(self) -> list[int]:
        """Number of samples of each axis that equal the sample before."""
        return list(np.count_nonzero(self.differences == 0, axis=1).tolist())

    @cached_property
    def shapes(self) -> list[Shape]:
        """Quantiles of each axis."""
        return [Shape(*row) for row in self.ordered[:, places(self.n)].tolist()]


@dataclass(frozen=True)
class Batch:
    """Windows of the same length by axes.

    Attributes:
        counts: Readings, shape (n, axes, window), contiguous, int16 or int32.
        full_scale_counts: Smallest magnitude that is taken as clipped, of each window, shape (n,).
        most_clipped: Largest share of samples at full scale in a window that is not clipped, of each, shape (n,).
    """

    counts: Counts
    full_scale_counts: NDArray[np.float64]
    most_clipped: NDArray[np.float64]

    @property
    def n(self) -> int:
        """Number of samples of a window."""
        return self.counts.shape[2]

    @cached_property
    def ordered(self) -> Counts:
        """The readings, each axis sorted, shape (n, axes, window)."""
        ordered = self.counts.copy()
        ordered.sort(axis=2, kind=_quickest_kind() if ordered.dtype == np.int16 else None)
        return ordered

    @cached_property
    def equal(self) -> Flags:
        """Whether a sample equals the one before, shape (n, axes, at least window); False beyond the window."""
        n, axes, window = self.counts.shape
        words = -(-window // _WORD)
        per_sum = min(words, _MOST_WORDS)
        equal = np.zeros((n, axes, -(-words // per_sum) * per_sum * _WORD), np.bool_)
        np.equal(self.counts[..., 1:], self.counts[..., :-1], out=equal[..., 1:window])
        return equal

    @cached_property
    def repeats(self) -> Integers:
        """Number of samples that equal the sample before, shape (n, axes)."""
        words: NDArray[Any] = self.equal.view(np.uint64)
        per_sum = min(words.shape[2], _MOST_WORDS)
        sums = np.add.reduce(words.reshape(*words.shape[:2], -1, per_sum), axis=3)
        return np.add.reduce(sums.view(np.uint8), axis=2, dtype=np.int64)

    def window(self, number: int) -> Ordered:
        """Return one of the windows by itself."""
        return Ordered(
            self.counts[number].astype(np.int32),
            self.ordered[number].astype(np.int32),
            float(self.full_scale_counts[number]),
            float(self.most_clipped[number]),
        )


@cache
def _quickest_kind() -> Literal["quicksort", "stable"]:
    """Return how this machine sorts 16 bits faster: few processors can by vector instructions, else bytes are counted.

    The order is the same.
    """
    sample = (40_503 * np.arange(8192) % 65_536).astype(np.uint16).view(np.int16).reshape(8, 1024)

    def took_ns(kind: Literal["quicksort", "stable"]) -> int:
        began_ns = time.perf_counter_ns()
        np.sort(sample, axis=1, kind=kind)
        return time.perf_counter_ns() - began_ns

    stable, quicksort = (min(took_ns(kind) for _ in range(3)) for kind in ("stable", "quicksort"))
    return "stable" if stable <= quicksort else "quicksort"


def batch_of(windows: Sequence[Counts], full_scale_counts: Sequence[float], most_clipped: Sequence[float]) -> Batch:
    """Return windows of the same shape (window, axes) as a batch; see `Batch` for the other values, one per window."""
    window, axes = windows[0].shape
    dtype = np.int16 if windows[0].dtype == np.int16 else np.int32  # half the bytes take half the time
    counts = np.empty((len(windows), axes, window), dtype)
    for number, each in enumerate(windows):
        counts[number] = each.T
    return Batch(counts, np.array(full_scale_counts, np.float64), np.array(most_clipped, np.float64))
