"""Resampling: windows and recordings at the model's sampling rate from a sensor with another rate.

A MEMS sensor samples up to a few percent faster or slower than its nominal rate, which shifts every spectral line.
When the true rate has been measured, windows are cut longer or shorter accordingly, with a margin on both sides, and
each window is resampled separately, so that no filter carries anything across a gap.

The resampler is a weighted sinc written for this purpose. General resamplers attenuate the end of the band to suppress
aliases (soxr from 93 % of the band upwards), which a model mistakes for a change of the machine. The two rates are so
close that only the ends of the bands differ. Accuracy on CWRU at load 3 with a sensor that is 3 % slow: 98 %; with soxr
85 %; without resampling 87 %. With a sensor that is 1 % slow: 98, 96 and 99 % (benchmarks/resampling.py,
docs/results/resampling.jsonl).

A sensor whose rate is a multiple of the model's is decimated by the filter in the model's signal contract
(`drsn_edge.signal.decimation`), window by window in the same way. Each window is checked for damage before that, with
its margins and at the sensor's rate, since a filter would hide damage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.decimation import MOST_RATIO, Decimation

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
        margin: Samples of the sensor on each side of the window itself.
    """

    ratio: float
    window: int
    hop: int
    margin: int = 0

    @property
    def factor(self) -> int:
        """Whole number by which the sensor is decimated; 1: it is not."""
        return factor_of(self.ratio)


def factor_of(ratio: float) -> int:
    """Return the whole number nearest to a ratio of rates, at least 1."""
    return max(1, round(ratio)) if math.isfinite(ratio) else 1


def is_followed(ratio: float, factor: int) -> bool:
    """Tell whether a ratio of rates is within the limit of a whole number, and that number is not too large."""
    return factor <= MOST_RATIO and abs(ratio / factor - 1) <= LIMIT


def cut_for(ratio: float, window: int, hop: int, decimation: Decimation | None = None) -> Cut:
    """Return how to cut windows for a ratio of rates.

    Args:
        ratio: Ratio of the sensor's rate to the model's.
        window: Samples per window at the model's rate.
        hop: Samples between window starts at the model's rate.
        decimation: Anti-alias filter of the model, which ratios above 1 + `LIMIT` need.
    """
    if abs(ratio - 1) <= FOLLOW:
        return Cut(1.0, window, hop)
    if decimation is None or not is_decimated(ratio):
        return Cut(ratio, round(window * ratio) + 2 * MARGIN + 1, max(1, round(hop * ratio)), MARGIN)
    ratio = nearly_whole(ratio)
    margin = decimation.margin(ratio)
    return Cut(ratio, math.floor((window - 1) * ratio) + 2 * margin + 1, round(hop * ratio), margin)


def is_decimated(ratio: float) -> bool:
    """Tell whether samples with this ratio of rates need an anti-alias filter."""
    return ratio > 1 + LIMIT


def nearly_whole(ratio: float) -> float:
    """Return the whole number instead of a ratio that is too near to it to matter."""
    factor = factor_of(ratio)
    return float(factor) if abs(ratio / factor - 1) <= FOLLOW else ratio


def resampled(
    samples: NDArray[np.float32], cut: Cut, window: int, decimation: Decimation | None = None
) -> NDArray[np.float32]:
    """Return windows at the model's rate, shape (n, window, axes).

    Args:
        samples: Samples of the sensor, shape (n, cut.window, axes).
        cut: How they were cut.
        window: Samples per window at the model's rate.
        decimation: Anti-alias filter with which they were cut.
    """
    if cut.ratio == 1.0:
        return samples
    if decimation is not None and is_decimated(cut.ratio):
        bank = _bank(cut.ratio, cut.margin, decimation)
        return np.stack([_filtered(each, bank, window) for each in samples])
    first, weights = _kernel(cut.ratio, cut.window, window)
    reach = weights.shape[1]
    near = np.lib.stride_tricks.sliding_window_view(samples, reach, axis=1)[:, first]  # (n, blocks, axes, reach)
    blocks = np.matmul(np.ascontiguousarray(near), weights)  # one product for each block: others have other bits
    by_axis = blocks.transpose(0, 2, 1, 3).reshape(len(samples), samples.shape[2], -1)
    return np.asarray(by_axis[..., :window].transpose(0, 2, 1))


_BLOCK = 32
"""Samples that are computed by one product of matrices, most of whose weights are not 0."""


