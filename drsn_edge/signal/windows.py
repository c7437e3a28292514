"""Windows and their scaling: what happens to samples between the sensor and the network, training and gateway alike."""

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
    """How a window is scaled after its mean was taken away, axis by axis.

    The mean goes because it tells how the sensor was mounted, not how the machine runs. One factor serves all axes, so
    that their ratio, the direction of the vibration, stays.

    Attributes:
        kind: "rms" divides by the window's RMS over all axes; "fixed" divides by `divisor`.
        divisor: In the contract's unit, used by "fixed" only.
    """

    kind: str = "rms"
    divisor: float = 1.0


@dataclass(frozen=True)
class Centred:
    """Windows without their means, which several stages ask for.

    Attributes:
        samples: Shape (n, window, axes), float32.
        means: Which were taken away, shape (n, axes).
        rms: Of each window over its axes, shape (n,).
    """

    samples: FloatArray
    means: NDArray[np.float64]
    rms: NDArray[np.float64]

    @cached_property
    def spectrum(self) -> NDArray[np.complexfloating]:
        """`np.fft.rfft` of each axis, shape (n, axes, window // 2 + 1); it is kept, so ask it of few windows."""
        return np.fft.rfft(np.ascontiguousarray(self.samples.transpose(0, 2, 1), np.float32))


def centre(windows: FloatArray) -> Centred:
    """Take away each axis' mean from windows (n, window, axes)."""
    means = axis_means(windows)
    samples = (windows - means[:, None]).astype(np.float32)
    return Centred(samples, means, np.sqrt(np.mean(np.square(samples, dtype=np.float64), axis=(1, 2))))


def scale_windows(windows: FloatArray, scaling: Scaling) -> FloatArray:
    """Return windows without their mean and scaled, float32 of the same shape.

    Args:
        windows: Shape (n, window, axes), in the contract's unit.
        scaling: From the signal contract. A window without any vibration stays zero rather than being divided by zero.
    """
    return scaled(centre(windows), scaling)


def scaled(windows: Centred, scaling: Scaling) -> FloatArray:
    """Return what `scale_windows` does, of windows whose means are gone."""
    samples, rms = windows.samples, windows.rms[:, None, None]
    if scaling.kind == "fixed":
        return samples / np.float32(scaling.divisor)
    return np.divide(samples, rms, out=np.zeros_like(samples), where=rms > 0, casting="same_kind")


def scaled_spectrum(windows: Centred, scaling: Scaling) -> NDArray[np.complexfloating]:
    """Return `np.fft.rfft` of each axis of `scaled` windows, but for rounding, shape (n, axes, window // 2 + 1).

    It is made of `Centred.spectrum`, which others ask for as well: one transform serves all of them.
    """
    spectrum, rms = windows.spectrum, windows.rms[:, None, None]
    if scaling.kind == "fixed":
        return spectrum / np.float32(scaling.divisor)
    return np.divide(spectrum, rms, out=np.zeros_like(spectrum), where=rms > 0, casting="same_kind")


def axis_means(windows: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of each axis of windows (n, window, axes), shape (n, axes); in half of `mean`'s time."""
    return np.asarray(np.einsum("nwa->na", windows, dtype=np.float64) / windows.shape[1])


def window_starts(n_samples: int, window: int, hop: int) -> NDArray[np.int64]:
    """Return the first sample of each whole window in a stretch of n_samples; empty where none fits."""
    return np.arange(0, n_samples - window + 1, hop, dtype=np.int64)


def cut_windows(samples: FloatArray, starts: NDArray[np.int64], window: int) -> FloatArray:
    """Return the windows of (n_samples, axes) that begin at starts, shape (len(starts), window, axes)."""
    return samples[starts[:, None] + np.arange(window)]


def as_network_input(windows: FloatArray) -> FloatArray:
    """Return (n, window, axes) as the network's (n, 1, window, axes)."""
    return windows[:, None]


@dataclass(frozen=True)
class Window:
    """One window of raw samples.

    Attributes:
        first_sample: Index of its first sample in the sensor's session.
        device_time_s: Sensor's time of that sample.
        counts: Shape (window, axes); 0 where samples are missing.
        lost_samples: How many are missing. If it is not 0, the window must not be classified.
        has_seam: Whether samples that do not follow on each other meet inside, without a known number between them. If
            so, the window must not be classified either.
    """

    first_sample: int
    device_time_s: float
    counts: Counts
    lost_samples: int
    has_seam: bool = False
