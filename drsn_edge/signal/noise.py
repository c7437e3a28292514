"""Noise of several kinds at an exact signal-to-noise ratio.

The kinds are those of the paper (Zhao et al. 2020, section IV: Gaussian, Laplacian, pink) and impulsive noise, as from
passing disturbances.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import DrsnEdgeError
from drsn_edge.signal.names import NOISE_KINDS

FloatArray = NDArray[np.float32]

IMPULSE_SHARE = 1 / 128
"""Probability that a sample of impulsive noise is an impulse; the others are 0."""


def vibration_power(samples: FloatArray) -> NDArray[np.float64]:
    """Return the mean square about the mean along time: shape (..., time, axes) -> (..., 1, 1), averaged over axes.

    Gravity and offsets are no signal, so the mean does not count.
    """
    return np.mean(np.var(samples, axis=-2, keepdims=True, dtype=np.float64), axis=-1, keepdims=True)


def add_noise(
    samples: FloatArray, snr_db: float | NDArray[np.float64], rng: np.random.Generator, kind: str = "gaussian"
) -> FloatArray:
    """Return samples plus noise, independent from axis to axis.

    Args:
        samples: Shape (..., time, axes).
        snr_db: 10 log10 of vibration power over noise power; a number, or shape (..., 1, 1) for one per window. It is
            met exactly by each window, because the noise is scaled by its own power and not by the one it should have.
        rng: Where the noise comes from.
        kind: One of `NOISE_KINDS`.

    Raises:
        DrsnEdgeError: If there is no such kind.
    """
    if kind not in _MAKERS:
        raise DrsnEdgeError(f"Expected noise of a kind among {', '.join(NOISE_KINDS)}, got {kind!r}.")
    noise = _MAKERS[kind](samples.shape, rng)
    wanted = vibration_power(samples) / 10.0 ** (np.asarray(snr_db) / 10.0)
    made = vibration_power(noise)
    gain = np.sqrt(np.divide(wanted, made, out=np.zeros_like(wanted), where=made > 0))
    return samples + noise * gain.astype(np.float32)


def _gaussian(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    return rng.standard_normal(shape, dtype=np.float32)


def _laplacian(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """An exponential magnitude with a random sign: heavier tails than Gaussian noise, a white spectrum too."""
    return rng.standard_exponential(shape, dtype=np.float32) * rng.choice(np.array([-1, 1], np.float32), shape)


def _pink(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Power density as 1/f, from the first line of the window's spectrum on: white noise, filtered."""
    spectrum = np.fft.rfft(_gaussian(shape, rng), axis=-2)
    lines = np.arange(spectrum.shape[-2])[:, None]
    weights = np.divide(1.0, np.sqrt(lines), out=np.zeros(lines.shape), where=lines > 0)
    return np.fft.irfft(spectrum * weights, n=shape[-2], axis=-2).astype(np.float32)


def _impulsive(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Gaussian impulses at random samples, with silence between them, and at least one on each axis."""
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
