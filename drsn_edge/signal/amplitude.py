"""Amplitude faults: clipping hidden by noise, wraps, stuck bits, spikes, dropouts and steps of the offset.

Each check first passes axes that are clearly sound by a few quantiles, and looks at the samples of the others.
`drsn_edge.signal.suspects` tells for many windows at once which of them need the checks. Chances are those of a false
alarm on a sound signal, per window and axis.
"""

from __future__ import annotations

import math

import numpy as np

from drsn_edge.signal.ordered import Ints, Ordered, Shape
from firmware_bridge.support.median import median_of

LEAST_WINDOW = 256
"""Fewest samples of a window for most checks: shorter windows have too few samples for quantiles."""

LEAST_CLIPPED, _SURE_CLIPPED, _MARGIN = 512, 768, 1.15
"""Clipping hidden by noise is checked from 512 samples upwards, and below 768 samples with limits that are higher by
this factor, because quantiles of short windows scatter. With 256 samples, 3 to 15 % of sound windows would count as
clipped."""

CROWDED, _CROWDED_TONE = 1.5, 5.0
"""Smallest crowding of clipped windows, and of clipped windows with few lines. Crowding is the width of the next
quantile range over the width of the outermost one with as many samples (a 64th to an 8th of the window). The tail of
noise thins out: the windows of CWRU, the motor faults and the fan have at most 1.3, and 1.7 in the outermost 64th,
which has its own limit. A pure tone has 3, clipping hidden by noise has 3 to 100."""
OUTERMOST = 1.5
"""Factor of the limit for the outermost 64th."""

BLUNT = 1.18
"""Ratio of the range of the outermost 256th to that of the outermost 16th, below which a window is softly clipped.
Noise has 1.5, and the recordings above have at least 1.25 where many lines share the power. Soft clipping, as tanh at
the RMS of the signal, has 1.0 to 1.2."""
_MANY_LINES, _MORE_LINES, WHITE = 12 / 1024, 16 / 1024, 174 / 1024
"""Number of spectral lines that carry the power, as a share of the window's samples. A tone has 2 or 3 lines in 1024
samples, machines have up to 100. White noise has 220 and more; it may have any distribution, and is not checked for
clipping hidden by noise."""

LEAST_HALF, _FEW_LEVELS = 8, 32
"""Half of a range in counts below which no wrap is looked for, and below which a few samples at a power of two do not
count."""

SPIKE_SPREADS = 4.0
_SPIKE_POWER = 14.0
"""Power of isolated readings, relative to all others, above which they count as spikes. Impulsive noise at -4 dB has
2.5."""
_FULL_SCALE_SHARE = 1 / 4

STEP_SHARE, _STEP_POWER = 0.7, 8.0
STEP_PARTS = 8
"""The offset steps if the variance of the window falls to an eighth when each side has its own mean. Half a turn of a
slow shaft reduces it to a fifth."""

LEAST_HELD, _LEAST_GAPS, _REGULAR = 0.45, 12, 0.9
"""Smallest share of samples equal to the one before, number of intervals, and share of regular intervals in a window
whose values are held."""

_PILE_CHANCE = 1e-9
_NEAR = 4
_FAR = 8


def clipped_axes(window: Ordered) -> bool:
    """Tell whether an axis is clipped with noise added afterwards, or softly clipped."""
    if window.n < LEAST_CLIPPED:
        return False
    margin = clipped_margin(window.n)
    return any(
        max(_crowding(shape, 1), _bluntness(shape, 1)) > margin and _is_clipped(window, axis, margin)
        for axis, shape in enumerate(window.shapes)
    )


def clipped_margin(n: int) -> float:
    """Return the factor of the limits for windows of n samples."""
    return 1.0 if n >= _SURE_CLIPPED else _MARGIN


def _crowding(shape: Shape, step: int) -> float:
    """Return the crowding at the ends of an axis, in multiples of the limit for noise."""
    (a, _, b, c, d, e, f), (u, _, v, w, x, y, z) = shape[:7], shape[:7:-1]
    return max(
        (c - b) / (b - a + step) / OUTERMOST, (d - c) / (c - a + step), (e - d) / (d - a + step),
        (f - e) / (e - a + step), (v - w) / (u - v + step) / OUTERMOST, (w - x) / (u - w + step),
        (x - y) / (u - x + step), (y - z) / (u - y + step),
    ) / CROWDED  # fmt: skip


