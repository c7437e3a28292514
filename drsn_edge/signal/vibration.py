"""Vibration severity: how much a machine vibrates, independent of the cause, as velocity and acceleration.

ISO 20816 rates machines by the velocity RMS from 10 to 1000 Hz.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.units import STANDARD_GRAVITY_MPS2

FloatArray = NDArray[np.float32]

BAND_HZ = (10.0, 1000.0)


@dataclass(frozen=True)
class Measures:
    """Measures of a stretch of vibration, each for the axis where it is largest.

    Attributes:
        velocity_rms_mm_s: Velocity RMS in mm/s from 10 to 1000 Hz, or up to half the sampling rate; None if the unit of
            the samples is unknown.
        acceleration_rms: Acceleration RMS without the mean, in the unit of the samples.
        acceleration_peak: Largest deviation from the mean, in the unit of the samples.
        crest_factor: Peak over RMS; 1.4 for a sine, 3 to 4 for noise, more for impacts.
        kurtosis: Fourth moment over the squared variance; 3 for noise, more for impacts.
    """

    velocity_rms_mm_s: float | None
    acceleration_rms: float
    acceleration_peak: float
    crest_factor: float
    kurtosis: float


@dataclass(frozen=True)
class _Band:
    """How the lines of `BAND_HZ` are computed from stretches of n samples without those above the band.

    Every `parts`-th sample makes a series of its own, whose transform is short. The lines of the stretch follow from
    the same lines of the series, each turned by its delay: the first step of the fast Fourier transform in time.

    Attributes:
        lines: Lines of the band.
        taper: Hann taper of each series, shape (parts, n // parts).
        constant: Lines of a signal that is 1 throughout, shape (lines,).
        turns: Turn of each series at each line, shape (parts, lines).
        weights: Mean square of the velocity per power of a line, shape (lines,).
    """

    lines: slice
    taper: NDArray[np.float64]
    constant: NDArray[np.complex128]
    turns: NDArray[np.complex128]
    weights: NDArray[np.float64]

    @property
    def parts(self) -> int:
        """Number of series."""
        return len(self.taper)


_MOST_PARTS = 12
"""More series, and shorter ones, gain nothing."""


def measure(
    samples: NDArray[Any], sample_rate_hz: float, g_per_unit: float | None, scales: NDArray[np.float64] | float = 1.0
) -> Measures:
    """Return the measures of samples, shape (n, axes), n >= 2, to 6 digits.

    Args:
        samples: One second or more, so that the velocity includes 10 Hz.
        sample_rate_hz: Sampling rate in Hz.
        g_per_unit: Standard gravities per unit of the measures; None if the unit is not a known unit of acceleration.
        scales: Unit of the measures per unit of the samples, for all axes or of shape (axes,).
    """
    band = _band(len(samples), sample_rate_hz)
    # One axis at a time, since all of them would leave the cache of a small processor.
    axes = [
        _of_axis(series.astype(np.float32), band, g_per_unit is not None) for series in _series(samples, band.parts)
    ]
    velocities, peaks, variance, fourth = np.array(axes, np.float64).T
    moving = variance > 0
    crest, kurtosis = (
        np.divide(above, below, out=np.zeros_like(variance), where=moving)
        for above, below in ((1.0, np.sqrt(variance)), (fourth, np.square(variance)))
    )
    scales, peaks = np.abs(scales), peaks * np.abs(scales)
    velocity = None
    if g_per_unit is not None:
        velocity = float((velocities * scales).max()) * g_per_unit * STANDARD_GRAVITY_MPS2 * 1000
    rms = float((peaks * np.sqrt(variance)).max())
    return Measures(velocity, rms, float(peaks.max()), float(crest.max()), float(kurtosis.max()))


def _of_axis(series: FloatArray, band: _Band, wants_velocity: bool) -> tuple[float, float, float, float]:
    """Return the measures of one axis, in the unit of its samples.

    Args:
        series: Every `parts`-th sample, shape (parts, n // parts); it is overwritten.
        band: How the lines of the band are computed.
        wants_velocity: Whether to compute the velocity.

    Returns:
        Velocity RMS times seconds, 0 if it is not wanted; largest deviation from the mean; second and fourth moment of
        the samples as shares of that deviation.
    """
    samples = series.reshape(-1)
    samples -= samples[0]  # an offset would cost digits
    mean = samples.mean()
    velocity = _velocity_rms(series, mean, band) if wants_velocity else 0.0
    samples -= mean
    peak = max(samples.max(), -samples.min())
    if peak > 0:
        samples /= peak  # the fourth power of any unit is then a float32
    np.square(samples, out=samples)
    variance = samples.mean()
    np.square(samples, out=samples)
    return velocity, peak, variance, samples.mean()


def _velocity_rms(series: FloatArray, mean: np.float32, band: _Band) -> float:
    """Return the velocity RMS over `BAND_HZ`, integrated in the spectrum."""
    spectra = np.fft.rfft(series * band.taper)[:, band.lines]
    spectra *= band.turns
    lines = spectra.sum(axis=0) - mean * band.constant
    return math.sqrt(((np.square(lines.real) + np.square(lines.imag)) * band.weights).sum())


def _series(samples: NDArray[Any], parts: int) -> NDArray[Any]:
    """Return samples (n, axes) as series of every `parts`-th sample, shape (axes, parts, n // parts)."""
    n, axes = samples.shape
    return np.ascontiguousarray(samples.reshape(n // parts, parts, axes).transpose(2, 1, 0))


@lru_cache(maxsize=4)
def _band(n: int, sample_rate_hz: float) -> _Band:
    hz = np.fft.rfftfreq(n, 1 / sample_rate_hz)
    lines = slice(int(np.searchsorted(hz, BAND_HZ[0])), int(np.searchsorted(hz, BAND_HZ[1], side="right")))
    parts = max(parts for parts in range(1, _MOST_PARTS + 1) if n % parts == 0 and lines.stop <= n // parts // 2 + 1)
    taper = np.hanning(n)
    turns = np.exp(-2j * np.pi / n * np.arange(parts)[:, None] * np.arange(lines.start, lines.stop))
    # Parseval: the mean square is the one-sided sum over n times the energy of the taper.
    weights = 2 / (n * np.square(taper).sum()) / np.square(2 * np.pi * hz[lines])
    series = np.ascontiguousarray(taper.reshape(-1, parts).T)
    return _Band(lines, series, np.fft.rfft(taper)[lines], turns, weights)
