"""Windows and their scaling: the steps from samples to the network's input, the same in training and on the gateway."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.spectra import Transform
from firmware_bridge.wire.messages import Counts

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Scaling:
    """How a window is scaled after the mean of each axis was subtracted.

    The mean is subtracted because it depends on the mounting of the sensor, not on the machine. All axes have the same
    factor, which preserves their ratio and therefore the direction of the vibration.

    Attributes:
        kind: `rms` divides by the window's own RMS over all axes; `fixed` divides by `divisor`.
        divisor: Divisor of `fixed`, in the contract's unit.
    """

    kind: str = "rms"
    divisor: float = 1.0


@dataclass(frozen=True)
class Centred:
    """Windows without their means, which several stages use.

    Attributes:
        by_axis: Samples without their means, float32, contiguous, shape (n, axes, window).
        means: Means that were subtracted, shape (n, axes).
        rms: RMS of each window over its axes, shape (n,).
    """

    by_axis: FloatArray
    means: NDArray[np.float64]
    rms: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.by_axis)

    @property
    def samples(self) -> FloatArray:
        """Samples without their means, shape (n, window, axes), a view."""
        return self.by_axis.transpose(0, 2, 1)

    def part(self, of: slice | NDArray[np.intp]) -> Centred:
        """Return some of the windows."""
        return Centred(self.by_axis[of], self.means[of], self.rms[of])

    def some(self, numbers: Sequence[int]) -> Centred:
        """Return the windows with these numbers, ascending; all of them are these windows, with what is cached."""
        return self if len(numbers) == len(self) else self.part(np.array(numbers, np.intp))

    def parts(self, most: int) -> Iterator[tuple[slice, Centred]]:
        """Yield at most `most` windows at a time with their place; all of them are yielded as they are, with caches."""
        if len(self) <= most:
            yield slice(None), self
        else:
            yield from ((at := slice(first, first + most), self.part(at)) for first in range(0, len(self), most))

    @cached_property
    def transform(self) -> Transform:
        """Fourier transform of each axis. It stays in memory: use it for few windows, such as those of `parts`."""
        return Transform(np.fft.rfft(self.by_axis), self.by_axis.shape[2], np.square(self.rms))


def centre(windows: NDArray[Any]) -> Centred:
    """Subtract the mean of each axis from windows (n, window, axes)."""
    # Sums over float64 alone, row by row: a sum that converts would be split differently in windows beside each other.
    values = np.array(windows.transpose(0, 2, 1), np.float64, order="C")
    n, axes, window = values.shape
    means = np.add.reduce(values, axis=2) / window
    values -= means[:, :, None]
    by_axis = values.astype(np.float32)
    values[...] = by_axis
    np.square(values, out=values)
    return Centred(by_axis, means, np.sqrt(np.add.reduce(values.reshape(n, axes * window), axis=1) / (axes * window)))


def scale_windows(windows: FloatArray, scaling: Scaling) -> FloatArray:
    """Return windows without their means and scaled, float32 of the same shape.

    Args:
        windows: Windows in the contract's unit, shape (n, window, axes). A window without vibration becomes zeros.
        scaling: Scaling of the signal contract.
    """
    return scaled(centre(windows), scaling)


def scaled(windows: Centred, scaling: Scaling) -> FloatArray:
    """Return the same as `scale_windows` for windows without their means; the result is contiguous."""
    by = divisors(windows, scaling)[:, None, None]
    divided = windows.by_axis.astype(by.dtype)
    divided /= by
    return np.ascontiguousarray(divided.transpose(0, 2, 1), np.float32)


def divisors(windows: Centred, scaling: Scaling) -> NDArray[np.floating]:
    """Return the number that each window is divided by, shape (n,); infinite for a window without vibration."""
    if scaling.kind == "fixed":
        return np.full(len(windows), scaling.divisor, np.float32)
    return np.where(windows.rms > 0, windows.rms, np.inf)


def window_starts(n_samples: int, window: int, hop: int) -> NDArray[np.int64]:
    """Return the first sample of each whole window in a stretch of n_samples; empty if no window fits."""
    return np.arange(0, n_samples - window + 1, hop, dtype=np.int64)


def cut_windows(samples: FloatArray, starts: NDArray[np.int64], window: int) -> FloatArray:
    """Return the windows of samples (n_samples, axes) that begin at `starts`, shape (len(starts), window, axes)."""
    return samples[starts[:, None] + np.arange(window)]


def as_network_input(windows: FloatArray) -> FloatArray:
    """Return windows (n, window, axes) in the shape of the network's input, (n, 1, window, axes)."""
    return windows[:, None]


@dataclass(frozen=True)
class Window:
    """One window of raw samples.

    Attributes:
        first_sample: Index of the first sample in the session of the sensor.
        device_time_s: Time of that sample by the sensor's clock, in seconds.
        counts: Readings, shape (window, axes); 0 for missing samples.
        lost_samples: Number of missing samples. A window with missing samples must not be classified.
        has_seam: Whether an unknown number of samples is missing inside the window. Such a window must not be
            classified.
    """

    first_sample: int
    device_time_s: float
    counts: Counts
    lost_samples: int
    has_seam: bool = False
