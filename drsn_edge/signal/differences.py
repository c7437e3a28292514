"""What differs from what was learned, by axis and band: windows in, changes in decibels and words out. NumPy only.

A band is said to differ if its power is outside the range of all references by more than its own scatter allows. The
change is stated against the nearest reference: the operating point that the machine most resembles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.difference import Difference
from drsn_edge.signal.novelty import Novelty, features_of
from drsn_edge.signal.windows import FloatArray, centre

Doubles = NDArray[np.float64]

MOST = 4
"""Most differences that are told."""

LEAST_DB = 3.0
"""Least change of a band that is told: a factor of 2 in power."""

_DEVIATIONS = 3.0


@dataclass(frozen=True)
class BandChanges:
    """Power in each band beside that of the nearest reference, for words and pictures.

    Attributes:
        edges_hz: Edges of the bands in Hz, shape (lines + 1,).
        db: Change against the nearest reference in decibels, shape (lines, axes).
        lowest_db: Lowest change that is within what was learned, shape (lines, axes).
        highest_db: Highest change that is within what was learned, shape (lines, axes).
        level_db: Change of the level over all axes; None: no level was learned.
        reference: Number of the nearest reference.
    """

    edges_hz: Doubles
    db: Doubles
    lowest_db: Doubles
    highest_db: Doubles
    level_db: float | None
    reference: int


def band_changes(novelty: Novelty, windows: FloatArray, sample_rate_hz: float) -> BandChanges:
    """Return how windows differ from what was learned, band by band.

    Args:
        novelty: What was learned.
        windows: Successive windows of one condition, in the contract's unit, shape (n, window, axes), n >= 1.
        sample_rate_hz: Sampling rate in Hz.
    """
    length, n_axes = windows.shape[1:]
    centred = centre(windows)
    logs = features_of(centred, novelty.lines).mean(axis=0, dtype=np.float64)
    whitening = novelty.whitening.astype(np.float64)
    off = logs @ whitening - novelty.prototypes
    nearest = int((np.square(off).sum(axis=1) / np.square(novelty.limits.astype(np.float64))).argmin())
    known, louder = np.linalg.solve(whitening.T, novelty.prototypes.T.astype(np.float64)).T, None
    if novelty.levels is not None:
        known = known + 2 * np.log10(novelty.levels)[:, None]
        level = 2 * float(np.log10(np.maximum(centred.rms, np.finfo(np.float32).tiny)).mean())
        logs = logs + level
        louder = 10 * (level - 2 * float(np.log10(novelty.levels[nearest])))
    slack = np.maximum(_DEVIATIONS * 10 * _scatter(whitening) / np.sqrt(len(windows)), LEAST_DB)
    shape, own = (novelty.lines, n_axes), known[nearest]
    return BandChanges(
        _edges(length, novelty.lines, sample_rate_hz),
        (10 * (logs - own)).reshape(shape),
        (10 * (known.min(axis=0) - own) - slack).reshape(shape),
        (10 * (known.max(axis=0) - own) + slack).reshape(shape),
        louder,
        nearest,
    )


def differences(
    novelty: Novelty, windows: FloatArray, sample_rate_hz: float, axes: Sequence[str]
) -> tuple[Difference, ...]:
    """Return what differs most from what was learned, the largest change first; at most `MOST`, and none if nothing.

    Args:
        novelty: What was learned.
        windows: Successive windows of one condition, in the contract's unit, shape (n, window, axes), n >= 1.
        sample_rate_hz: Sampling rate in Hz.
        axes: Names of the axes.
    """
    changes = band_changes(novelty, windows, sample_rate_hz)
    found = [each for number, axis in enumerate(axes) for each in _of_axis(changes, number, axis)]
    if changes.level_db is not None and not _is_learned_level(novelty, changes):
        found.append(Difference(None, 0.0, sample_rate_hz / 2, changes.level_db))
    return tuple(sorted(found, key=lambda each: -abs(each.db))[:MOST])


def _of_axis(changes: BandChanges, number: int, axis: str) -> list[Difference]:
    """Return the changes of one axis, adjacent bands with the same sign as one."""
    db = changes.db[:, number]
    signs = (db > changes.highest_db[:, number]).astype(int) - (db < changes.lowest_db[:, number])
    found = []
    for sign, group in groupby(range(len(db)), key=lambda at: int(signs[at])):
        bands = [*group]
        if sign:
            largest = max((float(db[at]) for at in bands), key=abs)
            low, high = float(changes.edges_hz[bands[0]]), float(changes.edges_hz[bands[-1] + 1])
            found.append(Difference(axis, low, high, largest, changes.level_db is None))
    return found


def _is_learned_level(novelty: Novelty, changes: BandChanges) -> bool:
    """Tell whether the level is in the range that was learned, give or take `LEAST_DB`."""
    assert novelty.levels is not None and changes.level_db is not None
    learned = np.maximum([novelty.quietest_rms, novelty.loudest_rms], np.finfo(np.float32).tiny)
    low, high = 20 * np.log10(learned / novelty.levels[changes.reference])
    return bool(low - LEAST_DB <= changes.level_db <= high + LEAST_DB)


def _scatter(whitening: Doubles) -> Doubles:
    """Return the standard deviation of each feature of a window, as a decimal logarithm of power."""
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(whitening @ whitening.T))))


def _edges(length: int, lines: int, sample_rate_hz: float) -> Doubles:
    even = length - length % 2
    per_band = even // 2 // lines
    edges = (0.5 + per_band * np.arange(lines + 1.0)) * sample_rate_hz / even
    edges[0] = 0.0
    return edges
