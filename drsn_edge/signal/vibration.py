"""Vibration severity: how much a machine vibrates, independent of the cause, as velocity and acceleration.

ISO 20816 rates machines by the velocity RMS from 10 to 1000 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.units import STANDARD_GRAVITY_MPS2

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


def measure(samples: NDArray[np.float32], sample_rate_hz: float, g_per_unit: float | None) -> Measures:
    """Return the measures of samples, shape (n, axes), n >= 2.

    Args:
        samples: One second or more, so that the velocity includes 10 Hz.
        sample_rate_hz: Sampling rate in Hz.
        g_per_unit: Standard gravities per unit of the samples; None if the unit is not a known unit of acceleration.
    """
    by_axis = np.ascontiguousarray(samples.T, np.float64)
    centred = by_axis - by_axis.mean(axis=1, keepdims=True)
    squares = np.square(centred)
    variance = squares.mean(axis=1)
    rms, peak = np.sqrt(variance), np.sqrt(squares.max(axis=1))
    moving = variance > 0
    crest = np.divide(peak, rms, out=np.zeros_like(rms), where=moving)
    kurtosis = np.divide(np.square(squares).mean(axis=1), np.square(variance), out=np.zeros_like(rms), where=moving)
    velocity = None
    if g_per_unit is not None:
        velocity = float(velocity_rms((centred * (g_per_unit * STANDARD_GRAVITY_MPS2)).T, sample_rate_hz).max()) * 1000
    return Measures(velocity, float(rms.max()), float(peak.max()), float(crest.max()), float(kurtosis.max()))


def velocity_rms(accel_mps2: NDArray[np.float64], sample_rate_hz: float) -> NDArray[np.float64]:
    """Return the velocity RMS of each axis over `BAND_HZ` in m/s, integrated in the spectrum; (n, axes) to (axes,)."""
    n = len(accel_mps2)
    taper = _taper(n)
    spectrum = np.fft.rfft(np.ascontiguousarray(accel_mps2.T) * taper)
    hz = np.fft.rfftfreq(n, 1 / sample_rate_hz)
    band = slice(int(np.searchsorted(hz, BAND_HZ[0])), int(np.searchsorted(hz, BAND_HZ[1], side="right")))
    power = np.square(spectrum[:, band].real) + np.square(spectrum[:, band].imag)
    # Parseval: the mean square is the one-sided sum over n times the energy of the taper.
    summed = (power / np.square(2 * np.pi * hz[band])).sum(axis=1)
    return np.asarray(np.sqrt(2 * summed / (n * np.square(taper).sum())))


@lru_cache(maxsize=4)
def _taper(n: int) -> NDArray[np.float64]:
    taper = np.hanning(n)
    taper.flags.writeable = False
    return taper
