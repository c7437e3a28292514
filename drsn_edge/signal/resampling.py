"""Resampling: windows at the model's sampling rate from a sensor with a slightly different rate.

A MEMS sensor samples up to a few percent faster or slower than its nominal rate, which shifts every spectral line.
When the true rate has been measured, windows are cut longer or shorter accordingly, with a margin on both sides, and
each window is resampled separately, so that no filter carries anything across a gap.

The resampler is a weighted sinc written for this purpose. General resamplers attenuate the end of the band to suppress
aliases (soxr from 93 % of the band upwards), which a model mistakes for a change of the machine. The two rates are so
close that only the ends of the bands differ. Accuracy on CWRU at load 3 with a sensor that is 3 % slow: 98 %; with soxr
85 %; without resampling 87 %. With a sensor that is 1 % slow: 98, 96 and 99 % (benchmarks/resampling.py,
docs/results/resampling.jsonl).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LIMIT = 0.04
"""Largest relative difference between the sensor's rate and the model's; data sheets allow 3 %."""

FOLLOW = 0.002
"""Largest relative difference that is not resampled: a tenth of the difference that a model tolerates."""

_KAISER = 8.0
"""Shape of the Kaiser window: 80 dB, with a transition of 4 % of the band on both sides of its end."""

MARGIN = 128
"""Samples on both sides of a window: half the length of the kernel."""


@dataclass(frozen=True)
class Cut:
    """How to cut windows from the samples of a sensor.

    Attributes:
        ratio: Ratio of the sensor's rate to the model's; 1 for windows that are not resampled.
        window: Length of a window in samples of the sensor, margins included.
        hop: Distance of window starts in samples of the sensor.
    """

    ratio: float
    window: int
    hop: int

    @property
    def margin(self) -> int:
        """Samples of the sensor before the window itself."""
        return 0 if self.ratio == 1.0 else MARGIN


def cut_for(ratio: float, window: int, hop: int) -> Cut:
    """Return how to cut windows for a ratio of rates.

    Args:
        ratio: Ratio of the sensor's rate to the model's.
        window: Samples per window at the model's rate.
        hop: Samples between window starts at the model's rate.
    """
    if abs(ratio - 1) <= FOLLOW:
        return Cut(1.0, window, hop)
    return Cut(ratio, round(window * ratio) + 2 * MARGIN + 1, max(1, round(hop * ratio)))


def resampled(samples: NDArray[np.float32], cut: Cut, window: int) -> NDArray[np.float32]:
    """Return one window at the model's rate, shape (1, window, axes).

    Args:
        samples: Samples of the sensor, shape (1, cut.window, axes).
        cut: How they were cut.
        window: Samples per window at the model's rate.
    """
    if cut.ratio == 1.0:
        return samples
    first, weights = _kernel(cut.ratio, window)
    near = np.lib.stride_tricks.sliding_window_view(samples[0], 2 * MARGIN, axis=0)[first]  # (window, axes, taps)
    return np.matmul(near, weights[:, :, None])[None, :, :, 0]


@lru_cache(maxsize=8)
def _kernel(ratio: float, window: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the first tap and the weights of each sample of the window: a Kaiser-weighted sinc."""
    positions = MARGIN + ratio * np.arange(window)
    first = np.floor(positions).astype(np.int64) - MARGIN + 1
    distance = positions[:, None] - (first[:, None] + np.arange(2 * MARGIN))
    shape = np.i0(_KAISER * np.sqrt(np.clip(1 - np.square(distance / MARGIN), 0, None))) / np.i0(_KAISER)
    return first, (np.sinc(distance) * shape).astype(np.float32)
