"""The samples of a virtual sensor: arrays of any length in, blocks of int16 counts out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import VirtualDeviceError

Samples = NDArray[np.floating | np.int16]
"""Float values in the unit of the Hello, or int16 counts; shape (n, axes), any n."""

_COUNTS = np.iinfo(np.int16)


def quantise(values: NDArray[np.float64], scale: float) -> tuple[NDArray[np.int16], int]:
    """Round to int16 counts and saturate, as a sensor does.

    Args:
        values: Values in the unit of `scale`, any shape.
        scale: Unit per count, > 0.

    Returns:
        The counts, same shape, and the number of values that were clipped.

    Raises:
        VirtualDeviceError: If a value is NaN.
    """
    counts = np.rint(values / scale)
    if np.isnan(counts).any():
        raise VirtualDeviceError("The samples to send contain NaN. Remove or replace these values.", "nan")
    clipped = np.clip(counts, _COUNTS.min, _COUNTS.max)
    return clipped.astype(np.int16), int(np.count_nonzero(clipped != counts))


class SampleFeed:
    """Cuts samples into blocks, and holds the next block. Samples are taken one item at a time."""

    def __init__(self, samples: Iterable[Samples], n_axes: int, scale: float, block_samples: int) -> None:
        """Prepare; nothing is taken yet.

        Args:
            samples: Arrays of samples; may be endless.
            n_axes: Axes of each sample.
            scale: Unit per count, for floating-point values.
            block_samples: Samples in each block; the last block may be shorter.
        """
        self._n_axes, self._scale, self._block_samples = n_axes, scale, block_samples
        self._blocks = self._cut(samples)
        self.pending: NDArray[np.int16] | None = None
        """The next block, shape (n, axes); None before the first `go_on` and after the end."""
        self.values_clipped = 0

    def go_on(self) -> None:
        """Advance `pending` to the next block.

        Raises:
            VirtualDeviceError: If the samples have a wrong shape or type, or contain NaN.
        """
        self.pending = next(self._blocks, None)

    def skip(self, n_samples: int) -> int:
        """Discard up to `n_samples` samples of the pending block; return the number discarded."""
        if self.pending is None:
            return 0
        gone = min(n_samples, len(self.pending))
        rest = self.pending[gone:]
        if len(rest):
            self.pending = rest
        else:
            self.go_on()
        return gone

    def _cut(self, samples: Iterable[Samples]) -> Iterator[NDArray[np.int16]]:
        size = self._block_samples
        rest = np.empty((0, self._n_axes), np.int16)
        for chunk in samples:
            rest = np.concatenate([rest, self._counts(chunk)])
            whole = len(rest) - len(rest) % size
            yield from rest[:whole].reshape(-1, size, self._n_axes)
            rest = rest[whole:]
        if len(rest):
            yield rest

    def _counts(self, chunk: Samples) -> NDArray[np.int16]:
        if chunk.ndim != 2 or chunk.shape[1] != self._n_axes:
            raise VirtualDeviceError(
                f"Expected samples of shape (n, {self._n_axes}), got {chunk.shape}.",
                "shape",
                axes=self._n_axes,
                got=chunk.shape,
            )
        if np.issubdtype(chunk.dtype, np.floating):
            counts, clipped = quantise(chunk.astype(np.float64), self._scale)
            self.values_clipped += clipped
            return counts
        if chunk.dtype != np.int16:
            raise VirtualDeviceError(
                f"Expected floating-point values or int16 counts, got {chunk.dtype}.", "dtype", got=str(chunk.dtype)
            )
        return chunk.astype(np.int16, copy=False)
