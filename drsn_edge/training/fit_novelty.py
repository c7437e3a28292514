"""Fit the statistics that detect unknown windows: see `drsn_edge.signal.novelty`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf

from drsn_edge.datasets.span import Split
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.errors import TrainingError
from drsn_edge.signal.gravity import trained_gravity
from drsn_edge.signal.novelty import LINES, Novelty, features, levels
from drsn_edge.signal.windows import centre
from drsn_edge.training.feed import draw_windows
from drsn_edge.training.fit_mounting import fit_mounting, with_mounting_limit
from drsn_edge.training.settings import TrainSettings

MOST_PROTOTYPES = 128
"""Highest number of prototypes; more recordings share them."""

_OUTERMOST = 0.001
"""Share of windows below the lowest level, and share above the highest level."""


def fit_novelty(split: Split, settings: TrainSettings, recorded: WindowSet) -> Novelty:
    """Return the statistics of the training windows, with noise and all augmentations except speed.

    Changes of speed would hide small shifts of spectral lines, and gained nothing for a load in the hold-out set. The
    limit is set later, by `with_limit`.

    Args:
        split: Only its training side is used.
        settings: How training windows are drawn.
        recorded: Windows of the training side as recorded, for their levels and the arrangement of their axes.
    """
    lines = min(LINES, settings.window // 4)
    steady = replace(settings, research=replace(settings.research, speed_range=0.0))
    drawn = draw_windows(split, steady, 1)
    logs = features(drawn.windows, lines)
    _, recording = np.unique(drawn.recordings, return_inverse=True)
    means = np.stack([logs[recording == number].mean(axis=0) for number in range(recording.max() + 1)])
    scatter = LedoitWolf(assume_centered=True).fit(logs - means[recording])
    whitening = np.linalg.cholesky(scatter.precision_)
    prototypes = means @ whitening
    if len(prototypes) > MOST_PROTOTYPES:
        prototypes = KMeans(MOST_PROTOTYPES, n_init=1, random_state=settings.seed).fit(prototypes).cluster_centers_
    lowest, highest = np.quantile(levels(recorded.windows), (_OUTERMOST, 1 - _OUTERMOST)).tolist()
    gravity = trained_gravity(centre(recorded.windows).means, split.train[0].recording.unit)
    return Novelty(
        lines, whitening.astype(np.float32), prototypes.astype(np.float32), np.ones(len(prototypes), np.float32),
        lowest, highest,
        mounting=fit_mounting(recorded, {span.recording.name: span.recording.group for span in split.train}),
        gravity=gravity,
    )  # fmt: skip


def with_limit(novelty: Novelty, held_out: WindowSet, false_unknown_share: float) -> tuple[Novelty, float]:
    """Return `novelty` with a limit that makes a share of the hold-out windows unknown, and the share that is unknown.

    The returned share exceeds `false_unknown_share` if windows are unknown because of their level alone.

    Args:
        novelty: Statistics of `fit_novelty`.
        held_out: Hold-out windows as recorded.
        false_unknown_share: Share of the hold-out windows beyond the limit, between 0 and 1.

    Raises:
        TrainingError: If the share is not between 0 and 1.
    """
    if not 0 < false_unknown_share < 1:
        raise TrainingError(
            f"The share of unknown windows must be between 0 and 1, got {false_unknown_share}.",
            "out_of_range",
            setting="false_unknown_share",
            got=false_unknown_share,
        )
    distances = novelty.distances(held_out.windows)
    limit = np.float32(np.quantile(distances, 1 - false_unknown_share))
    limited = replace(
        novelty,
        limits=np.full_like(novelty.limits, limit),
        mounting=with_mounting_limit(novelty.mounting, held_out.windows),
    )
    multiples = np.maximum(distances / limit, limited.loudness(centre(held_out.windows)))
    return limited, float((multiples > 1).mean())
