"""Does a window hold noise alone, as of a sensor that fell off? NumPy only; nothing is trained.

Noise of a sensor, its amplifier and its converter has a smooth spectrum: white, a power of the frequency, a corner
between the two, a roll-off. A machine adds what is not smooth: lines, resonances, side bands. So a smooth curve is
fitted to the window's periodogram, and what remains is compared with what chance leaves of noise.

For noise of a smooth spectrum S, whatever the distribution of its samples, the lines of the periodogram P of a window
are nearly independent and P / S is exponential with mean 1. The curve is a polynomial for log S. It begins as the
regression of log P; two of Fisher's scoring steps of Whittle's likelihood follow, in which what stands out is clipped,
so that a line does not bend the curve. Of u = P / S, these are compared with chance:

lines   the largest u, the largest of two neighbours, and the largest of the sum over axes, where a shaft's lines meet
bands   chi-square of the means over 24 and 12 bands, of all axes together, of the worst axis, and of the axes' mean

The result is the smallest of these chances. Noise alone is below the limit in 5 to 15 of 100 windows that are judged
alone; after four of noise in a row hardly any is. A sensor that rolls off gets a second fit, up to its filter's edge.
One that rolls off just below half the sample rate, where no smooth curve follows, gets a second fit without the top
eighth of the spectrum, if that lies below the rest and holds no line.

What cannot be told: mains hum has lines, as a shaft has; a resonance or a notch of the sensor stands out, as a
resonance of a machine does; and a machine whose own spectrum is smooth looks like noise.
`drsn-edge convert` raises the limit of a bundle with such a class, or switches the check off, and says so.

Sources. The distribution: Brillinger 1981, "Time Series: Data Analysis and Theory", theorem 5.2.6. The largest line:
Fisher 1929, "Tests of Significance in Harmonic Analysis", doi:10.1098/rspa.1929.0151. The likelihood: Whittle 1953,
"Estimation and Information in Stationary Time Series", doi:10.1007/BF02590998. Measured by benchmarks/noise_alone.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.windows import Centred, centre
from firmware_bridge.wire.messages import Counts

FloatArray = NDArray[np.float32]

CHANCE = 0.05
"""A window whose chance is at least this holds noise alone, where a bundle says nothing else. With it, 0.4 % of CWRU's
windows in noise of -4 dB of the recording's level, some of which stand at -6 dB of their own, look like noise alone."""

_OF_SEVERAL_AXES = 5.0
"""By so much the chances of several axes are raised: with more tests, as many windows at -4 dB stand at a fifth of the
chance."""

NEVER = 1.0
"""A limit that switches the check off: hardly any chance is above it."""

LEAST_SAMPLES = 1024
"""Fewer samples tell too little: of CWRU's windows at -4 dB (Gaussian), 0.2 % look like noise alone with 1024 samples,
11 % with 512, and half with 256."""

_SURE_WINDOWS, _SURE_CHANCE = 4, 1e-6
"""After so many windows of noise in a row, one must be this unlike noise to be a machine's. A machine that comes back
at 0 dB is. A bundle whose limit was raised has a class that is hard to tell from noise, and goes without."""

_PEAKS = 4.0
"""Peaks of so many standard deviations, as the median tells them, are cut off where a window looks like noise."""

_BANDS, _LEAST_PER_BAND = 24, 8
_LEAST_POWER = np.float32(1e-30)

_EULER = np.float32(0.5772157)
"""Mean of -log of an exponential variable."""

_CLIP = np.float32(6.0)
_CLIPPED_MEAN = np.float32(1 - math.exp(-6.0))
"""Of an exponential variable of mean 1 that is clipped there."""

_CERTAIN = 1e-12
"""Below it no further test is needed."""

_SHARED = 0.15
"""Mean correlation of the lines of two axes, from which on their noise is not their own."""

_PEAK, _PEAK_BELOW = 40.0, 15.0
"""A line so many times above the mean of the others in its band, and of the band below, is no noise, whatever the slope
of the spectrum. Without the second the edge of a filter within a band would make one."""

_STEADY, _RISE = 3, 10.0
"""Neither is a band so many times above the one two before it, from the fourth band on."""

_ROLLED_OFF, _EDGE, _FIRST_EDGE = 0.06, 0.25, 7
"""A sensor rolls off if the top of the band is 12 dB below its lower third; its filter has an edge where a band has a
quarter of the power of the one two before it. An edge in the lowest bands leaves too little to judge."""