def _bluntness(shape: Shape, step: int) -> float:
    """Return how close the outermost samples of an axis are to the others, in multiples of the limit for noise."""
    return BLUNT * shape.spread / (shape.high_512 - shape.low_512 + step)


def _is_clipped(window: Ordered, axis: int, margin: float) -> bool:
    shape, step = window.shapes[axis], step_of(window.ordered[axis])
    crowded, blunt = _crowding(shape, step), _bluntness(shape, step)
    if crowded > _CROWDED_TONE / CROWDED and not _has_steps(window.ordered[axis], step):
        return True
    if max(crowded, blunt) <= margin:
        return False
    fewest = _MANY_LINES if crowded > margin else _MORE_LINES
    return fewest <= lines_of(window.counts[axis]) / window.n <= WHITE


def _has_steps(ordered: Ints, step: int) -> bool:
    """Tell whether a sorted axis is also crowded elsewhere, as a tone at a simple fraction of the sampling rate is."""
    n = len(ordered)
    many, margin = n // 64, n // 8
    ends = min(int(ordered[-1] - ordered[-1 - many]), int(ordered[many] - ordered[0]))
    inside = ordered[margin + many : n - margin] - ordered[margin : n - margin - many]
    return bool(int(inside.min()) <= 1.5 * (ends + step))


