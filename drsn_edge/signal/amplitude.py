"""Amplitudes that no sound signal has: clipping under noise, wraps, stuck bits, spikes, dropouts, steps of the offset.

Each question is put twice. A cheap one to all axes at once, mostly to a few quantiles of the sorted window, lets pass
what is plainly sound; only an axis that it suspects is looked at closely. Chances are of a false answer by a sound
signal, per window and axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]

LEAST_WINDOW = 256
"""Shorter windows have too few samples to say what is usual."""

_LEAST_CLIPPED, _SURE_CLIPPED, _MARGIN = 512, 768, 1.15
"""Quantiles of short windows scatter: clipping that noise hides is asked about from 512 samples on, and below 768 the
limits are higher by this factor. Windows of 256 samples of sound machines would be called clipped in 3 to 15 %."""

_CROWDED, _CROWDED_TONE = 1.5, 5.0
"""How much further apart than a window's outermost samples (a 64th to an 8th of it) the next as many are. The tail of
noise thins out: at most 1.3 of CWRU's, the motor faults' and the fan's windows, 1.7 of the outermost 64th, which gets a
limit of its own; a pure tone 3, clipping under noise 3 to 100."""
_OUTERMOST = 1.5
"""By so much the limit of the outermost 64th is higher."""

_BLUNT = 1.18
"""How much further from the median a window's outermost 256th is than its outermost 16th. Noise: 1.5; at least 1.25 of
the recordings above where many lines share the power. Soft clipping as tanh at the signal's RMS: 1.0 to 1.2."""
_MANY_LINES, _MORE_LINES, _WHITE = 12 / 1024, 16 / 1024, 174 / 1024
"""Share of a window's samples from which on the lines that carry its power are many: a tone has 2 or 3 lines, machines
have up to 100. White noise has 220 and more; it may be of any distribution, and is not asked about here."""

_LEAST_HALF, _FEW_LEVELS = 8, 32
"""Half a range, in counts, below which nothing wraps, and below which a few samples at a power of two are no wonder."""

_SPIKE_SPREADS = 4.0
_SPIKE_POWER = 14.0
"""Lone readings that hold 14 times the power of all others. Impulsive noise of -4 dB holds 2.5 times as much."""
_FULL_SCALE_SHARE = 1 / 4

_STEP_SHARE, _STEP_POWER = 0.7, 8.0
_STEP_PARTS = 8
"""The offset steps where the window's variance falls to an eighth once each side has its own mean; by half a turn of a
slow shaft it falls to a fifth."""

_PILE_CHANCE = 1e-9
_NEAR = 4
_FAR = 8


@dataclass(frozen=True)
class Ordered:
    """A window by axes, with what the tests share.

    Attributes:
        counts: Shape (axes, window), contiguous.
        ordered: The same, each axis sorted.
    """

    counts: Ints
    ordered: Ints

    @property
    def n(self) -> int:
        """Samples of the window."""
        return self.counts.shape[1]

    @cached_property
    def differences(self) -> Ints:
        """From each sample to the next, shape (axes, window - 1)."""
        return self.counts[:, 1:] - self.counts[:, :-1]

    @cached_property
    def repeats(self) -> list[int]:
        """How many samples of each axis are as the one before."""
        return list(np.count_nonzero(self.differences == 0, axis=1).tolist())

    @cached_property
    def shapes(self) -> list[Shape]:
        """How the values of each axis are spread."""
        return [Shape(*row) for row in self.ordered[:, _places(self.n)].tolist()]


class Shape(NamedTuple):
    """Values of a sorted axis at some places, from both ends; see `_places`."""

    lowest: int
    low_512: int
    low_64: int
    low_32: int
    low_16: int
    low_8: int
    low_4: int
    middle: int
    high_4: int
    high_8: int
    high_16: int
    high_32: int
    high_64: int
    high_512: int
    highest: int

    @property
    def spread(self) -> int:
        """From the lowest 32nd to the highest: 3.7 standard deviations of noise."""
        return self.high_32 - self.low_32

    @property
    def reach(self) -> int:
        """From the middle to the end that is further away."""
        return max(self.highest - self.middle, self.middle - self.lowest)