_TOP, _TOP_FALLS, _TOP_SPREAD, _TOP_LINE = 3, 0.7, 2.0, 1e-3
"""Bands at the top that may be left out; share of the power of the bands below, under which the last one must be;
deviations by which each may be above the bands below; least chance of their largest line. A machine whose lines or
resonances lie in the top bands has more power there, or a line."""

_SMOOTH = ("1", "log", "log2", "f2")
_STEEP = ("1", "log", "f1", "f2", "f3", "f4")
_AT_TOP = ("1", "f1", "f2")
_BELOW_EDGE = ("1", "log", "f1", "f2", "f3")


def chances(windows: Centred) -> NDArray[np.float64]:
    """Return for each window the chance that noise alone looks so unlike noise, shape (n,), from 0 to 1.

    It is exact enough to be compared with a limit, not more; 0 stands for whatever is certainly more than noise.

    Args:
        windows: Without their means, of at least `LEAST_SAMPLES` samples.
    """
    if len(windows.samples) == 1:
        return np.array([chance(windows.spectrum[0])])
    return np.array([chance(np.fft.rfft(window.T)) for window in windows.samples], np.float64)


def chance(spectrum: NDArray[np.complexfloating]) -> float:
    """Return what `chances` does of one window, whose spectrum is given.

    Args:
        spectrum: `np.fft.rfft` of each axis, shape (axes, window // 2 + 1).
    """
    lines = spectrum[:, 1:-1]
    power = np.square(lines.real) + np.square(lines.imag) + _LEAST_POWER
    n_axes, n_lines = power.shape
    per_band = n_lines // _n_bands(n_lines)
    bands = power[:, : n_lines // per_band * per_band].reshape(n_axes, -1, per_band)
    mean = np.add.reduce(bands, axis=2) * np.float32(1 / per_band)
    if _is_jagged(bands, mean):
        return 0.0
    found = _chance_of_fit(power, n_lines, _SMOOTH)
    if found >= CHANCE:
        return found
    if _falls_at_top(power, mean, per_band):
        found = max(found, _chance_of_fit(power[:, : -_TOP * per_band], n_lines, _SMOOTH))
    if found >= CHANCE or not _rolls_off(mean):
        return found
    edge = _edge(mean)
    if edge is None:
        return max(found, _chance_of_fit(power, n_lines, _STEEP))
    return max(found, _chance_of_fit(power[:, : edge * per_band], n_lines, _BELOW_EDGE))


class NoiseWatch:
    """Tells noise from a machine, window by window, and is surer of either after some of them.

    A window of fewer than `LEAST_SAMPLES` samples tells too little, so that it is judged with those before it. One that
    was resampled has an empty or folded end of the band, so that the sensor's own samples are judged.
    """

    def __init__(self, limit: float | None = None) -> None:
        """Begin; `limit` is the bundle's, None: `CHANCE`."""
        self._limit = CHANCE if limit is None else limit
        self.reset()

    def reset(self) -> None:
        """Forget all windows so far: the sensor began anew."""
        self._in_a_row = 0
        self._latest: Counts | None = None
        self._end = 0

    def is_noise(self, first_sample: int, counts: Counts, window: Centred) -> bool:
        """Take in a window and tell whether it holds noise alone.

        Args:
            first_sample: Index of its first sample in the sensor's session.
            counts: As the sensor sent it, shape (n, axes), without a missing sample.
            window: As the model sees it, the only one of `window`.
        """
        if self._limit >= NEVER:
            return False
        n = window.samples.shape[1]
        if n < LEAST_SAMPLES or len(counts) != n:
            wanted = max(n, LEAST_SAMPLES)
            latest = self._with_those_before(first_sample, counts, wanted)
            if len(latest) < wanted:
                return False
            window = centre(latest[None].astype(np.float32))
        is_sure = self._in_a_row >= _SURE_WINDOWS and self._limit <= CHANCE
        limit = min(self._limit, _SURE_CHANCE) if is_sure else self._limit
        found = bool(chances(window)[0] >= limit) and not _is_machine_below(window, limit)
        self._in_a_row = self._in_a_row + 1 if found else 0
        return found

    def _with_those_before(self, first_sample: int, counts: Counts, wanted: int) -> Counts:
        """Return the latest samples up to this window's last one, as many as wanted or there are."""
        known, self._end = self._end - first_sample, first_sample + len(counts)
        if self._latest is not None and 0 <= known < len(counts):
            counts = np.concatenate([self._latest, counts[known:]])
        self._latest = counts[-wanted:]
        return self._latest


def _is_machine_below(window: Centred, limit: float) -> bool:
    """Tell whether a window that looks like noise shows a machine once its lone peaks are cut off.

    A knock or an impulse has a flat spectrum, and one of ten times the level hides every line of the machine below it.
    What is left of noise alone is noise, whatever its distribution.
    """
    samples = window.samples[0]
    level = np.float32(_PEAKS / 0.6745) * np.median(np.abs(samples), axis=0)
    if not (np.abs(samples) > level).any():
        return False
    return bool(chances(centre(np.clip(samples, -level, level)[None]))[0] < limit)


def _n_bands(n_lines: int) -> int:
    return min(_BANDS, n_lines // _LEAST_PER_BAND)


def _is_jagged(bands: FloatArray, mean: FloatArray) -> bool:
    """Tell what no fit is needed for: a line far out of its band, or a band far above the one two before it.

    Args:
        bands: Shape (axes, bands, lines); the lowest of them may be steep.
        mean: Of each band, shape (axes, bands).
    """
    steep = mean[:, _STEADY + 2 :] > _RISE * mean[:, _STEADY:-2]
    if steep.any():
        return True
    n = bands.shape[2]
    highest = np.maximum.reduce(bands[:, 2:], axis=2)
    own, below = np.float32(_PEAK / (_PEAK + n - 1) * n) * mean[:, 2:], np.float32(_PEAK_BELOW) * mean[:, 1:-1]
    return bool((highest > np.maximum(own, below)).any())


def _rolls_off(mean: FloatArray) -> bool:
    """Tell whether the top of every axis' spectrum is cut off; means of bands, shape (axes, bands)."""
    below = np.sort(mean[:, : mean.shape[1] // 3])[:, mean.shape[1] // 6]
    return bool((np.maximum(mean[:, -1], mean[:, -2]) < _ROLLED_OFF * below).all())


def _falls_at_top(power: FloatArray, mean: FloatArray, per_band: int) -> bool:
    """Tell whether the top bands of every axis hold nothing but the beginning of a roll-off.

    A window too short for all bands has too few left without them.

    Args:
        power: Periodograms, shape (axes, lines).
        mean: Of each band, shape (axes, bands).
        per_band: Lines in a band.
    """
    if mean.shape[1] < _BANDS:
        return False
    middle = np.sort(mean[:, -_TOP - 4 : -_TOP])[:, 1:3]
    below = np.float32(0.5) * (middle[:, 0] + middle[:, 1])
    if not (mean[:, -1] < _TOP_FALLS * below).all():
        return False
    lines = power[:, -_TOP * per_band :]
    level = np.add.reduce(lines.reshape(len(lines), _TOP, per_band), axis=2) * np.float32(1 / per_band)
    if (level > (1 + _TOP_SPREAD / math.sqrt(per_band)) * below[:, None]).any():
        return False
    highest = float(_flattened(lines, _basis(lines.shape[1], lines.shape[1], _AT_TOP)).max())
    return lines.size * _gamma_tail(highest, 1) >= _TOP_LINE


def _edge(mean: FloatArray) -> int | None:
    """Return how many bands lie below a filter's edge, None without one; means of bands, shape (axes, bands)."""
    level = (mean / mean.sum(axis=1, keepdims=True)).sum(axis=0)
    falls = np.flatnonzero(level[2:] < _EDGE * level[:-2])
    falls = falls[falls >= _FIRST_EDGE] + 1
    return int(falls[0]) if len(falls) else None


@dataclass(frozen=True)
class _Basis:
    """Orthonormal functions of frequency, of which log S is a sum; shape (lines, functions), and turned."""

    columns: FloatArray
    rows: FloatArray


@lru_cache(maxsize=64)
def _basis(n_lines: int, kept: int, names: tuple[str, ...]) -> _Basis:
    """Return the functions of these names over the lowest `kept` lines of a spectrum of `n_lines`."""
    f = np.arange(1, 1 + kept) / (1 + kept)
    made = {"1": np.ones(kept), "log": np.log(f), "log2": np.log(f) ** 2}
    made |= {f"f{power}": f**power for power in (1, 2, 3, 4)}
    columns = np.linalg.qr(np.stack([made[name] for name in names], axis=1))[0].astype(np.float32)
    return _Basis(columns, np.ascontiguousarray(columns.T))


def _chance_of_fit(power: FloatArray, n_lines: int, names: tuple[str, ...]) -> float:
    """Return the chance of periodograms, shape (axes, lines), after the best smooth curve is taken out of each.

    Args:
        power: The lowest lines of a spectrum of `n_lines`.
        n_lines: See there.
        names: Functions that the curve is made of.
    """
    return _chance_of_rest(_flattened(power, _basis(n_lines, power.shape[1], names)), len(names))


def _flattened(power: FloatArray, basis: _Basis, steps: int = 2) -> FloatArray:
    """Return periodograms over their smooth curve."""
    curve = ((np.log(power) + _EULER) @ basis.columns) @ basis.rows
    for _ in range(steps):
        rest = np.minimum(power * np.exp(-curve), _CLIP) - _CLIPPED_MEAN
        curve += (rest @ basis.columns) @ basis.rows
    return np.asarray(power * np.exp(-curve), np.float32)


def _chance_of_rest(u: FloatArray, fitted: int) -> float:
    """Return the smallest chance of all tests of u, shape (axes, lines); of each axis so many values were fitted."""
    n_axes, n = u.shape
    pairs = u[:, : n - 1 : 2] + u[:, 1::2]
    line = n_axes * n * _gamma_tail(float(u.max()), 1)
    found = [line, n_axes * (n // 2) * _gamma_tail(float(pairs.max()), 2)]
    if min(found) < _CERTAIN:
        return 0.0
    apart = n_axes > 1 and _are_apart(u)
    if apart:
        found.append(n * _gamma_tail(float(np.add.reduce(u).max()), n_axes))
    n_bands = _n_bands(n)
    per_band = n // n_bands
    means = np.add.reduce(u[:, : per_band * n_bands].reshape(n_axes, n_bands, -1), axis=2) * np.float32(1 / per_band)
    found += _chances_of_bands(means, per_band, fitted, apart)
    wide = (means[:, : n_bands - 1 : 2] + means[:, 1::2]) * np.float32(0.5)
    found += _chances_of_bands(wide, 2 * per_band, fitted, apart)
    smallest = min(found) if n_axes == 1 else _OF_SEVERAL_AXES * min(found)
    return min(1.0, smallest)


def _are_apart(u: FloatArray) -> bool:
    """Tell whether each of several axes has noise of its own: only then may they be added up.

    Noise that axes share, as from a supply, makes the same lines large on all of them. What a line of a shaft would add
    to that is clipped.
    """
    off = np.minimum(u, _CLIP) - _CLIPPED_MEAN
    shared = off @ off.T / u.shape[1]
    return float(shared.sum() - shared.trace()) < _SHARED * len(u) * (len(u) - 1)


def _chances_of_bands(means: FloatArray, per_band: int, fitted: int, apart: bool) -> list[float]:
    """Return the chances of means over bands, shape (axes, bands): the worst axis, and if they are apart, all of them.

    Those are the sum over axes, and the axes' mean.
    """
    n_axes, n_bands = means.shape
    free = n_bands - fitted
    off = means - np.float32(1)
    squares = (per_band * np.einsum("ab,ab->a", off, off)).tolist()
    found = [n_axes * _bands_tail(max(squares), free, per_band)]
    if apart:
        found.append(_bands_tail(sum(squares), n_axes * free, per_band))
        both = np.add.reduce(off)
        found.append(_bands_tail(per_band / n_axes * float(both @ both), free, n_axes * per_band))
    return found


def _gamma_tail(x: float, shape: int) -> float:
    """Return the chance that the sum of `shape` exponential variables is above x."""
    term = total = 1.0
    for i in range(1, shape):
        term *= x / i
        total += term
    return math.exp(-x) * total


def _bands_tail(x: float, free: int, per_band: int) -> float:
    """Return the chance that `free` squares of means, each of `per_band` lines, sum up to more than x.

    A square has the mean 1 and the variance 2 + 6 / per_band, so the sum is as chi-square, stretched; its tail is
    Wilson's and Hilferty's (1931).
    """
    stretch = 1 + 3 / per_band
    degrees = free / stretch
    spread = 2 / (9 * degrees)
    z = (math.cbrt(x / stretch / degrees) - (1 - spread)) / math.sqrt(spread)
    return 0.5 * math.erfc(z / math.sqrt(2))
