"""Lines of bearing defects: how far they stand out of the envelope spectrum of a signal.

Geometry and shaft speed determine the rate of the impacts of a defect. Each impact excites resonances of the housing,
so that the rate is visible in the envelope of the upper band, but not in the spectrum of the signal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.bearing import BearingGeometry
from firmware_bridge.support.median import median_of

NAMES = ("BPFO", "BPFI", "BSF", "FTF")
BAND = (0.25, 0.75)
"""Band whose envelope is used, as shares of half the sampling rate."""

HARMONICS = 3
SLIP = 0.02
"""Balls slip: a line is searched within this share of its frequency."""

STANDS_OUT_DB = 10.0


@dataclass(frozen=True)
class Bearing:
    """The bearing under the sensor.

    Attributes:
        geometry: Dimensions of the bearing.
        classes: The line that a class of the model should show, such as {"outer_race": "BPFO"}.
    """

    geometry: BearingGeometry
    classes: Mapping[str, str] = field(default_factory=dict)

    def lines_hz(self, shaft_hz: float) -> dict[str, float]:
        """Return the rate of each defect in Hz; a ball defect has twice the spin frequency, as it hits both races."""
        geometry = self.geometry
        orders = (geometry.bpfo, geometry.bpfi, geometry.ball_defect, geometry.ftf)
        return {name: order * shaft_hz for name, order in zip(NAMES, orders, strict=True)}

    def agrees(self, label: str | None, levels_db: Mapping[str, float]) -> bool | None:
        """Tell whether the strongest line belongs to the class.

        None if the class has no line, or no line stands out: an early defect may be weaker than the noise.
        """
        wanted = None if label is None else self.classes.get(label)
        strongest = max(levels_db, key=levels_db.__getitem__)
        if wanted is None or levels_db[strongest] < STANDS_OUT_DB:
            return None
        return levels_db[wanted] >= STANDS_OUT_DB and wanted == strongest


def line_levels_db(
    samples: NDArray[np.float32], sample_rate_hz: float, lines_hz: Mapping[str, float]
) -> dict[str, float]:
    """Return how far each line and its harmonics stand above the envelope spectrum around them, in dB.

    Args:
        samples: One second or more, shape (n, axes); the axis with most power in `BAND` is used.
        sample_rate_hz: Sampling rate in Hz.
        lines_hz: Rates of the defects in Hz.
    """
    by_axis = np.ascontiguousarray(samples.T, np.float64)
    spectra = np.fft.rfft(by_axis - by_axis.mean(axis=1, keepdims=True))
    first, last = (round(share * (spectra.shape[1] - 1)) for share in BAND)
    inside = spectra[:, first:last]
    moved = np.zeros(len(samples), np.complex128)
    moved[first:last] = inside[int(np.argmax(_power(inside).sum(axis=1)))]
    envelope = _power(np.fft.ifft(moved))
    power = _power(np.fft.rfft((envelope - envelope.mean()) * _taper(len(envelope))))
    step_hz = sample_rate_hz / len(samples)
    return {name: _level_db(power, hz / step_hz) for name, hz in lines_hz.items()}


def _power(values: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.asarray(np.square(values.real) + np.square(values.imag))


@lru_cache(maxsize=4)
def _taper(n: int) -> NDArray[np.float64]:
    taper = np.hanning(n)
    taper.flags.writeable = False
    return taper


def _level_db(power: NDArray[np.float64], line: float) -> float:
    """Return the largest power near each harmonic over the median power around it, averaged over harmonics, in dB."""
    levels = []
    for harmonic in range(1, HARMONICS + 1):
        centre = harmonic * line
        reach = max(2.0, SLIP * centre)
        near = power[max(1, int(centre - reach)) : int(centre + reach) + 2]
        around = power[max(1, int(centre - line / 2)) : int(centre + line / 2) + 2]
        if len(near) == 0 or not around.any():
            break
        levels.append(10 * np.log10(near.max() / max(float(median_of(around)), 1e-300)))
    return round(float(np.mean(levels)), 2) if levels else 0.0
