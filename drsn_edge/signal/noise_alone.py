"""Noise alone: whether a window holds only noise, as from a sensor that fell off. NumPy only, and nothing is trained.

The noise of a sensor, its amplifier and its converter has a smooth spectrum: white, a power of the frequency, a corner
between the two, or a roll-off. A machine adds lines, resonances and side bands, which are not smooth. Therefore a
smooth curve is fitted to the periodogram of the window, and the remainder is compared with the remainder of noise.

For noise with a smooth spectrum S and any distribution of its samples, the lines of the periodogram P of a window are
nearly independent, and P / S is exponential with mean 1. The curve is a polynomial for log S. It starts as the
regression of log P, which is refined by two of Fisher's scoring steps of Whittle's likelihood. These steps clip values
that stand out, so that a line does not bend the curve. The following statistics of u = P / S are compared with chance:

lines   the largest u, the largest sum of two neighbours, and the largest sum over axes, which a shaft's lines share
bands   chi-square of the means over 24 and over 12 bands, for all axes together, the worst axis and the mean of axes

The result is the smallest of these chances. 5 to 15 of 100 separate windows with noise alone are below the limit and
count as a machine; after four windows of noise in a row hardly any does. A sensor that rolls off gets a second fit up
to the edge of its filter. A sensor that rolls off just below half the sampling rate, where no smooth curve fits, gets a
second fit without the top eighth of the spectrum, if that part is below the rest and holds no line.

Some signals cannot be distinguished: mains hum has lines as a shaft has, a resonance or notch of the sensor stands out
as a resonance of a machine does, and a machine with a smooth spectrum looks like noise. `drsn-edge convert` raises the
limit of a bundle with such a class, or switches the check off, and reports it.

Sources. The distribution: Brillinger 1981, "Time Series: Data Analysis and Theory", theorem 5.2.6. The largest line:
Fisher 1929, "Tests of Significance in Harmonic Analysis", doi:10.1098/rspa.1929.0151. The likelihood: Whittle 1953,
"Estimation and Information in Stationary Time Series", doi:10.1007/BF02590998. Measurements: benchmarks/noise_alone.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.windows import Centred, centre
from firmware_bridge.support.median import median_of
from firmware_bridge.wire.messages import Counts

FloatArray = NDArray[np.float32]

CHANCE = 0.05
"""Smallest chance at which a window counts as noise alone, unless a bundle states another limit. With it, 0.4 % of
CWRU's windows in noise at -4 dB look like noise alone; some of them have -6 dB, because the ratio is that of the whole
recording."""

_OF_SEVERAL_AXES = 5.0
"""Factor of the chances of several axes. More tests make the smallest chance smaller: at -4 dB the same share of
windows is found at a fifth of the chance."""

NEVER = 1.0
"""Limit that switches the check off, because no chance is above it."""

LEAST_SAMPLES = 1024
"""Fewest samples for a decision. Of CWRU's windows at -4 dB (Gaussian), 0.2 % look like noise alone with 1024 samples,
11 % with 512, and half with 256."""

_SURE_WINDOWS, _SURE_CHANCE = 4, 1e-6
"""After this number of windows of noise in a row, a window must have a smaller chance than this to count as a machine.
A machine that returns at 0 dB has. A bundle with a raised limit has a class that is hard to distinguish from noise, and
does not use this rule."""

_PEAKS = 4.0
"""Peaks above this number of standard deviations (by the median) are clipped in a window that looks like noise."""

_BANDS, _LEAST_PER_BAND = 24, 8
_LEAST_POWER = np.float32(1e-30)

_EULER = np.float32(0.5772157)
"""Mean of -log of an exponential variable."""

_CLIP = np.float32(6.0)
_CLIPPED_MEAN = np.float32(1 - math.exp(-6.0))
"""Mean of an exponential variable with mean 1 that is clipped at `_CLIP`."""

_CERTAIN = 1e-12
"""Chance below which no further test is needed."""

_SHARED = 0.15
"""Mean correlation of the lines of two axes above which the axes share their noise."""

_PEAK, _PEAK_BELOW = 40.0, 15.0
"""A line is not noise, whatever the slope of the spectrum, if it is this many times above the mean of the other lines
in its band and above the mean of the band below. The second condition excludes the edge of a filter within a band."""

_STEADY, _RISE = 3, 10.0
"""A band from the fourth on is not noise if it is this many times above the band two before it."""

_ROLLED_OFF, _EDGE, _FIRST_EDGE = 0.06, 0.25, 7
"""A sensor rolls off if the top of the band is 12 dB below its lower third. The filter has an edge where a band has a
quarter of the power of the band two before it. An edge in the lowest bands would leave too little of the spectrum."""

_TOP, _TOP_FALLS, _TOP_SPREAD, _TOP_LINE = 3, 0.7, 2.0, 1e-3
"""Number of bands at the top that may be left out; largest power of the last one as a share of the bands below; largest
excess of each over the bands below in standard deviations; smallest chance of their largest line. A machine with lines
or resonances in the top bands has more power or a line there."""

_BATCH = 64
"""Most windows whose transforms are in memory."""

_SMOOTH = ("1", "log", "log2", "f2")
_STEEP = ("1", "log", "f1", "f2", "f3", "f4")
_AT_TOP = ("1", "f1", "f2")
_BELOW_EDGE = ("1", "log", "f1", "f2", "f3")


class Signs(NamedTuple):
    """What a window shows of noise by itself.

    Attributes:
        chance: See `chances`.
        is_alone: Whether it holds noise alone by the limit of the bundle.
    """

    chance: float
    is_alone: bool


def chances(windows: Centred) -> NDArray[np.float64]:
    """Return for each window the chance that noise alone deviates as much from noise, shape (n,), from 0 to 1.

    It is accurate enough for a comparison with a limit only; 0 stands for a window that is certainly not noise alone.

    Args:
        windows: Windows without their means, with at least `LEAST_SAMPLES` samples.
    """
    found = np.zeros(len(windows))
    for at, part in windows.parts(_BATCH):
        found[at] = _chances(part.transform.spectrum)
    return found


def _chances(spectrum: NDArray[np.complexfloating]) -> list[float]:
    """Return the same as `chances` for few windows with spectra of shape (n, axes, window // 2 + 1)."""
    inner = spectrum[..., 1:-1]
    power = np.square(inner.real)
    power += np.square(inner.imag)
    power += _LEAST_POWER
    n, n_axes, n_lines = power.shape
    per_band = n_lines // _n_bands(n_lines)
    n_bands = n_lines // per_band
    bands = power[..., : n_bands * per_band].reshape(n, n_axes, n_bands, per_band)
    mean = np.add.reduce(bands, axis=3) * np.float32(1 / per_band)
    jagged = _are_jagged(bands, mean).tolist()
    each = zip(jagged, power, mean, strict=True)
    return [0.0 if is_jagged else _chance(lines, level, per_band) for is_jagged, lines, level in each]


def _chance(power: FloatArray, mean: FloatArray, per_band: int) -> float:
    """Return the same as `chances` for one window.

    Args:
        power: Periodograms, shape (axes, lines).
        mean: Mean of each band, shape (axes, bands).
        per_band: Number of lines in a band.
    """
    n_lines = power.shape[1]
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
    """Distinguishes noise alone from a machine, window by window, and with more certainty after several windows.

    A window with fewer than `LEAST_SAMPLES` samples is judged together with the samples before it. Instead of a window
    that was resampled by a few percent, whose end of the band is empty or folded, the sensor's own samples are judged.
    """

    def __init__(self, limit: float | None = None) -> None:
        """Begin with the limit of the bundle; None: `CHANCE`."""
        self._limit = CHANCE if limit is None else limit
        self.reset()

    def reset(self) -> None:
        """Forget all windows, after a restart of the sensor."""
        self._in_a_row = 0
        self._latest: Counts | FloatArray | None = None
        self._end = 0

    def signs(self, windows: Centred, n_counts: int) -> list[Signs | None]:
        """Return what each window shows by itself; None if it is not judged by itself.

        Args:
            windows: Windows at the model's rate.
            n_counts: Number of samples of each that `is_noise` will get.
        """
        if self._limit >= NEVER or not _is_judged_alone(windows, n_counts):
            return [None] * len(windows)
        return [self._signs(windows, number, chance) for number, chance in enumerate(chances(windows).tolist())]

    def is_noise(
        self, first_sample: int, counts: Counts | FloatArray, window: Centred, signs: Signs | None = None
    ) -> bool:
        """Take a window and tell whether it holds noise alone.

        Args:
            first_sample: Index of its first sample in the session of the sensor.
            counts: The window as the sensor sent it, or decimated, without missing samples, shape (n, axes).
            window: The same window at the model's rate, the only one in `window`.
            signs: What `signs` returned for it; None: it is found out.
        """
        if self._limit >= NEVER:
            return False
        if not _is_judged_alone(window, len(counts)):
            wanted = max(window.by_axis.shape[2], LEAST_SAMPLES)
            latest = self._with_those_before(first_sample, counts, wanted)
            if len(latest) < wanted:
                return False
            window, signs = centre(latest[None].astype(np.float32)), None
        chance, found = signs or self._signs(window, 0, float(chances(window)[0]))
        if self._in_a_row >= _SURE_WINDOWS and self._limit <= CHANCE and not found:
            found = _is_alone(window, chance, min(self._limit, _SURE_CHANCE))
        self._in_a_row = self._in_a_row + 1 if found else 0
        return found

    def _signs(self, windows: Centred, number: int, chance: float) -> Signs:
        is_above = chance >= self._limit
        return Signs(chance, is_above and _is_alone(windows.part(slice(number, number + 1)), chance, self._limit))

    def _with_those_before(self, first_sample: int, counts: Counts | FloatArray, wanted: int) -> Counts | FloatArray:
        """Return the latest samples up to the end of this window, `wanted` samples or fewer if there are fewer."""
        known, self._end = self._end - first_sample, first_sample + len(counts)
        if self._latest is not None and 0 <= known < len(counts):
            counts = np.concatenate([self._latest, counts[known:]])
        self._latest = counts[-wanted:]
        return self._latest


def _is_judged_alone(windows: Centred, n_counts: int) -> bool:
    """Tell whether windows are long enough, and are the sensor's own samples or decimated ones."""
    return LEAST_SAMPLES <= windows.by_axis.shape[2] == n_counts


def _is_alone(window: Centred, chance: float, limit: float) -> bool:
    """Tell whether one window holds noise alone: a lower limit never finds less."""
    return chance >= limit and not _is_machine_below(window, limit)


def _is_machine_below(window: Centred, limit: float) -> bool:
    """Tell whether a window that looks like noise shows a machine after its peaks have been clipped.

    A knock has a flat spectrum, and a knock of ten times the level hides every line of the machine. Noise alone remains
    noise after clipping, whatever its distribution.
    """
    samples = window.samples[0]
    level = np.float32(_PEAKS / 0.6745) * median_of(np.abs(samples))
    if not (np.abs(samples) > level).any():
        return False
    return bool(chances(centre(np.clip(samples, -level, level)[None]))[0] < limit)


def _n_bands(n_lines: int) -> int:
    return min(_BANDS, n_lines // _LEAST_PER_BAND)


def _are_jagged(bands: FloatArray, mean: FloatArray) -> NDArray[np.bool_]:
    """Tell whether a line is far above its band, or a band far above the band two before it, for each window.

    No fit is needed then.

    Args:
        bands: Lines of each band, shape (n, axes, bands, lines); the lowest bands may be steep.
        mean: Mean of each band, shape (n, axes, bands).
    """
    steep = mean[..., _STEADY + 2 :] > np.float32(_RISE) * mean[..., _STEADY:-2]
    n = bands.shape[3]
    highest = np.maximum.reduce(bands[:, :, 2:], axis=3)
    own, below = np.float32(_PEAK / (_PEAK + n - 1) * n) * mean[..., 2:], np.float32(_PEAK_BELOW) * mean[..., 1:-1]
    return np.asarray(steep.any(axis=(1, 2)) | (highest > np.maximum(own, below)).any(axis=(1, 2)))


def _rolls_off(mean: FloatArray) -> bool:
    """Tell whether the spectrum of every axis rolls off at the top; means of bands, shape (axes, bands)."""
    below = np.sort(mean[:, : mean.shape[1] // 3])[:, mean.shape[1] // 6]
    return bool((np.maximum(mean[:, -1], mean[:, -2]) < _ROLLED_OFF * below).all())


def _falls_at_top(power: FloatArray, mean: FloatArray, per_band: int) -> bool:
    """Tell whether the top bands of every axis hold only the beginning of a roll-off.

    A window that is too short for all bands would have too few bands left, and gives False.

    Args:
        power: Periodograms, shape (axes, lines).
        mean: Mean of each band, shape (axes, bands).
        per_band: Number of lines in a band.
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
    """Return the number of bands below the edge of a filter, None without an edge; means of bands, (axes, bands)."""
    level = (mean / mean.sum(axis=1, keepdims=True)).sum(axis=0)
    falls = np.flatnonzero(level[2:] < _EDGE * level[:-2])
    falls = falls[falls >= _FIRST_EDGE] + 1
    return int(falls[0]) if len(falls) else None


@dataclass(frozen=True)
class _Basis:
    """Orthonormal functions of frequency whose weighted sum is log S; shape (lines, functions), and transposed."""

    columns: FloatArray
    rows: FloatArray


@lru_cache(maxsize=64)
def _basis(n_lines: int, kept: int, names: tuple[str, ...]) -> _Basis:
    """Return the functions with these names over the lowest `kept` lines of a spectrum with `n_lines` lines."""
    f = np.arange(1, 1 + kept) / (1 + kept)
    made = {"1": np.ones(kept), "log": np.log(f), "log2": np.log(f) ** 2}
    made |= {f"f{power}": f**power for power in (1, 2, 3, 4)}
    columns = np.linalg.qr(np.stack([made[name] for name in names], axis=1))[0].astype(np.float32)
    return _Basis(columns, np.ascontiguousarray(columns.T))


def _chance_of_fit(power: FloatArray, n_lines: int, names: tuple[str, ...]) -> float:
    """Return the chance of periodograms, shape (axes, lines), after division by the best smooth curve.

    Args:
        power: The lowest lines of a spectrum, shape (axes, lines).
        n_lines: Number of lines of the whole spectrum.
        names: Functions whose sum is the curve.
    """
    return _chance_of_rest(_flattened(power, _basis(n_lines, power.shape[1], names)), len(names))


def _flattened(power: FloatArray, basis: _Basis, steps: int = 2) -> FloatArray:
    """Return periodograms divided by their smooth curve."""
    curve = ((np.log(power) + _EULER) @ basis.columns) @ basis.rows
    for _ in range(steps):
        rest = np.minimum(power * np.exp(-curve), _CLIP) - _CLIPPED_MEAN
        curve += (rest @ basis.columns) @ basis.rows
    return np.asarray(power * np.exp(-curve), np.float32)


def _chance_of_rest(u: FloatArray, fitted: int) -> float:
    """Return the smallest chance of all tests of u, shape (axes, lines); `fitted` values were fitted for each axis."""
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
    """Tell whether the noise of several axes is independent: only then may the axes be added.

    Noise that axes share, for example from a power supply, makes the same lines large on all axes. The contribution of
    a shaft's line is clipped.
    """
    off = np.minimum(u, _CLIP) - _CLIPPED_MEAN
    shared = off @ off.T / u.shape[1]
    return float(shared.sum() - shared.trace()) < _SHARED * len(u) * (len(u) - 1)


def _chances_of_bands(means: FloatArray, per_band: int, fitted: int, apart: bool) -> list[float]:
    """Return the chances of means over bands, shape (axes, bands).

    The first is that of the worst axis. If the noise of the axes is independent, those of the sum and of the mean over
    axes follow.
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
    """Return the chance that the sum of `free` squared means, each of `per_band` lines, is above x.

    A square has mean 1 and variance 2 + 6 / per_band, so the sum is nearly a stretched chi-square variable. The tail is
    the approximation of Wilson and Hilferty (1931).
    """
    stretch = 1 + 3 / per_band
    degrees = free / stretch
    spread = 2 / (9 * degrees)
    z = (math.cbrt(x / stretch / degrees) - (1 - spread)) / math.sqrt(spread)
    return 0.5 * math.erfc(z / math.sqrt(2))
