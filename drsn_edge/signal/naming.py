"""What a change of a machine most resembles, by physics alone: no recording of a fault is needed. NumPy only.

Geometry and shaft speed determine how often a defect of a bearing strikes the housing. That rate, its harmonics and the
side bands of the load stand in the spectrum of the envelope as a comb of lines. The envelope is taken in several bands,
since nobody knows beforehand which resonance a defect excites.

    samples ▶ lines of the shaft ▶ name
    samples ▶ lines of the signal clipped ▶ envelopes of bands ▶ their spectra over their floor ▶ combs ▶ levels ▶ name

A defect is named on three conditions. Its comb stands out more than noise does and more than on the healthy machine. No
comb of another rate stands out more, which keeps impacts at any other rate, and the wrong geometry, without a name. And
its comb explains the change: the louder the machine became by anything but white noise, the more the comb must stand
out. A name says what a change resembles. Whether there is a change is told by `drsn_edge.signal.novelty`.

Source of envelopes and combs: Randall & Antoni 2011, doi:10.1016/j.ymssp.2010.07.017. Borghesani et al. 2013,
doi:10.1016/j.ymssp.2012.11.001, equalise the whole spectrum beforehand; clipping only lines keeps the levels of bands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.bearing import BearingGeometry, FloatArray, require
from drsn_edge.signal.likeness import DEFECTS, LOOSENESS
from drsn_edge.signal.shaft_lines import ORDERS, line_powers, name_of_lines

HALF_TURNS = LOOSENESS
"""Impacts once in two turns of the shaft, as loose parts make them: odd multiples of half the shaft speed."""

BANDS = (
    (0.02, 0.27),
    (0.14, 0.39),
    (0.27, 0.52),
    (0.39, 0.64),
    (0.52, 0.77),
    (0.64, 0.89),
    (0.73, 0.98),
    (0.02, 0.98),
)
"""Bands whose envelopes are taken, as shares of half the sampling rate: quarters that overlap by half, and all."""

HARMONICS = 4
"""Lines of a comb."""

TOLERANCE = 0.02
"""Balls slip, and the shaft speed is known roughly: a comb is searched within this share of its rate."""

LIMITS_DB: Mapping[str, float] = {"outer_race": 7.4, "inner_race": 6.05, "ball": 6.0, "cage": 7.3, HALF_TURNS: 8.0}
"""Levels above which something may be named on one axis, in dB; white noise of one second exceeds each in about 0.5 %.
Side bands are part of the combs of inner race and ball, and a mean over more lines varies less."""

NAMES = (*DEFECTS, HALF_TURNS)
assert tuple(LIMITS_DB) == NAMES

EXPLAINS_DB = 5.0
"""What a name demands beyond the limit if the change is all of the power, in dB. It demands in proportion to the share
of the change, and to that of everything but white noise, since lines of a squared envelope fall with the square of the
share. 98 % of the simulated faults that are more than a fifth of the power of a stretch stand out this much."""

PER_DOUBLING_DB = 0.25
"""What doubling the number of axes adds to these levels, in dB."""

_USUAL = 0.99
"""Quantile of the levels of the healthy machine above which a level counts as stronger than usual."""

LEAST_TURNS = 10
"""Fewest turns of the shaft in a stretch: fewer do not separate the lines of defects."""

_SIDE_WEIGHT = 0.5
_SHAFT_LINES = 1.5
"""Lines of the envelope's spectrum around a multiple of the shaft speed that no comb may use."""

_NOISE_QUANTILE = 0.2
"""Quantile of the medians over bands that counts as white noise."""

_CLIP = 2.5
"""Lines of the signal are clipped to this multiple of the median amplitude around them."""

_CLIP_BLOCK = 100
_FLOOR_BLOCK = 64
"""Lines over which a median is taken: of the signal's spectrum, of the envelope's."""

_RELATED = (0.5, 2 / 3, 1.0, 1.5, 2.0)
"""Rates relative to that of a defect whose combs share lines with it."""

_APART, _APART_LINES = 0.03, 2.0
"""A comb counts as another one from this share of its rate, and from this many lines."""

