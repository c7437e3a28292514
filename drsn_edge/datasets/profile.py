"""Profiles of recordings: the few values that doubts about a whole data set are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.doubts import Profile
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.readings import has_steps, steps_of

MAINS_HZ = (50.0, 60.0)

_HARMONICS = range(1, 7)
_LEAST_S, _MOST_S = 4.0, 20.0
"""Shortest recording in which mains hum differs from a shaft, and the longest part that is looked at, in seconds."""

_MAINS_WITHIN = 0.004
"""Largest relative deviation of the mains frequency."""

_BESIDE_HZ, _MOST_BESIDE = 6.0, 0.85
"""Width of the spectrum on each side of a line that the line is compared with, and the quantile of it that counts."""

_AS_HIGH = 4.0
"""Factor between powers within which two lines count as equally high."""

_SHAFT_WITHIN = 0.01
"""Largest relative distance of a line from a multiple of the shaft's speed, which a line of the shaft has."""

_BLOCKS, _JUMP_SHARE, _JUMP_SCATTERS = 32, 0.05, 10.0
"""Number of blocks whose means are compared; smallest jump as a share of the largest sample, and as a multiple of the
usual difference between neighbours."""


def profile_of(recording: Recording) -> Profile:
    """Return the profile of a recording."""
    samples = recording.samples
    means, powers = samples.mean(axis=0, dtype=np.float64), samples.var(axis=0, dtype=np.float64)
    return Profile(
        recording=recording.name,
        label=recording.label or "",
        group=recording.group,
        unit=recording.unit,
        means=means,
        level=float(np.sqrt(powers.sum())),
        axes=recording.axes,
        sample_rate_hz=recording.sample_rate_hz,
        has_steps=has_steps(samples, steps_of(samples)),
        hum_db=hum_of(samples, recording.sample_rate_hz, recording.speed_hz),
        jump_s=jump_of(samples, recording.sample_rate_hz),
    )


def hum_of(samples: NDArray[np.float32], sample_rate_hz: float, speed_hz: float = math.nan) -> Mapping[float, float]:
    """Return how far mains hum stands out, in dB, for each mains frequency; empty if the recording is too short.

    The value is that of the second strongest harmonic: a machine has a line at one of them by chance.

    Args:
        samples: Samples, shape (n, axes).
        sample_rate_hz: Their rate in Hz.
        speed_hz: Speed of the shaft in Hz, whose multiples are no hum; NaN if unknown.
    """
    part = samples[: round(_MOST_S * sample_rate_hz)]
    if len(part) < _LEAST_S * sample_rate_hz:
        return {}
    faded = (part - part.mean(axis=0)) * np.hanning(len(part))[:, None]
    power = np.square(np.abs(np.fft.rfft(faded, axis=0))).sum(axis=1)
    found = {}
    for mains in MAINS_HZ:
        lines = [mains * k for k in _HARMONICS if mains * k < 0.45 * sample_rate_hz and not _turns(mains * k, speed_hz)]
        heights = sorted(_height(power, line, len(part) / sample_rate_hz) for line in lines)
        if len(heights) >= 2:
            found[mains] = heights[-2]
    return found


def _turns(line_hz: float, speed_hz: float) -> bool:
    """Tell whether a line may be a multiple of the speed of the shaft."""
    if not speed_hz > 0:
        return False
    order = max(1, round(line_hz / speed_hz))
    return abs(order * speed_hz / line_hz - 1) < _SHAFT_WITHIN


def _height(power: NDArray[np.float64], line_hz: float, length_s: float) -> float:
    """Return how far the strongest line near a frequency is above most of the spectrum beside it, in dB.

    A shaft may have one line there that is as high. Regular impacts and slow shafts have more, and are no hum.
    """
    at, near = line_hz * length_s, 2 + _MAINS_WITHIN * line_hz * length_s
    low, high = round(at - near), round(at + near) + 1
    beside = round(_BESIDE_HZ * length_s)
    around = np.concatenate([power[max(1, low - beside) : low], power[high : high + beside]])
    most, peak = float(np.quantile(around, _MOST_BESIDE)) if len(around) else 0.0, float(power[low:high].max())
    as_high = np.flatnonzero(around > peak / _AS_HIGH)
    lines = 1 + int(np.count_nonzero(np.diff(as_high) > 4)) if len(as_high) else 0  # a line is 4 bins wide
    return 10 * math.log10(peak / most) if most > 0 and lines <= 1 else 0.0


def jump_of(samples: NDArray[np.float32], sample_rate_hz: float) -> float | None:
    """Return the time at which the mean of an axis jumps and stays, in seconds; None if it does not."""
    size = len(samples) // _BLOCKS
    if size < _BLOCKS:
        return None
    means = samples[: size * _BLOCKS].reshape(_BLOCKS, size, -1).mean(axis=1, dtype=np.float64)
    scatter = np.median(np.abs(np.diff(means, axis=0)), axis=0) + 1e-12
    least = np.maximum(_JUMP_SHARE * np.abs(samples).max(axis=0), _JUMP_SCATTERS * scatter)
    for at in range(_BLOCKS // 8, _BLOCKS - _BLOCKS // 8):
        before, after = np.median(means[:at], axis=0), np.median(means[at:], axis=0)
        is_step = np.abs(means[at] - means[at - 1]) > np.abs(after - before) / 4
        if ((np.abs(after - before) > least) & is_step).any():
            return float(at * size / sample_rate_hz)
    return None
