"""Noise at a stated signal-to-noise ratio."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def vibration_power(samples: FloatArray) -> NDArray[np.float64]:
    """Return the mean square about the mean along time: shape (..., time, axes) -> (..., 1, 1), averaged over axes.

    Gravity and offsets are no signal, so the mean does not count.
    """
    return np.mean(np.var(samples, axis=-2, keepdims=True, dtype=np.float64), axis=-1, keepdims=True)


def add_white_noise(samples: FloatArray, snr_db: float | NDArray[np.float64], rng: np.random.Generator) -> FloatArray:
    """Return samples plus white Gaussian noise of the same power on each axis.

    Args:
        samples: Shape (..., time, axes).
        snr_db: 10 log10 of vibration power over noise power; a number, or shape (..., 1, 1) for one per window.
        rng: Where the noise comes from.
    """
    sigma = np.sqrt(vibration_power(samples) / 10.0 ** (np.asarray(snr_db) / 10.0))
    noise = rng.standard_normal(samples.shape, dtype=np.float32)
    return samples + noise * sigma.astype(np.float32)
