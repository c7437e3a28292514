"""Fit the statistics that detect a turned sensor: see `drsn_edge.signal.mounting`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from drsn_edge.datasets.windows import WindowSet
from drsn_edge.signal.mounting import LIMIT, Mounting, can_tell, features
from drsn_edge.signal.windows import FloatArray, centre

MOST_PROTOTYPES = 128
"""Highest number of prototypes; more recordings share them."""

_FOLDS = 16
_WINDOWS_EACH = 16
_FALSE_SHARE = 0.001
_MARGIN = 0.8
_MOST_LIMIT = 0.9
"""Highest limit. If windows of left-out recordings stay far from every other arrangement of the axes, the limit may be
closer to 1, with a margin because the next machine differs more. At most `_FALSE_SHARE` of them count as turned."""

_BATCH = 256


def fit_mounting(recorded: WindowSet, groups: Mapping[str, str]) -> Mounting | None:
    """Return how the axes of recorded windows move together; None if the windows cannot show it.

    Args:
        recorded: Windows of the training side, as recorded.
        groups: Group of each recording by its name. Recordings of one group are left out together, to measure how far
            they differ from the others.
    """
    if not can_tell(*recorded.windows.shape[1:]):
        return None
    points = features(recorded.windows)
    names, recording = np.unique(recorded.recordings, return_inverse=True)
    means = np.stack([points[recording == number].mean(axis=0) for number in range(len(names))]).astype(np.float32)
    folds = np.unique([groups[str(name)] for name in names], return_inverse=True)[1] % _FOLDS
    limit = _lowest(recorded.windows, recording, means, folds)
    if len(means) > MOST_PROTOTYPES:
        flat = KMeans(MOST_PROTOTYPES, n_init=1, random_state=0).fit(means.reshape(len(means), -1)).cluster_centers_
        means = flat.reshape(MOST_PROTOTYPES, *means.shape[1:]).astype(np.float32)
    return Mounting(means, limit)


def with_mounting_limit(fitted: Mounting | None, held_out: FloatArray) -> Mounting | None:
    """Return `fitted` with its final limit, set by hold-out windows of shape (n, window, axes)."""
    if fitted is None or not len(held_out):
        return fitted
    lowest = min(fitted.limit, float(np.quantile(_ratios(fitted, held_out), _FALSE_SHARE)))
    return replace(fitted, limit=min(max(_MARGIN * lowest, min(lowest, LIMIT)), _MOST_LIMIT))


def _lowest(windows: FloatArray, recording: NDArray[np.intp], means: FloatArray, folds: NDArray[np.intp]) -> float:
    """Return the ratio that `_FALSE_SHARE` of the windows stay below when their own group is left out."""
    found = []
    for fold in range(int(folds.max()) + 1):
        inside = folds == fold
        if inside.any() and not inside.all():
            some = [np.flatnonzero(recording == each)[:_WINDOWS_EACH] for each in np.flatnonzero(inside)]
            found.append(_ratios(Mounting(means[~inside]), windows[np.concatenate(some)]))
    return min(float(np.quantile(np.concatenate(found), _FALSE_SHARE)), 1.0) if found else LIMIT


def _ratios(mounting: Mounting, windows: FloatArray) -> NDArray[np.float32]:
    return np.concatenate([mounting.ratios(centre(windows[at : at + _BATCH])) for at in range(0, len(windows), _BATCH)])