@lru_cache(maxsize=8)
def _places(n: int) -> NDArray[np.intp]:
    low = [0, *(n // share for share in (512, 64, 32, 16, 8, 4))]
    return np.array([*low, n // 2, *(n - 1 - place for place in reversed(low))])


def clipped_axes(window: Ordered) -> bool:
    """Tell whether an axis is clipped though noise on top hides it, or softly."""
    if window.n < _LEAST_CLIPPED:
        return False
    margin = 1.0 if window.n >= _SURE_CLIPPED else _MARGIN
    return any(
        max(_crowding(shape, 1), _bluntness(shape, 1)) > margin and _is_clipped(window, axis, margin)
        for axis, shape in enumerate(window.shapes)
    )


def _crowding(shape: Shape, step: int) -> float:
    """Return how crowded the ends of an axis are, in multiples of the limit for noise."""
    (a, _, b, c, d, e, f), (u, _, v, w, x, y, z) = shape[:7], shape[:7:-1]
    return max(
        (c - b) / (b - a + step) / _OUTERMOST, (d - c) / (c - a + step), (e - d) / (d - a + step),
        (f - e) / (e - a + step), (v - w) / (u - v + step) / _OUTERMOST, (w - x) / (u - w + step),
        (x - y) / (u - x + step), (y - z) / (u - y + step),
    ) / _CROWDED  # fmt: skip


def _bluntness(shape: Shape, step: int) -> float:
    """Return how near the outermost samples of an axis are to the others, in multiples of the limit for noise."""
    return _BLUNT * shape.spread / (shape.high_512 - shape.low_512 + step)


def _is_clipped(window: Ordered, axis: int, margin: float) -> bool:
    shape, step = window.shapes[axis], step_of(window.ordered[axis])
    crowded, blunt = _crowding(shape, step), _bluntness(shape, step)
    if crowded > _CROWDED_TONE / _CROWDED and not _has_steps(window.ordered[axis], step):
        return True
    if max(crowded, blunt) <= margin:
        return False
    fewest = _MANY_LINES if crowded > margin else _MORE_LINES
    return fewest <= _lines(window.counts[axis]) / window.n <= _WHITE


def _has_steps(ordered: Ints, step: int) -> bool:
    """Tell whether a sorted axis is crowded elsewhere, too, as of a tone that keeps step with the sampling."""
    n = len(ordered)
    many, margin = n // 64, n // 8
    ends = min(int(ordered[-1] - ordered[-1 - many]), int(ordered[many] - ordered[0]))
    inside = ordered[margin + many : n - margin] - ordered[margin : n - margin - many]
    return bool(int(inside.min()) <= 1.5 * (ends + step))


def step_of(ordered: Ints) -> int:
    """Return the step between an axis' values, sorted: that of the converter, 1 where it is as fine as the counts."""
    steps = ordered[1:] - ordered[:-1]
    steps = np.sort(steps[steps > 0])
    return int(steps[len(steps) // 10]) if len(steps) else 1


def _lines(axis: Ints) -> float:
    """Return how many lines of the spectrum carry the power: (sum of powers)^2 / sum of (powers^2)."""
    powers = np.square(np.abs(np.fft.rfft((axis - axis.mean()) * np.hanning(len(axis)))))
    return float(powers.sum() ** 2 / max(float(np.square(powers).sum()), 1e-300))


# --- wraps and bits ------------------------------------------------------------------------------------------------


def wrapped_axes(window: Ordered) -> bool:
    """Tell whether an axis leaves a power of two at one end and comes back at the other, or lacks its sign."""
    if window.n < LEAST_WINDOW:
        return False
    return any(_wraps(window, axis) or _lacks_sign(window, axis) for axis in range(len(window.counts)))


def _leaps(window: Ordered, axis: int) -> int:
    differences = window.differences[axis]
    return max(int(differences.max()), -int(differences.min()))


def _wraps(window: Ordered, axis: int) -> bool:
    low, high = window.shapes[axis].lowest, window.shapes[axis].highest
    half = 1 << max(high, -low - 1, 1).bit_length()
    if half < _LEAST_HALF or min(high, -low) < 0.9 * half or _leaps(window, axis) < 1.5 * half:
        return False
    if _errs(window.counts[axis], 0.7 * 2 * half) or _fills(window, axis, -half, 2 * half):
        return True
    leaps = int(np.count_nonzero(np.abs(window.differences[axis]) > 1.8 * half))  # a tone needs half the sample rate
    return leaps >= 2 and half >= _FEW_LEVELS and _lines(window.counts[axis]) <= _WHITE * window.n


def _lacks_sign(window: Ordered, axis: int) -> bool:
    low, high = window.shapes[axis].lowest, window.shapes[axis].highest
    span = 1 << max(high, 1).bit_length()
    if span < _LEAST_HALF or not 0 <= 16 * low <= high or high < 15 / 16 * span or _leaps(window, axis) < 0.75 * span:
        return False
    counts = window.counts[axis]
    signed = np.where(counts >= span // 2, counts - span, counts)  # much smoother so?
    roughness = int(np.abs(window.differences[axis]).sum())
    return bool(2 * np.abs(np.diff(signed)).sum() < roughness) or _fills(window, axis, 0, span)


def _fills(window: Ordered, axis: int, low: int, span: int) -> bool:
    """Tell whether an axis fills the range from `low` up to both ends, and is no tone: wrapped again and again."""
    ordered = window.ordered[axis]
    near, thick = max(1, span // 128), max(2, span // 64)
    ends = int(ordered[0]) < low + near and int(ordered[-1]) >= low + span - near
    many = 2 if span >= 2 * _FEW_LEVELS else window.n // 64
    dense = int(ordered[many]) < low + thick and int(ordered[-1 - many]) >= low + span - thick
    return ends and dense and _lines(window.counts[axis]) >= _MANY_LINES * window.n


def _errs(axis: Ints, far: float) -> bool:
    """Tell whether a sample is so far from what those on both sides of it foretell, by their own spectrum.

    That is further than the axis reaches: no sound sample is, and one that has wrapped is a whole span off.
    """
    x = axis - axis.mean()
    power = np.square(np.abs(np.fft.rfft(x)))
    smooth = np.convolve(np.concatenate([power[8:0:-1], power, power[-2:-10:-1]]), np.ones(17) / 17, "valid")
    inverse = 1 / np.maximum(smooth, 1e-6 * smooth.max())
    off = np.fft.irfft(np.fft.rfft(x) * inverse, n=len(x)) / np.fft.irfft(inverse, n=len(x))[0]
    return bool((np.abs(off[8:-8]) > far).any())


def has_stuck_bit(window: Ordered) -> bool:
    """Tell whether a bit never changes though bits above and below it do."""
    if window.n < LEAST_WINDOW:
        return False
    changing = np.bitwise_or.reduce(window.counts, axis=1) ^ np.bitwise_and.reduce(window.counts, axis=1)
    for axis, signed in enumerate(changing.tolist()):
        bits = signed & 0xFFFFFFFF
        stuck = ~bits & ((1 << max(bits.bit_length() - 1, 0)) - 1)
        stuck &= ~((bits & -bits) - 1)  # the lowest bits of a coarser converter stay 0
        while stuck:
            bit = stuck.bit_length() - 1
            if _skips(window.counts[axis], bit):
                return True
            stuck ^= 1 << bit
    return False


def _skips(axis: Ints, bit: int) -> bool:
    """Tell whether an axis is cut at multiples of 2^bit: dense up to them, and never beyond."""
    size = 1 << bit
    rest = axis & (size - 1)
    near = max(2, size // 64)
    if int(rest.min()) >= near or int(rest.max()) < size - near:
        return False
    quarter = max(1, size // 4)
    edges = min(np.count_nonzero(rest < quarter), np.count_nonzero(rest >= size - quarter))
    return bool(edges >= 16 and len(np.unique(axis)) >= 8)


# --- lone readings -------------------------------------------------------------------------------------------------


def has_spikes(window: Ordered, full_scale_counts: float) -> bool:
    """Tell whether lone readings hold nearly all the power, or a lone one is at full scale and nothing near it."""
    n = window.n
    if n < LEAST_WINDOW:
        return False
    shapes = window.shapes
    at_limit = any(max(shape.highest, -shape.lowest) >= full_scale_counts for shape in shapes)
    if not at_limit and all(shape.reach <= 2 * _SPIKE_SPREADS * max(shape.spread, 4) for shape in shapes):
        return False
    far = np.abs(window.counts - np.array([[shape.middle] for shape in shapes], np.int32))
    beside = np.zeros_like(far)
    beside[:, 1:] = far[:, :-1]
    np.maximum(beside[:, :-1], far[:, 1:], out=beside[:, :-1])
    alone = (far > _SPIKE_SPREADS * np.array([[max(shape.spread, 4)] for shape in shapes])) & (far > 3 * beside)
    power = np.square(far, dtype=np.float64)
    spikes = float(power[alone].sum())
    if spikes > _SPIKE_POWER * (float(power.sum()) - spikes):
        return True
    full = alone & (np.abs(window.counts) >= full_scale_counts)
    return bool(full.any() and far[~full].max() < _FULL_SCALE_SHARE * full_scale_counts)


def drops_out(window: Ordered) -> bool:
    """Tell whether readings fall to one value in the midst of others: chance below 1e-9."""
    n, ordered = window.n, window.ordered
    if n < LEAST_WINDOW:
        return False
    for axis, shape in enumerate(window.shapes):
        usual = 8 + math.ceil(4.5 * n / max(shape.spread, 1))  # three times as often as noise has its likeliest value
        row = ordered[axis]
        if usual < n:
            often = row[usual:] == row[:-usual]
            if often.any() and _falls_to(window, axis, int(row[:-usual][often][0]), step_of(row)):
                return True
    return False


def _falls_to(window: Ordered, axis: int, value: int, step: int) -> bool:
    """Tell whether readings that are far from both beside them have this value far more often than any other."""
    counts, changes = window.counts[axis], np.abs(window.differences[axis])
    alone = np.minimum(changes[:-1], changes[1:]) >= _FAR * step
    return _stands_out(counts[1:-1][alone], value, step)


def repeats_readings(window: Ordered, axis: int) -> bool:
    """Tell whether readings are those before them, more often than by chance: chance below 1e-9.

    Counted are pairs between larger changes: there a change of 0 is as likely as one of a step.
    """
    changes = np.abs(window.differences[axis])
    step = step_of(window.ordered[axis])
    alone = np.minimum(changes[:-2], changes[2:]) >= _FAR * step
    return _stands_out(changes[1:-1][alone], 0, step)


def _stands_out(values: Ints, value: int, step: int) -> bool:
    """Tell whether one value is there too often: three times as often as any other, and than those beside it together.

    The chance is that of a Poisson tail by Chernoff's bound. A tone that keeps step with the sampling has few values,
    and all of them often.
    """
    off = np.abs(values - value)
    there = int(np.count_nonzero(off == 0))
    expected = max(int(np.count_nonzero(off <= _NEAR * step)) - there, 1) / (2 * _NEAR)
    if there <= 3 * expected or there * math.log(math.e * expected / there) - expected >= math.log(_PILE_CHANCE):
        return False
    times = np.unique(values[off > 0], return_counts=True)[1]
    return there > 3 * int(times.max(initial=0))


# --- offset --------------------------------------------------------------------------------------------------------


def offset_steps(window: Ordered) -> bool:
    """Tell whether the mean of an axis steps within the window."""
    part = window.n // _STEP_PARTS
    if window.n < LEAST_WINDOW:
        return False
    counts = window.counts
    steps = (counts[:, :part].sum(axis=1) - counts[:, -part:].sum(axis=1)).tolist()
    suspects = [
        axis
        for axis, (step, shape) in enumerate(zip(steps, window.shapes, strict=True))
        if abs(step) > _STEP_SHARE * part * max(shape.spread, 4)
    ]
    return any(_steps(window.counts[axis]) for axis in suspects)


def _steps(axis: Ints) -> bool:
    x = axis - axis.mean()
    sums = np.cumsum(x)[:-1]
    before = np.arange(1, len(x))
    gained = np.square(sums) / before + np.square(sums) / (len(x) - before)  # variance explained by a step there
    edge = len(x) // 32
    total = float(np.square(x).sum())
    return bool(total > _STEP_POWER * (total - float(gained[edge:-edge].max())))