@lru_cache(maxsize=8)
def _kernel(ratio: float, n_samples: int, window: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each block of the window the first sample that it needs, and weights, (blocks, samples, `_BLOCK`).

    The weights are those of a Kaiser-weighted sinc. Samples beyond the window have none.
    """
    positions = MARGIN + ratio * np.arange(window)
    first = np.floor(positions).astype(np.int64) - MARGIN + 1
    distance = positions[:, None] - (first[:, None] + np.arange(2 * MARGIN))
    starts = first[::_BLOCK]
    reach = min(math.ceil(ratio * _BLOCK) + 2 * MARGIN, n_samples)
    starts = np.minimum(starts, n_samples - reach)
    weights = np.zeros((len(starts), reach, _BLOCK), np.float32)
    block, place = np.divmod(np.arange(window), _BLOCK)
    taps = (first - starts[block])[:, None] + np.arange(2 * MARGIN)
    weights[block[:, None], taps, place[:, None]] = _kaiser_sinc(distance)
    return starts, weights


def at_rate_of_model(samples: NDArray[np.float32], ratio: float, decimation: Decimation | None) -> NDArray[np.float32]:
    """Return a whole recording at the model's rate, shape (n, axes), without the ends, where a filter would reach out.

    Args:
        samples: Samples of the recording, shape (n_samples, axes).
        ratio: Ratio of the recording's rate to the model's, from 1 - `LIMIT` to `MOST_RATIO`.
        decimation: Anti-alias filter, for ratios above 1 + `LIMIT`.
    """
    cut = cut_for(ratio, 1, 1, decimation)
    if cut.ratio == 1.0:
        return samples
    n = max(0, math.floor((len(samples) - 1 - 2 * cut.margin) / cut.ratio) + 1)
    return _filtered(samples, _bank(cut.ratio, cut.margin, decimation), n)


_PHASES, _MOST_WEIGHTS, _MOST_KERNELS = 512, 1 << 19, 8
"""Fractions of a sample for which weights are tabulated, between which they are linear (-110 dB); the most weights that
are computed at a time, and the most ranges of samples whose weights are kept (16 MB)."""


class _Bank:
    """The weights of a filter for any fraction of a sample: weights for each sample would take too long and too much.

    A whole ratio needs those of one fraction only.
    """

    def __init__(self, ratio: float, margin: int, decimation: Decimation | None) -> None:
        self._ratio, self._margin = ratio, margin
        self._is_whole = ratio % 1 == 0
        fractions = np.zeros(1) if self._is_whole else np.linspace(0, 1, _PHASES + 1)
        if decimation is not None and is_decimated(ratio):
            self._rows, self._before = decimation.weights(ratio, fractions), margin
        else:
            self._rows = _kaiser_sinc(fractions[:, None] - np.arange(1 - MARGIN, 1 + MARGIN))
            self._before = MARGIN - 1
        self.n_taps = self._rows.shape[1]
        self._known: dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.float32]]] = {}

    def filtered(self, samples: NDArray[np.float32], begin: int, end: int) -> NDArray[np.float32]:
        """Return samples of the model by their numbers, from `begin` up to but not including `end`."""
        if self._is_whole:
            return self._decimated(samples, begin, end)
        first, weights = self._kernel(begin, end)
        near = np.lib.stride_tricks.sliding_window_view(
            samples[first[0] : first[-1] + self.n_taps], self.n_taps, axis=0
        )
        return np.asarray(np.matmul(near[first - first[0]], weights[:, :, None])[:, :, 0])

    def _decimated(self, samples: NDArray[np.float32], begin: int, end: int) -> NDArray[np.float32]:
        """Do the same for a whole ratio, phase by phase: a fifth of the time, because nothing is copied per tap."""
        factor = int(self._ratio)
        found = np.zeros((samples.shape[1], end - begin), np.float32)
        for axis, total in zip(samples.T, found, strict=True):
            for phase in range(factor):
                taps = self._rows[0, phase::factor]
                near = axis[begin * factor + phase :: factor][: end - begin + len(taps) - 1]
                total += np.correlate(np.ascontiguousarray(near), taps, "valid")
        return found.T

    def _kernel(self, begin: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return first tap and weights of a range of samples; the windows of a monitor ask for the same again."""
        kernel = self._known.get((begin, end))
        if kernel is None:
            places = self._margin + self._ratio * np.arange(begin, end)
            middle = np.floor(places).astype(np.int64)
            kernel = middle - self._before, self._weights(places - middle)
            kept = self._known if len(self._known) < _MOST_KERNELS else {}
            self._known = {**kept, (begin, end): kernel}  # a new table, since other stations read the present one
        return kernel

    def _weights(self, fractions: NDArray[np.float64]) -> NDArray[np.float32]:
        places = fractions * _PHASES
        row = np.minimum(places.astype(np.int64), _PHASES - 1)
        share = (places - row)[:, None].astype(np.float32)
        return np.asarray(self._rows[row] * (1 - share) + self._rows[row + 1] * share)


_bank = lru_cache(maxsize=4)(_Bank)


def _filtered(samples: NDArray[np.float32], bank: _Bank, n: int) -> NDArray[np.float32]:
    """Return n samples at the model's rate from samples (n_samples, axes) with their margins, piece by piece."""
    found = np.empty((n, samples.shape[1]), np.float32)
    piece = max(1, _MOST_WEIGHTS // bank.n_taps)
    for begin in range(0, n, piece):
        end = min(begin + piece, n)
        found[begin:end] = bank.filtered(samples, begin, end)
    return found


def _kaiser_sinc(distance: NDArray[np.float64]) -> NDArray[np.float32]:
    shape = np.i0(_KAISER * np.sqrt(np.clip(1 - np.square(distance / MARGIN), 0, None))) / np.i0(_KAISER)
    return (np.sinc(distance) * shape).astype(np.float32)
