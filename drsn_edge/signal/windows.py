"""Windows and their scaling: the steps from samples to the network's input, the same in training and on the gateway."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        samples: Samples without their means, float32, shape (n, window, axes).
        means: Means that were subtracted, shape (n, axes).
        rms: RMS of each window over its axes, shape (n,).
    """

    samples: FloatArray
    means: NDArray[np.float64]
    rms: NDArray[np.float64]

    def one(self, number: int) -> Centred:
        """Return one of the windows by itself."""
        part = slice(number, number + 1)
        return Centred(self.samples[part], self.means[part], self.rms[part])

    @cached_property
    def spectrum(self) -> NDArray[np.complexfloating]:
        """`np.fft.rfft` of each axis, shape (n, axes, window // 2 + 1). It stays in memory: use it for few windows."""
        return np.fft.rfft(np.ascontiguousarray(self.samples.transpose(0, 2, 1), np.float32))


def centre(windows: FloatArray) -> Centred:
    """Subtract the mean of each axis from windows (n, window, axes)."""
    means = axis_means(windows)
    samples = (windows - means[:, None]).astype(np.float32)
    return Centred(samples, means, np.sqrt(np.mean(np.square(samples, dtype=np.float64), axis=(1, 2))))


def scale_windows(windows: FloatArray, scaling: Scaling) -> FloatArray:
    """Return windows without their means and scaled, float32 of the same shape.

    Args:
        windows: Windows in the contract's unit, shape (n, window, axes). A window without vibration becomes zeros.
        scaling: Scaling of the signal contract.
    """
    return scaled(centre(windows), scaling)


def scaled(windows: Centred, scaling: Scaling) -> FloatArray:
    """Return the same as `scale_windows` for windows without their means."""
    samples, rms = windows.samples, windows.rms[:, None, None]
    if scaling.kind == "fixed":
        return samples / np.float32(scaling.divisor)
    return np.divide(samples, rms, out=np.zeros_like(samples), where=rms > 0, casting="same_kind")


def scaled_spectrum(windows: Centred, scaling: Scaling) -> NDArray[np.complexfloating]:
    """Return `np.fft.rfft` of each axis of `scaled` windows, except for rounding, shape (n, axes, window // 2 + 1).

    It is computed from `Centred.spectrum`, which other stages use as well, so that one transform serves all of them.
    """
    spectrum, rms = windows.spectrum, windows.rms[:, None, None]
    if scaling.kind == "fixed":
        return spectrum / np.float32(scaling.divisor)
    return np.divide(spectrum, rms, out=np.zeros_like(spectrum), where=rms > 0, casting="same_kind")


def axis_means(windows: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of each axis of windows (n, window, axes), shape (n, axes), in half the time of `np.mean`."""
    return np.asarray(np.einsum("nwa->na", windows, dtype=np.float64) / windows.shape[1])


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
