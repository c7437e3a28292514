"""The anti-alias filter of a model: samples at the model's rate from a sensor with a higher one. NumPy only.

The filter is a kernel over time, kept as a table: `per_sample` taps for each sample of the model, from the centre
outwards. `drsn_edge.datasets.anti_alias` designs it on a workstation, and it travels in the bundle's signal contract,
so that a gateway filters exactly as the training did. For a sensor with `ratio` samples for each sample of the model,
the kernel is read every 1 / `ratio` samples of the model, between the entries of the table by cubic interpolation
(Smith & Gossett 1984, "A flexible sampling-rate conversion method", doi:10.1109/ICASSP.1984.1172555).
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.support.fields import whole
from drsn_edge.support.invalid import InvalidValueError

MOST_RATIO = 64
"""Highest ratio of a sensor's rate to the model's that is decimated."""

MOST_TAPS, MOST_PER_SAMPLE, LONGEST_REACH = 8193, 64, 256
_LARGEST_TAP, _SUM_TOLERANCE = 4.0, 0.001


@dataclass(frozen=True)
class Decimation:
    """Anti-alias filter for sensors with a higher rate.

    Attributes:
        per_sample: Taps for each sample of the model.
        taps: Taps from the centre of the symmetric kernel outwards, as float32, little-endian, in base64. The sum of
            all taps of the kernel is `per_sample`.
    """

    per_sample: int
    taps: tuple[float, ...] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what is no anti-alias filter.

        Raises:
            InvalidValueError: With the field that is out of range.
        """
        _expect(4 <= self.per_sample <= MOST_PER_SAMPLE, "per_sample", f"from 4 to {MOST_PER_SAMPLE}", self.per_sample)
        count = len(self.taps)
        whole_reach = count > 1 and (count - 1) % self.per_sample == 0 and self.reach <= LONGEST_REACH
        words = f"at most {MOST_TAPS} taps, one more than a multiple of {self.per_sample}"
        _expect(count <= MOST_TAPS and whole_reach, "taps", words, f"{count} taps")
        sound = all(math.isfinite(tap) and abs(tap) <= _LARGEST_TAP for tap in self.taps)
        _expect(sound, "taps", f"finite and at most {_LARGEST_TAP:g}", "others")
        total = (2 * math.fsum(self.taps) - self.taps[0]) / self.per_sample
        _expect(abs(total - 1) <= _SUM_TOLERANCE, "taps", "1 in sum for each sample", f"{total:g}")

    @property
    def reach(self) -> int:
        """Samples of the model on each side of a sample that the kernel covers."""
        return (len(self.taps) - 1) // self.per_sample

    def margin(self, ratio: float) -> int:
        """Return the samples of the sensor on each side of a sample that the kernel covers."""
        return math.floor(self.reach * ratio) + 1

    def weights(self, ratio: float, fractions: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the weights of a sensor's samples, shape (n, 2 * margin + 1); each row has the sum 1.

        Args:
            ratio: Ratio of the sensor's rate to the model's.
            fractions: Places of n samples of the model after the middle weight, in samples of the sensor, 0 to 1.
        """
        margin = self.margin(ratio)
        distances = (fractions[:, None] - np.arange(-margin, margin + 1)) / ratio
        found = self._at(np.abs(distances))
        return np.asarray(found / found.sum(axis=1, keepdims=True), np.float32)

    def _at(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the kernel at distances >= 0 from its centre, in samples of the model."""
        table = np.concatenate([[self.taps[1]], self.taps, np.zeros(3)])  # symmetric, and 0 beyond its end
        places = np.minimum(distances * self.per_sample, len(self.taps))
        before = places.astype(np.int64)
        t = places - before
        a, b, c, d = (table[before + offset] for offset in range(4))
        slope, bend = (c - a) / 2, a - 2.5 * b + 2 * c - d / 2
        return np.asarray(b + t * (slope + t * (bend + t * ((d - a) / 2 + 1.5 * (b - c)))))


def decimation_to_json(decimation: Decimation) -> dict[str, Any]:
    """Return a filter as plain JSON values."""
    taps = base64.b64encode(np.asarray(decimation.taps, "<f4").tobytes()).decode()
    return {"per_sample": decimation.per_sample, "taps": taps}


def decimation_from_json(values: Mapping[str, Any]) -> Decimation:
    """Return the filter that `decimation_to_json` wrote.

    Raises:
        InvalidValueError: If a value has a wrong type or range.
        KeyError: If a value is missing.
    """
    taps = values["taps"]
    _expect(isinstance(taps, str) and len(taps) <= 6 * MOST_TAPS, "taps", "a text of base64", type(taps).__name__)
    try:
        data = base64.b64decode(taps, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidValueError(f"taps is not base64: {exc}", "not_base64", field="taps") from exc
    _expect(len(data) % 4 == 0, "taps", "whole float32 numbers", f"{len(data)} bytes")
    return Decimation(whole(values, "per_sample"), tuple(np.frombuffer(data, "<f4").tolist()))


def _expect(condition: bool, field: str, expected: str, got: object) -> None:
    if not condition:
        words = f"{field} of the anti-alias filter must be {expected}, got {got}"
        raise InvalidValueError(words, "filter_out_of_range", field=field, expected=expected, got=got)