def step_of(ordered: Ints) -> int:
    """Return the step of the values of a sorted axis: that of the converter, 1 if every count occurs."""
    steps = ordered[1:] - ordered[:-1]
    steps = np.sort(steps[steps > 0])
    return int(steps[len(steps) // 10]) if len(steps) else 1


def lines_of(axis: Ints) -> float:
    """Return the number of spectral lines that carry the power: (sum of powers)^2 / sum of (powers^2)."""
    powers = np.square(np.abs(np.fft.rfft((axis - axis.mean()) * np.hanning(len(axis)))))
    return float(powers.sum() ** 2 / max(float(np.square(powers).sum()), 1e-300))


# --- wraps and bits ------------------------------------------------------------------------------------------------


def wrapped_axes(window: Ordered) -> bool:
    """Tell whether an axis wraps at a power of two from one end to the other, or lacks its sign."""
    if window.n < LEAST_WINDOW:
        return False
    return any(_wraps(window, axis) or _lacks_sign(window, axis) for axis in range(len(window.counts)))


def _leaps(window: Ordered, axis: int) -> int:
    differences = window.differences[axis]
    return max(int(differences.max()), -int(differences.min()))


def _wraps(window: Ordered, axis: int) -> bool:
    low, high = window.shapes[axis].lowest, window.shapes[axis].highest
    half = 1 << max(high, -low - 1, 1).bit_length()
    if half < LEAST_HALF or min(high, -low) < 0.9 * half or _leaps(window, axis) < 1.5 * half:
        return False
    if errs(window.counts[axis], 0.7 * 2 * half) or _fills(window, axis, -half, 2 * half):
        return True
    leaps = int(
        np.count_nonzero(np.abs(window.differences[axis]) > 1.8 * half)
    )  # a tone would need half the sampling rate
    return leaps >= 2 and half >= _FEW_LEVELS and lines_of(window.counts[axis]) <= WHITE * window.n


def _lacks_sign(window: Ordered, axis: int) -> bool:
    low, high = window.shapes[axis].lowest, window.shapes[axis].highest
    span = 1 << max(high, 1).bit_length()
    if span < LEAST_HALF or not 0 <= 16 * low <= high or high < 15 / 16 * span or _leaps(window, axis) < 0.75 * span:
        return False
    counts = window.counts[axis]
    signed = np.where(counts >= span // 2, counts - span, counts)  # is it much smoother with a sign?
    roughness = int(np.abs(window.differences[axis]).sum())
    return bool(2 * np.abs(np.diff(signed)).sum() < roughness) or _fills(window, axis, 0, span)


def _fills(window: Ordered, axis: int, low: int, span: int) -> bool:
    """Tell whether an axis fills the range from `low` to both ends and is not a tone, as after many wraps."""
    ordered = window.ordered[axis]
    near, thick = max(1, span // 128), max(2, span // 64)
    ends = int(ordered[0]) < low + near and int(ordered[-1]) >= low + span - near
    many = 2 if span >= 2 * _FEW_LEVELS else window.n // 64
    dense = int(ordered[many]) < low + thick and int(ordered[-1 - many]) >= low + span - thick
    return ends and dense and lines_of(window.counts[axis]) >= _MANY_LINES * window.n


def errs(axis: Ints, far: float) -> bool:
    """Tell whether a sample deviates by more than `far` from its prediction by the samples on both sides.

    The prediction uses the spectrum of the axis. `far` exceeds the range of the axis: no sound sample deviates as much,
    and a wrapped sample deviates by the whole span.
    """
    x = axis - axis.mean()
    power = np.square(np.abs(np.fft.rfft(x)))
    smooth = np.convolve(np.concatenate([power[8:0:-1], power, power[-2:-10:-1]]), np.ones(17) / 17, "valid")
    inverse = 1 / np.maximum(smooth, 1e-6 * smooth.max())
    off = np.fft.irfft(np.fft.rfft(x) * inverse, n=len(x)) / np.fft.irfft(inverse, n=len(x))[0]
    return bool((np.abs(off[8:-8]) > far).any())


def has_stuck_bit(window: Ordered) -> bool:
    """Tell whether a bit never changes although bits above and below it change."""
    if window.n < LEAST_WINDOW:
        return False
    changing = np.bitwise_or.reduce(window.counts, axis=1) ^ np.bitwise_and.reduce(window.counts, axis=1)
    for axis, signed in enumerate(changing.tolist()):
        bits = signed & 0xFFFFFFFF
        stuck = ~bits & ((1 << max(bits.bit_length() - 1, 0)) - 1)
        stuck &= ~((bits & -bits) - 1)  # the lowest bits of a coarse converter stay 0
        while stuck:
            bit = stuck.bit_length() - 1
            if _skips(window.counts[axis], bit):
                return True
            stuck ^= 1 << bit
    return False


def _skips(axis: Ints, bit: int) -> bool:
    """Tell whether the values of an axis stop at multiples of 2^bit: dense up to them, and never beyond."""
    size = 1 << bit
    rest = axis & (size - 1)
    near = max(2, size // 64)
    if int(rest.min()) >= near or int(rest.max()) < size - near:
        return False
    quarter = max(1, size // 4)
    edges = min(np.count_nonzero(rest < quarter), np.count_nonzero(rest >= size - quarter))
    return bool(edges >= 16 and len(np.unique(axis)) >= 8)


# --- isolated readings ---------------------------------------------------------------------------------------------


def has_spikes(window: Ordered) -> bool:
    """Tell whether isolated readings hold nearly all power, or one is at full scale and no other is near it."""
    n = window.n
    if n < LEAST_WINDOW:
        return False
    shapes, full_scale_counts = window.shapes, window.full_scale_counts
    at_limit = any(max(shape.highest, -shape.lowest) >= full_scale_counts for shape in shapes)
    if not at_limit and all(shape.reach <= 2 * SPIKE_SPREADS * max(shape.spread, 4) for shape in shapes):
        return False
    far = np.abs(window.counts - np.array([[shape.middle] for shape in shapes], np.int32))
    beside = np.zeros_like(far)
    beside[:, 1:] = far[:, :-1]
    np.maximum(beside[:, :-1], far[:, 1:], out=beside[:, :-1])
    alone = (far > SPIKE_SPREADS * np.array([[max(shape.spread, 4)] for shape in shapes])) & (far > 3 * beside)
    power = np.square(far, dtype=np.float64)
    spikes = float(power[alone].sum())
    if spikes > _SPIKE_POWER * (float(power.sum()) - spikes):
        return True
    full = alone & (np.abs(window.counts) >= full_scale_counts)
    return bool(full.any() and far[~full].max() < _FULL_SCALE_SHARE * full_scale_counts)


def drops_out(window: Ordered) -> bool:
    """Tell whether single readings drop to one value: chance below 1e-9."""
    n, ordered = window.n, window.ordered
    if n < LEAST_WINDOW:
        return False
    for axis, shape in enumerate(window.shapes):
        usual = 8 + math.ceil(
            4.5 * n / max(shape.spread, 1)
        )  # three times as often as the most frequent value of noise
        row = ordered[axis]
        if usual < n:
            often = row[usual:] == row[:-usual]
            if often.any() and _falls_to(window, axis, int(row[:-usual][often][0]), step_of(row)):
                return True
    return False


def _falls_to(window: Ordered, axis: int, value: int, step: int) -> bool:
    """Tell whether readings far from both neighbours have this value far more often than any other value."""
    counts, changes = window.counts[axis], np.abs(window.differences[axis])
    alone = np.minimum(changes[:-1], changes[1:]) >= _FAR * step
    return _stands_out(counts[1:-1][alone], value, step)


def repeats_readings(window: Ordered, axis: int) -> bool:
    """Tell whether readings repeat the reading before more often than by chance: chance below 1e-9.

    Only pairs between larger changes count, because a change of 0 is as likely there as a change of one step.
    """
    changes = np.abs(window.differences[axis])
    step = step_of(window.ordered[axis])
    alone = np.minimum(changes[:-2], changes[2:]) >= _FAR * step
    return _stands_out(changes[1:-1][alone], 0, step)


def held_for(window: Ordered) -> float | None:
    """Return how many samples each value is held on average, from 2 upwards; None if values are not held.

    Such a sensor is read faster than it measures. All axes change at the same instants, in regular intervals, and
    mostly by more than one step. Values of a coarse sensor are equal in a row by chance, in intervals of any length.
    """
    if min(window.repeats) < LEAST_HELD * window.n:
        return None
    moved = window.differences.any(axis=0)
    changes = np.flatnonzero(moved)
    gaps = np.diff(changes)
    if len(gaps) < _LEAST_GAPS:
        return None
    single = gaps[gaps < 1.5 * median_of(gaps)]  # a value that did not change makes a gap of twice the length
    held = float(single.mean())
    low, high = math.floor(held + 0.05), math.ceil(held - 0.05)
    regular = int(np.count_nonzero((gaps >= low) & (gaps <= high)))
    stay = 1 - len(changes) / (window.n - 1)
    by_chance = stay ** (low - 1) * (1 - stay ** (high - low + 1))
    if low < 2 or regular < _REGULAR * len(gaps) or regular * math.log(max(by_chance, 1e-9)) > math.log(_PILE_CHANCE):
        return None
    steps = np.array([[step_of(axis)] for axis in window.ordered])
    far = (np.abs(window.differences[:, changes]) >= 2 * steps).any(axis=0)
    return held if far.mean() >= _REGULAR / 2 else None


def _stands_out(values: Ints, value: int, step: int) -> bool:
    """Tell whether one value occurs too often: three times as often as any other, and as its neighbours suggest.

    The chance is the Chernoff bound of a Poisson tail. A tone at a simple fraction of the sampling rate has few values,
    which all occur often.
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
    part = window.n // STEP_PARTS
    if window.n < LEAST_WINDOW:
        return False
    counts = window.counts
    steps = (counts[:, :part].sum(axis=1) - counts[:, -part:].sum(axis=1)).tolist()
    suspects = [
        axis
        for axis, (step, shape) in enumerate(zip(steps, window.shapes, strict=True))
        if abs(step) > STEP_SHARE * part * max(shape.spread, 4)
    ]
    return any(_steps(window.counts[axis]) for axis in suspects)


def _steps(axis: Ints) -> bool:
    x = axis - axis.mean()
    sums = np.cumsum(x)[:-1]
    before = np.arange(1, len(x))
    gained = np.square(sums) / before + np.square(sums) / (
        len(x) - before
    )  # variance explained by a step at each sample
    edge = len(x) // 32
    total = float(np.square(x).sum())
    return bool(total > _STEP_POWER * (total - float(gained[edge:-edge].max())))
