"""What one pass over the samples of a recording measures: level, offset, peak and mean spectrum of each axis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SEGMENT = 2048
"""Samples of a segment of the mean spectrum."""
_SEGMENTS_OF_A_PIECE = 16
"""Most segments of one piece: the spectrum of a long recording is taken from a part of it, spread over its length."""

BANDS_PER_DECADE = 20
_FIRST_BAND, _LAST_BAND = -20, 120
BAND_EDGES_HZ = 10.0 ** (np.arange(_FIRST_BAND, _LAST_BAND + 1) / BANDS_PER_DECADE)
"""Edges of the bands of every spectrum, 0.1 Hz to 1 MHz in equal steps of the logarithm, so that recordings of
different rates can be compared."""
BAND_CENTRES_HZ = np.sqrt(BAND_EDGES_HZ[:-1] * BAND_EDGES_HZ[1:])


@dataclass(frozen=True)
class Measures:
    """Values of one recording in its unit; arrays have a row or a value for each axis.

    Attributes:
        n_samples: Samples of each axis.
        n_wrong: Values that are NaN or infinite; they are left out of all other values.
        mean: Offset, shape (axes,).
        level: RMS of the samples without their mean, shape (axes,).
        lowest: Smallest sample, shape (axes,).
        highest: Largest sample, shape (axes,).
        spectrum: Mean amplitude density by band of `BAND_EDGES_HZ`, in unit/sqrt(Hz), shape (axes, bands); NaN where
            the recording tells nothing.
    """

    n_samples: int
    n_wrong: int
    mean: NDArray[np.float64]
    level: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    spectrum: NDArray[np.float64]

    @property
    def total_level(self) -> float:
        """RMS of the vector of all axes without their means."""
        return float(np.sqrt(np.square(self.level).sum()))

    @property
    def offset(self) -> float:
        """Length of the vector of the means: gravity, if the sensor measures it on all its axes."""
        return float(np.sqrt(np.square(self.mean).sum()))


class Measuring:
    """Takes the pieces of a recording in order; `result` tells what they measure."""

    def __init__(self, n_axes: int, sample_rate_hz: float | None) -> None:
        """Begin; without a sampling rate there is no spectrum."""
        self._rate = sample_rate_hz
        self._n, self._n_wrong = 0, 0
        self._count = np.zeros(n_axes)
        self._first: NDArray[np.float64] | None = None
        self._sum, self._squares = np.zeros(n_axes), np.zeros(n_axes)
        self._lowest, self._highest = np.full(n_axes, np.inf), np.full(n_axes, -np.inf)
        self._power, self._n_segments = np.zeros((n_axes, SEGMENT // 2 + 1)), 0

    def take(self, piece: NDArray[np.float64]) -> None:
        """Take the next samples, shape (n, axes)."""
        sound = np.isfinite(piece)
        self._n += len(piece)
        if sound.all():
            self._add(piece, np.full(piece.shape[1], float(len(piece))))
        else:
            self._n_wrong += int(sound.size - np.count_nonzero(sound))
            usual = self._first if self._first is not None else np.zeros(piece.shape[1])
            piece = np.where(sound, piece, np.where(sound.any(axis=0), _means(piece, sound), usual))
            self._add(piece, sound.sum(axis=0).astype(float))
        self._add_spectra(piece)

    def result(self) -> Measures:
        """Return the values of all samples taken so far; NaN where there is none."""
        count = np.where(self._count > 0, self._count, np.nan)
        off = self._sum / count
        level = np.sqrt(np.maximum(self._squares / count - np.square(off), 0.0))
        first = self._first if self._first is not None else np.zeros_like(off)
        return Measures(
            self._n, self._n_wrong, first + off, level, self._lowest.copy(), self._highest.copy(), self._spectrum()
        )

    def _add(self, piece: NDArray[np.float64], count: NDArray[np.float64]) -> None:
        if self._first is None:
            self._first = piece.mean(axis=0)  # sums of differences from it lose no digits
        off = piece - self._first
        self._count += count
        self._sum += off.sum(axis=0)
        self._squares += np.square(off).sum(axis=0)
        np.minimum(self._lowest, piece.min(axis=0), out=self._lowest)
        np.maximum(self._highest, piece.max(axis=0), out=self._highest)

    def _add_spectra(self, piece: NDArray[np.float64]) -> None:
        if self._rate is None:
            return
        starts = range(0, len(piece) - SEGMENT + 1, SEGMENT)
        every = max(1, -(-len(starts) // _SEGMENTS_OF_A_PIECE))
        for start in starts[::every]:
            segment = piece[start : start + SEGMENT]
            shaped = (segment - segment.mean(axis=0)) * _WINDOW[:, None]
            self._power += np.square(np.abs(np.fft.rfft(shaped, axis=0))).T
            self._n_segments += 1

    def _spectrum(self) -> NDArray[np.float64]:
        bands = np.full((len(self._sum), len(BAND_CENTRES_HZ)), np.nan)
        if self._rate is None or not self._n_segments:
            return bands
        density = 2 * self._power / (self._n_segments * self._rate * np.square(_WINDOW).sum())
        frequencies = np.fft.rfftfreq(SEGMENT, 1 / self._rate)[1:]
        which = np.digitize(frequencies, BAND_EDGES_HZ) - 1
        for band in np.unique(which[(which >= 0) & (which < bands.shape[1])]):
            bands[:, band] = np.sqrt(density[:, 1:][:, which == band].mean(axis=1))
        return bands


def measure(pieces: Iterable[NDArray[np.float64]], n_axes: int, sample_rate_hz: float | None) -> Measures:
    """Return what pieces, shape (n, n_axes) each, measure; the rate is in Hz."""
    measuring = Measuring(n_axes, sample_rate_hz)
    for piece in pieces:
        measuring.take(piece)
    return measuring.result()


def _means(piece: NDArray[np.float64], sound: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean of the sound values of each axis, 0 for an axis without one."""
    return np.where(sound, piece, 0.0).sum(axis=0) / np.maximum(sound.sum(axis=0), 1)


_WINDOW = np.hanning(SEGMENT)