_CAGE_ORDERS = (0.25, 0.8)
"""Orders among which the comb of a cage must be the strongest."""


@dataclass(frozen=True)
class Level:
    """How much the comb of a defect stands out.

    Attributes:
        level_db: Mean level of its lines over the floor of the envelope's spectrum, in dB, in the band and on the axis
            where it is largest.
        lead_db: Its level minus that of the strongest comb of another rate with the same side bands, in dB.
    """

    level_db: float
    lead_db: float


@dataclass(frozen=True)
class Look:
    """What a stretch of vibration shows.

    Attributes:
        levels: Level of each of `NAMES`.
        power: Mean square without the means, summed over the axes, in the unit of the samples squared.
        noise_share: Share of the power that is as strong in every band, as white noise is.
        shaft_powers: Power of the lines of the shaft, as `drsn_edge.signal.shaft_lines.line_powers`.
    """

    levels: Mapping[str, Level]
    power: float
    noise_share: float
    shaft_powers: FloatArray


@dataclass(frozen=True)
class Usual:
    """What a healthy machine shows.

    Attributes:
        limits_db: Level above which each of `NAMES` may be named, in dB.
        power: Power that the healthy machine seldom exceeds; infinite if unknown.
        shaft_powers: Power of each line of the shaft that it seldom exceeds; infinite if unknown.
    """

    limits_db: Mapping[str, float]
    power: float
    shaft_powers: FloatArray

    @staticmethod
    def of(healthy: Sequence[Look], axes: int) -> Usual:
        """Return what stretches of a healthy machine show; without any, the limits follow from noise alone.

        Args:
            healthy: Stretches of the healthy machine at all its loads, and at about the same speed, since the lines of
                the shaft grow with it.
            axes: Number of axes.
        """
        noise = {name: limit + PER_DOUBLING_DB * math.log2(axes) for name, limit in LIMITS_DB.items()}
        if not healthy:
            return Usual(noise, math.inf, np.full(len(ORDERS), math.inf))
        seen = {name: [each.levels[name].level_db for each in healthy] for name in noise}
        limits_db = {name: max(limit, _seldom(seen[name])) for name, limit in noise.items()}
        shaft_powers = np.max([each.shaft_powers for each in healthy], axis=0)
        return Usual(limits_db, _seldom([each.power for each in healthy]), shaft_powers)

    def surpluses(self, found: Look) -> dict[str, float]:
        """Return how far the level of each of `NAMES` lies above what a name demands, in dB.

        Those that another comb exceeds are left out.
        """
        changed = max(0.0, 1 - self.power / found.power - found.noise_share) if found.power > 0 else 0.0
        demanded = EXPLAINS_DB * changed * (1 - found.noise_share)
        leading = {name: level.level_db for name, level in found.levels.items() if level.lead_db > 0}
        return {name: level_db - self.limits_db[name] - demanded for name, level_db in leading.items()}

    def name_of(self, found: Look) -> str | None:
        """Return what a stretch resembles, one of `NAMES`, imbalance or misalignment; None: not located.

        If lines of the shaft explain the change, it is what they resemble. Otherwise it is the comb with the largest
        surplus. A cage is named only alone, because a defect of a ball also modulates its impacts at the cage's rate.
        """
        change = max(0.0, found.power * (1 - found.noise_share) - self.power)
        shaft = name_of_lines(found.shaft_powers, self.shaft_powers, change)
        if shaft is not None:
            return shaft
        over = {name: surplus for name, surplus in self.surpluses(found).items() if surplus > 0}
        return max([name for name in over if name != "cage"] or over, key=over.__getitem__, default=None)


def _seldom(values: Sequence[float]) -> float:
    """Return a value that these seldom exceed; of few values it is the largest."""
    return float(np.quantile(values, _USUAL, method="higher"))


