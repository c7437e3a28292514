"""Noise of several kinds at an exact signal-to-noise ratio (SNR).

The kinds are those of the paper (Zhao et al. 2020, section IV: Gaussian, Laplacian, pink) and impulsive noise, which
stands for passing disturbances.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import DrsnEdgeError
from drsn_edge.signal.names import NOISE_KINDS

FloatArray = NDArray[np.float32]

IMPULSE_SHARE = 1 / 128
"""Probability that a sample of impulsive noise is an impulse; all other samples are 0."""


def vibration_power(samples: FloatArray) -> NDArray[np.float64]:
    """Return the variance along time, averaged over axes: shape (..., time, axes) -> (..., 1, 1).

    Gravity and offsets are not vibration, therefore the mean is subtracted.
    """
    return np.mean(np.var(samples, axis=-2, keepdims=True, dtype=np.float64), axis=-1, keepdims=True)


def add_noise(
    samples: FloatArray, snr_db: float | NDArray[np.float64], rng: np.random.Generator, kind: str = "gaussian"
) -> FloatArray:
    """Return samples plus noise that is independent for each axis.

    Args:
        samples: Samples, shape (..., time, axes).
        snr_db: 10 log10 of vibration power over noise power; a number, or shape (..., 1, 1) for one per window. Each
            window has exactly this SNR, because the noise is scaled by its actual power, not by its expected power.
        rng: Source of the noise.
        kind: One of `NOISE_KINDS`.

    Raises:
        DrsnEdgeError: If the kind is unknown.
    """
    if kind not in _MAKERS:
        words = f"Unknown kind of noise: {kind!r}. Choose one of {', '.join(NOISE_KINDS)}."
        raise DrsnEdgeError(words, "unknown_noise", got=kind, known=NOISE_KINDS)
    noise = _MAKERS[kind](samples.shape, rng)
    wanted = vibration_power(samples) / 10.0 ** (np.asarray(snr_db) / 10.0)
    made = vibration_power(noise)
    gain = np.sqrt(np.divide(wanted, made, out=np.zeros_like(wanted), where=made > 0))
    return samples + noise * gain.astype(np.float32)


def _gaussian(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    return rng.standard_normal(shape, dtype=np.float32)


def _laplacian(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """An exponential magnitude with a random sign: heavier tails than Gaussian noise, and also a white spectrum."""
    return rng.standard_exponential(shape, dtype=np.float32) * rng.choice(np.array([-1, 1], np.float32), shape)


def _pink(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Filtered white noise with a power density of 1/f, from the first line of the window's spectrum upwards."""
    spectrum = np.fft.rfft(_gaussian(shape, rng), axis=-2)
    lines = np.arange(spectrum.shape[-2])[:, None]
    weights = np.divide(1.0, np.sqrt(lines), out=np.zeros(lines.shape), where=lines > 0)
    return np.fft.irfft(spectrum * weights, n=shape[-2], axis=-2).astype(np.float32)


def _impulsive(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Gaussian impulses at random samples with zeros between them; every axis has at least one impulse."""
    struck = rng.random(shape, dtype=np.float32)
    struck = struck <= np.maximum(IMPULSE_SHARE, struck.min(axis=-2, keepdims=True))
    return _gaussian(shape, rng) * struck


_MAKERS: Mapping[str, Callable[[tuple[int, ...], np.random.Generator], FloatArray]] = {
    "gaussian": _gaussian,
    "laplacian": _laplacian,
    "pink": _pink,
    "impulsive": _impulsive,
}
assert tuple(_MAKERS) == NOISE_KINDS
