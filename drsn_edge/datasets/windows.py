"""Windows of the spans of a split, with their labels and origins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.span import Span
from drsn_edge.signal.noise import add_noise
from drsn_edge.signal.windows import FloatArray, cut_windows, window_starts


@dataclass(frozen=True)
class WindowSet:
    """Labelled windows in the unit of the contract, not yet scaled.

    Attributes:
        windows: Samples, shape (n, window, axes).
        labels: Class index of each window, shape (n,).
        recordings: Name of the recording of each window, shape (n,).
        first_samples: Index of the first sample of each window in its recording, shape (n,).
        speeds_hz: Shaft speed of each window in turns per second, shape (n,); NaN if unknown.
    """

    windows: FloatArray
    labels: NDArray[np.int64]
    recordings: NDArray[np.str_]
    first_samples: NDArray[np.int64]
    speeds_hz: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.windows)

    def pick(self, indices: NDArray[np.int64]) -> WindowSet:
        """Return the windows at these indices."""
        return WindowSet(**{name: values[indices] for name, values in vars(self).items()})


def cut_spans(spans: Sequence[Span], labels: Sequence[str], window: int, hop: int) -> WindowSet:
    """Cut every whole window out of the spans.

    Args:
        spans: Spans of at least one window each.
        labels: Names of the classes in order, with the label of every span.
        window: Samples per window.
        hop: Samples between window starts.
    """
    starts = [span.start + window_starts(len(span), window, hop) for span in spans]
    cut = [cut_windows(span.recording.samples, first, window) for span, first in zip(spans, starts, strict=True)]
    return _window_set(spans, labels, cut, starts, [np.ones(len(first)) for first in starts])


def draw_spans(
    spans: Sequence[Span],
    labels: Sequence[str],
    window: int,
    hop: int,
    speed_range: float,
    rng: np.random.Generator,
) -> WindowSet:
    """Cut as many windows as `cut_spans`, each up to a hop later and as if the machine ran slightly faster or slower.

    Each epoch of a training then sees other windows of the same recordings. A window never leaves its span.

    Args:
        spans: Spans of at least one window each.
        labels: Names of the classes in order.
        window: Samples per window.
        hop: Samples between window starts before they are moved.
        speed_range: Largest relative change of speed, drawn per window: 0.03 stretches or compresses time by up to 3 %.
            Resonances move as well, which is not so on a real machine, but tolerable for a few percent.
        rng: Source of all random numbers.
    """
    cut, starts, all_speeds = [], [], []
    for span in spans:
        count = len(window_starts(len(span), window, hop))
        most = max(0.0, min(speed_range, (len(span) - 1) / window - 1))
        speeds = 1 + rng.uniform(-most, most, count)
        lengths = np.ceil(speeds * (window - 1)).astype(np.int64) + 1
        moved = np.arange(count) * hop + rng.integers(0, hop, count)
        first = span.start + np.minimum(moved, len(span) - lengths)
        cut.append(resample_windows(span.recording.samples, first, speeds, window))
        starts.append(first)
        all_speeds.append(speeds)
    return _window_set(spans, labels, cut, starts, all_speeds)


def resample_windows(
    samples: FloatArray, starts: NDArray[np.int64], speeds: NDArray[np.float64], window: int
) -> FloatArray:
    """Return windows that are read at other speeds by linear interpolation, shape (len(starts), window, axes).

    Args:
        samples: Samples of a recording, shape (n_samples, axes).
        starts: First sample of each window.
        speeds: Samples of the recording per sample of each window; 1 copies the samples unchanged.
        window: Samples per window.
    """
    positions = np.arange(window) * speeds[:, None]
    whole = positions.astype(np.int64)
    part = (positions - whole).astype(np.float32)[..., None]
    left = starts[:, None] + whole
    right = np.minimum(left + 1, len(samples) - 1)
    return samples[left] * (1 - part) + samples[right] * part


def _window_set(
    spans: Sequence[Span],
    labels: Sequence[str],
    cut: list[FloatArray],
    starts: list[NDArray[np.int64]],
    speeds: list[NDArray[np.float64]],
) -> WindowSet:
    """Join the windows of all spans; `speeds` are relative to the speed in the recording."""
    classes = [labels.index(span.recording.label or "") for span in spans]
    counts = [len(first) for first in starts]
    return WindowSet(
        np.concatenate(cut),
        np.repeat(classes, counts),
        np.repeat([span.recording.name for span in spans], counts),
        np.concatenate(starts),
        np.concatenate([span.recording.speed_hz * each for span, each in zip(spans, speeds, strict=True)]),
    )


def pick_per_class(windows: WindowSet, per_class: int, rng: np.random.Generator) -> WindowSet:
    """Return up to `per_class` windows of each class, drawn at random, in the order of `windows`."""
    chosen = [
        rng.permutation(np.flatnonzero(windows.labels == label))[:per_class] for label in np.unique(windows.labels)
    ]
    return windows.pick(np.sort(np.concatenate(chosen)))


def with_random_noise(
    windows: FloatArray,
    kinds: Sequence[str],
    snr_range_db: tuple[float, float],
    clean_share: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Return windows with noise, whose kind and signal-to-noise ratio (SNR) are drawn for each window.

    Args:
        windows: Windows, shape (n, window, axes).
        kinds: Kinds of noise to draw from.
        snr_range_db: Lowest and highest SNR, in dB.
        clean_share: Probability that a window gets no noise.
        rng: Source of all random numbers.
    """
    snr_db = rng.uniform(*snr_range_db, size=(len(windows), 1, 1))
    drawn = rng.integers(0, len(kinds), len(windows))
    noisy = rng.random(len(windows)) >= clean_share
    result = windows.copy()
    for index, kind in enumerate(kinds):
        chosen = np.flatnonzero(noisy & (drawn == index))
        result[chosen] = add_noise(windows[chosen], snr_db[chosen], rng, kind)
    return result