@dataclass(frozen=True)
class _Comb:
    """The lines of a defect, as orders: multiples of the shaft speed.

    Attributes:
        order: Impacts per turn of the shaft.
        side: Distance of the side bands from the harmonics; 0: none.
        most_sides: Number of side bands on each side whose combs share lines with this one.
        rivals: Lowest and highest order of the other combs that it is compared with.
    """

    order: float
    side: float
    most_sides: int
    rivals: tuple[float, float]


def _combs(bearing: BearingGeometry) -> dict[str, _Comb]:
    """Return the comb of each of `DEFECTS`.

    The load on a defect of the inner race changes once per turn of the shaft, that on a ball once per turn of the cage.
    """
    orders = (bearing.bpfo, bearing.bpfi, bearing.ball_defect)
    rivals = (0.6 * min(orders), 1.5 * max(orders))
    return {
        "outer_race": _Comb(bearing.bpfo, 0.0, 0, rivals),
        "inner_race": _Comb(bearing.bpfi, 1.0, 6, rivals),
        "ball": _Comb(bearing.ball_defect, bearing.ftf, 1, rivals),
        "cage": _Comb(bearing.ftf, 0.0, 0, _CAGE_ORDERS),
    }


def look(samples: NDArray[np.float32], sample_rate_hz: float, shaft_hz: float, bearing: BearingGeometry) -> Look:
    """Return what a stretch of vibration shows.

    Args:
        samples: Samples of about one second in any unit, shape (n, axes).
        sample_rate_hz: Sampling rate in Hz.
        shaft_hz: Turns of the shaft per second, known to about 0.5 %.
        bearing: Geometry of the bearing.

    Raises:
        InvalidValueError: If the stretch has fewer than `LEAST_TURNS` turns of the shaft or 1024 samples.
    """
    shaft = len(samples) * shaft_hz / sample_rate_hz
    require(len(samples) >= 1024, "samples", "at least 1024", len(samples))
    require(shaft >= LEAST_TURNS, "turns of the shaft", f"at least {LEAST_TURNS}", round(shaft, 1))
    by_axis = samples.T.astype(np.float64)
    spectra = np.fft.rfft(by_axis - by_axis.mean(axis=1, keepdims=True))
    lines = _envelope_lines(spectra, shaft)
    levels = {name: _level(lines, shaft, comb) for name, comb in _combs(bearing).items()}
    halves = float(_at(lines, np.array([shaft]), -shaft / 2).max())
    power = np.square(spectra.real) + np.square(spectra.imag)
    noise = sum(float(np.quantile(_floor(each, _CLIP_BLOCK), _NOISE_QUANTILE)) for each in power) / math.log(2)
    total = float(power.sum())
    share = min(1.0, noise * power.shape[1] / total) if total > 0 else 0.0
    seen = levels | {HALF_TURNS: Level(halves, halves)}
    return Look(seen, 2 * total / len(samples) ** 2, share, line_powers(samples, shaft))


def _envelope_lines(spectra: NDArray[np.complex128], shaft: float) -> FloatArray:
    """Return the levels over their floor of the lines of each envelope's spectrum, in dB, shape (axes * bands, lines).

    Each line has the level of the strongest of itself and its two neighbours, as a rate rarely falls on a line.

    Args:
        spectra: Spectrum of each axis, shape (axes, lines).
        shaft: Turns of the shaft in the stretch.
    """
    width = (spectra.shape[1] - 1) // 2
    found = np.stack([_envelope_levels(band, width) for each in spectra for band in _bands(each)])
    number = np.arange(width)
    found[:, np.abs(number - np.rint(number / shaft) * shaft) <= _SHAFT_LINES] = 0
    padded = np.pad(found, ((0, 0), (1, 1)))
    return np.maximum(found, np.maximum(padded[:, :-2], padded[:, 2:]))


