"""The learned thresholds of shrinkage blocks, by block and class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.windows import FloatArray


@dataclass(frozen=True)
class Thresholds:
    """Statistics of tau, in the unit of each block's features. Classes that do not occur are NaN.

    Attributes:
        mean: Mean over windows and channels, shape (blocks, n_classes).
        channel_spread: Standard deviation over channels of each channel's mean over windows, shape (blocks, n_classes);
            0 for a block with one threshold.
    """

    mean: NDArray[np.float64]
    channel_spread: NDArray[np.float64]


def summarise_thresholds(taus: Sequence[FloatArray], labels: NDArray[np.int64], n_classes: int) -> Thresholds:
    """Summarise thresholds by block and class.

    Args:
        taus: Thresholds of each block in order, shape (n, 1, 1, channels), or (n, 1, 1, 1) if channels share one.
        labels: Class index of each window, shape (n,).
        n_classes: Number of classes.
    """
    mean = np.full((len(taus), n_classes), np.nan)
    spread = mean.copy()
    for block, tau in enumerate(taus):
        for label in np.unique(labels):
            channels = tau[labels == label].reshape(-1, tau.shape[-1]).mean(axis=0, dtype=np.float64)
            mean[block, label], spread[block, label] = channels.mean(), channels.std()
    return Thresholds(mean, spread)


def thresholds_to_json(thresholds: Thresholds, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return one object per block: its number from 1, and mean and spread of each class; null for an absent class."""
    return [
        {"block": number, "mean": _by_label(mean, labels), "channel_spread": _by_label(spread, labels)}
        for number, (mean, spread) in enumerate(zip(thresholds.mean, thresholds.channel_spread, strict=True), start=1)
    ]


def _by_label(values: NDArray[np.float64], labels: Sequence[str]) -> dict[str, float | None]:
    return {
        label: None if np.isnan(value) else float(value) for label, value in zip(labels, values.tolist(), strict=True)
    }
