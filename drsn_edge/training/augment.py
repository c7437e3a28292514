"""Augmentations of training windows besides place, speed and noise: gain, polarity and axis dropout."""

from __future__ import annotations

import numpy as np

from drsn_edge.signal.windows import FloatArray
from drsn_edge.training.settings import TrainSettings


def augment(windows: FloatArray, settings: TrainSettings, rng: np.random.Generator) -> FloatArray:
    """Return windows with gain, polarity and axis dropout as set; a switched-off augmentation draws nothing from rng.

    Args:
        windows: Shape (n, window, axes).
        settings: Settings of the training.
        rng: Source of all random numbers.
    """
    if settings.research.gain_range_db:
        windows = with_random_gain(windows, settings.research.gain_range_db, rng)
    if settings.polarity:
        windows = with_random_polarity(windows, rng)
    if settings.research.axis_dropout:
        windows = with_axis_dropout(windows, settings.research.axis_dropout, rng)
    return windows


def with_random_gain(windows: FloatArray, gain_range_db: float, rng: np.random.Generator) -> FloatArray:
    """Return windows, (n, window, axes), each with a random gain of up to +-`gain_range_db` on all its axes."""
    gain_db = rng.uniform(-gain_range_db, gain_range_db, (len(windows), 1, 1))
    return windows * (10 ** (gain_db / 20)).astype(np.float32)


def with_random_polarity(windows: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return windows, (n, window, axes), about half of them with the opposite sign on all axes."""
    return windows * rng.choice(np.array([-1, 1], np.float32), (len(windows), 1, 1))


def with_axis_dropout(windows: FloatArray, share: float, rng: np.random.Generator) -> FloatArray:
    """Return windows of which a random share has one axis set to zero.

    Args:
        windows: Shape (n, window, axes). Windows with a single axis stay unchanged.
        share: Probability that a window loses an axis, 0 to 1.
        rng: Source of all random numbers.
    """
    count, _, n_axes = windows.shape
    if n_axes == 1:
        return windows
    hit = rng.random((count, 1)) < share
    dropped = hit & (rng.integers(0, n_axes, (count, 1)) == np.arange(n_axes))
    return np.where(dropped[:, None, :], np.float32(0), windows)