def _bands(spectrum: NDArray[np.complex128]) -> list[NDArray[np.complex128]]:
    """Return the clipped spectrum in each of `BANDS`, and once more in the last of them, weighted.

    In the bands the amplitude is divided by the square root of the median amplitude around it, so that loud parts of a
    band do not hide the others. The weight is the share of the power above white noise: that of the best filter.
    """
    top = len(spectrum) - 1
    amplitude = np.abs(spectrum)
    around = _floor(amplitude, _CLIP_BLOCK)
    clipped = spectrum * np.minimum(1, _CLIP * around / np.maximum(amplitude, 1e-300))
    evened = clipped / np.sqrt(around)
    signal = np.maximum(0, 1 - np.square(np.quantile(around, _NOISE_QUANTILE) / around))
    low, high = BANDS[-1]
    return [
        *(evened[round(low * top) : round(high * top)] for low, high in BANDS),
        (clipped * signal)[round(low * top) : round(high * top)],
    ]


def _envelope_levels(band: NDArray[np.complex128], width: int) -> FloatArray:
    """Return the levels over their floor of the first `width` lines of the spectrum of a band's squared envelope."""
    moved = np.zeros(2 * len(band), np.complex128)
    moved[: len(band)] = band
    analytic = np.fft.ifft(moved)
    envelope = np.square(analytic.real) + np.square(analytic.imag)
    spectrum = np.fft.rfft((envelope - envelope.mean()) * _taper(len(envelope)))[: min(width, len(band))]
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    found = np.zeros(width)
    found[: len(power)] = 10 * np.log10(1 + np.log(2) * power / _floor(power, _FLOOR_BLOCK))
    return found


def _floor(values: FloatArray, block: int) -> FloatArray:
    """Return the median of each block of values, interpolated between the blocks on a logarithmic scale, above 0."""
    block = min(block, len(values))
    blocks = len(values) // block
    medians = np.median(values[: blocks * block].reshape(blocks, block), axis=1)
    centres = (np.arange(blocks) + 0.5) * block
    lowest = max(float(values.max()) * 1e-12, 1e-300)
    return np.asarray(np.exp(np.interp(np.arange(len(values)), centres, np.log(np.maximum(medians, lowest)))))


@lru_cache(maxsize=16)
def _taper(n: int) -> FloatArray:
    taper = np.hanning(n)
    taper.flags.writeable = False
    return taper


def _level(lines: FloatArray, shaft: float, comb: _Comb) -> Level:
    rate, side = comb.order * shaft, comb.side * shaft
    step, end = 0.5 / HARMONICS, float(lines.shape[1])
    if rate * (1 - TOLERANCE) >= end:  # no line of the comb is in the spectrum, however fast the shaft
        return Level(0.0, 0.0)
    own = np.arange(rate * (1 - TOLERANCE), min(rate * (1 + TOLERANCE) + step, end), step)
    others = np.arange(comb.rivals[0] * shaft, min(comb.rivals[1] * shaft, end), step)
    for shared in _related(rate, side, comb.most_sides):
        others = others[np.abs(others - shared) >= max(_APART * shared, _APART_LINES)]
    level = _with_sides(lines, own, side)
    return Level(level, level - (_with_sides(lines, others, side) if len(others) else 0.0))


def _related(rate: float, side: float, most_sides: int) -> list[float]:
    """Return the rates whose combs share lines with a comb and its side bands."""
    sides = [rate + number * side for number in range(-most_sides, most_sides + 1)]
    return [ratio * rate for ratio in _RELATED] + sides + [(rate - side) / 2, (rate + side) / 2]


def _with_sides(lines: FloatArray, rates: FloatArray, side: float) -> float:
    """Return the highest mean level of the lines of the combs at these rates, where side bands weigh less."""
    level = _at(lines, rates, 0.0)
    if side:
        sides = _at(lines, rates, -side) + _at(lines, rates, side)
        level = (level + _SIDE_WEIGHT * sides) / (1 + 2 * _SIDE_WEIGHT)
    return float(level.max())


def _at(lines: FloatArray, rates: FloatArray, shift: float) -> FloatArray:
    """Return the mean level of the lines at multiples of each rate plus a shift, shape (rows, rates)."""
    at = np.rint(rates[:, None] * np.arange(1, HARMONICS + 1) + shift).astype(np.intp)
    inside = (at > 0) & (at < lines.shape[1])
    found = np.take(lines, np.where(inside, at, 0), axis=1) * inside
    return np.asarray(found.mean(axis=2))
