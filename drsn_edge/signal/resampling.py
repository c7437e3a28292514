"""Windows at the model's rate from a sensor that samples at another.

A MEMS sensor samples up to a few percent faster or slower than it says, and every line of a spectrum moves with it.
Once the rate is measured, windows are cut so much longer or shorter, with a margin on both sides, and each is resampled
by itself: no filter remembers anything across a gap.

The resampler is a weighted sinc of our own: general ones fade the end of the band to keep aliases out (soxr from 93 %
of it on), which a model takes for a change of the machine. With rates so near each other only the very ends of the
bands differ. On CWRU at load 3, a sensor 3 % slow: 98 % of windows right, 85 % by soxr, 87 % unresampled; at 1 % slow
98, 96 and 99 % (benchmarks/resampling.py, docs/results/resampling.jsonl).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LIMIT = 0.04
"""Share by which a sensor's rate may be off from the model's: 3 % is what data sheets allow."""

FOLLOW = 0.002
"""Share below which a difference is left alone: a tenth of what a model stands."""

_KAISER = 8.0
"""80 dB, over a transition of 4 % of the band on both sides of its end."""

MARGIN = 128
"""Samples on both sides of a window: half of the kernel's length."""


@dataclass(frozen=True)
class Cut:
    """How to cut windows from a sensor's samples.

    Attributes:
        ratio: Of the sensor's rate to the model's; 1 where windows are taken as they come.
        window: Samples of the sensor, margins included.
        hop: Samples of the sensor.
    """

    ratio: float
    window: int
    hop: int

    @property
    def margin(self) -> int:
        """Samples of the sensor before the window proper."""
        return 0 if self.ratio == 1.0 else MARGIN


def cut_for(ratio: float, window: int, hop: int) -> Cut:
    """Return how to cut for a ratio of rates.

    Args:
        ratio: Of the sensor's rate to the model's.
        window: The model's samples.
        hop: The model's samples between window starts.
    """
    if abs(ratio - 1) <= FOLLOW:
        return Cut(1.0, window, hop)
    return Cut(ratio, round(window * ratio) + 2 * MARGIN + 1, max(1, round(hop * ratio)))


def resampled(samples: NDArray[np.float32], cut: Cut, window: int) -> NDArray[np.float32]:
    """Return one window at the model's rate, shape (1, window, axes).

    Args:
        samples: As they were cut, shape (1, cut.window, axes).
        cut: How.
        window: The model's samples.
    """
    if cut.ratio == 1.0:
        return samples
    first, weights = _kernel(cut.ratio, window)
    near = np.lib.stride_tricks.sliding_window_view(samples[0], 2 * MARGIN, axis=0)[first]  # (window, axes, taps)
    return np.matmul(near, weights[:, :, None])[None, :, :, 0]


@lru_cache(maxsize=8)
def _kernel(ratio: float, window: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return where the taps of each sample of the window begin, and their weights: a Kaiser-weighted sinc."""
    positions = MARGIN + ratio * np.arange(window)
    first = np.floor(positions).astype(np.int64) - MARGIN + 1
    distance = positions[:, None] - (first[:, None] + np.arange(2 * MARGIN))
    shape = np.i0(_KAISER * np.sqrt(np.clip(1 - np.square(distance / MARGIN), 0, None))) / np.i0(_KAISER)
    return first, (np.sinc(distance) * shape).astype(np.float32)
