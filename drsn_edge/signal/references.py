"""References of a healthy machine: what novelty is measured from where no fault was ever recorded. NumPy only.

A healthy machine looks different at each load and speed. Two scatters describe it: the scatter of windows at one
operating point, which is known well, and the scatter between operating points, which is known from few. Both are
measured on healthy windows alone:

1. Windows are cut into blocks of successive windows. The scatter within blocks, shrunk towards equal variances, whitens
   the features (log band powers, see `drsn_edge.signal.novelty`).
2. Blocks that are as alike as their windows, equally loud and equally fast are one operating point. The mean of an
   operating point is its reference.
3. The limit of a reference allows for its own windows, judged by references and whitening from other blocks, and for an
   operating point that was never learned: the mean square distance from each operating point to the nearest other one,
   times a quantile of the F distribution, because so few operating points are known. The bands take the place of
   further operating points, as far as neighbouring bands are independent.

With one operating point nothing is known of others: another load or speed is then UNKNOWN.

Sources: Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices",
doi:10.1016/S0047-259X(03)00096-4. benchmarks/healthy_novelty.py measures the rule on recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import LearningError
from drsn_edge.signal import mounting
from drsn_edge.signal.gravity import trained_gravity
from drsn_edge.signal.mounting import LIMIT, Mounting, can_tell
from drsn_edge.signal.novelty import LINES, FloatArray, Novelty, References, features_of
from drsn_edge.signal.windows import centre
from drsn_edge.support.f_quantile import f_quantile

Doubles = NDArray[np.float64]
Numbers = NDArray[np.intp]

LEAST_WINDOWS = 50
"""Fewest windows that references are learned from."""

MOST_REFERENCES = 64
"""Most operating points; more are joined, the most alike first."""

MOST_STRETCHES = 512
"""Most stretches; a stream that is interrupted more often teaches little."""

_BLOCK, _MOST_BLOCKS = 32, 1024
"""Windows of a block; with more windows than these in as many blocks, blocks are longer."""

_FOLDS = 4
_ALIKE = 1.0
"""Mean square distance of two blocks, in scatters of a window, up to which they are one operating point."""

_ALIKE_LEVEL, _ALIKE_SPEED = 0.15, 0.01
"""Differences of the decimal logarithms of level (3 dB) and speed (2.3 %) up to which blocks are one point."""

_LEAST_DEVIATION = 0.01
"""Least standard deviation of a band, as a decimal logarithm of power: 0.1 dB. A filtered band hardly varies."""

_LEAST_SHARE = 0.01
"""Least mean square of a window's distance, relative to the one that the scatter within blocks gives."""

_LEAST_INDEPENDENT, _LEAST_BELOW = 4.0, 6.0
"""Fewest independent bands, and fewest degrees of freedom of the scatter between operating points."""

_INDEPENDENT_BELOW = 0.1
"""Correlation from which on bands count as independent."""

_PRIOR = 2.0, 0.36
"""Weight, in operating points, and value of the squared coefficient of variation that squared distances between
operating points are expected to have. Idle and full load may be further apart than two loads in between."""

_OUTERMOST = 0.001
"""Share of windows below the lowest level, and share above the highest level."""

_TURNED_MARGIN, _LEAST_TURNED = 0.8, 1e-3
"""Share of the ratio of healthy windows that the limit of a turned sensor stays below, and its least value."""

_CHUNK = 256
_OF_WINDOWS = ("features", "levels", "stretches", "speeds_hz", "means", "relations")


@dataclass(frozen=True)
class Heard:
    """Healthy windows, as far as learning needs them: some hundred bytes of each.

    Attributes:
        lines: Number of bands of each axis.
        features: `drsn_edge.signal.novelty.features` of each window, shape (n, lines * axes).
        levels: RMS of each window over its axes, in the contract's unit, shape (n,).
        stretches: Number of the stretch of each window, shape (n,). Windows of a stretch follow each other in time.
        speeds_hz: Shaft speed of each window in Hz, shape (n,); NaN: unknown.
        means: Mean of each axis of each window, in the contract's unit, shape (n, axes).
        relations: `drsn_edge.signal.mounting.features` of each window, shape (n, bands, axes * axes); no bands if the
            windows do not show how the sensor is mounted.
    """

    lines: int
    features: FloatArray
    levels: Doubles
    stretches: Numbers
    speeds_hz: Doubles
    means: Doubles
    relations: FloatArray

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.features)


def hear(windows: FloatArray, stretches: NDArray[np.integer], speeds_hz: Doubles | None = None) -> Heard:
    """Return what learning needs of healthy windows.

    Args:
        windows: Windows in the contract's unit, shape (n, window, axes).
        stretches: Number of the stretch of each window, shape (n,).
        speeds_hz: Shaft speed of each window in Hz, shape (n,); None: unknown.
    """
    window, n_axes = windows.shape[1:]
    lines, related = min(LINES, window // 4), can_tell(window, n_axes)
    parts = [centre(windows[at : at + _CHUNK]) for at in range(0, max(len(windows), 1), _CHUNK)]
    return Heard(
        lines,
        np.concatenate([features_of(part, lines) for part in parts]),
        np.concatenate([part.rms for part in parts]),
        np.asarray(stretches, np.intp),
        np.full(len(windows), np.nan) if speeds_hz is None else np.asarray(speeds_hz, np.float64),
        np.concatenate([part.means for part in parts]),
        np.concatenate([mounting.features_of(part) for part in parts])
        if related
        else np.empty((len(windows), 0, n_axes**2), np.float32),
    )


def joined(parts: Sequence[Heard]) -> Heard:
    """Return windows that were heard one after another, as one; windows with one stretch number stay one stretch."""
    return Heard(parts[0].lines, *(np.concatenate([getattr(part, name) for part in parts]) for name in _OF_WINDOWS))


def subset(heard: Heard, which: NDArray[np.bool_]) -> Heard:
    """Return the windows that are chosen by `which`, shape (n,)."""
    return Heard(heard.lines, *(getattr(heard, name)[which] for name in _OF_WINDOWS))


def learn_references(
    heard: Heard, false_unknown_share: float, new_points: bool = True, unit: str | None = None
) -> Novelty:
    """Return the novelty detection of a machine of which only healthy windows are known.

    The order of the stretches makes no difference.

    Args:
        heard: Healthy windows, at least `LEAST_WINDOWS`.
        false_unknown_share: Share of the windows of a healthy machine beyond its limit, above 0 and at most 0.5.
        new_points: Whether the limits allow for operating points that were never learned. Without that slighter faults
            are found, and a healthy machine at another load or speed is unknown.
        unit: Unit of the contract, by which gravity is recognised; None: gravity is not looked for.

    Raises:
        LearningError: If there are too few windows, some have no finite level, or the share is out of range.
    """
    _check(heard, false_unknown_share)
    blocks = _blocks(heard)
    whitening = _whitening(heard.features, blocks.of_window)
    points = _joined_blocks(blocks, whitening)
    own = _own_squares(heard, blocks.of_window, points, false_unknown_share)
    found = _references(heard, points[blocks.of_window], whitening, own)
    if new_points:
        allowance = _between_square(
            found.prototypes, _shared_stretches(blocks, points), heard.lines, false_unknown_share
        )
        found = replace(found, limits=np.sqrt(np.square(found.limits) + np.float32(allowance)))
    limit = _turned_limit(heard.relations, points[blocks.of_window], found.mounting)
    return Novelty(
        heard.lines, whitening.astype(np.float32), found.prototypes, found.limits, found.quietest_rms,
        found.loudest_rms, mounting=None if found.mounting is None else Mounting(found.mounting, limit),
        gravity=None if unit is None else trained_gravity(heard.means, unit), levels=found.levels,
    )  # fmt: skip


def further_references(heard: Heard, novelty: Novelty, false_unknown_share: float) -> References:
    """Return references of a machine that a novelty detection lacks, for `Novelty.with_references`.

    Their limits have no allowance for operating points that were never learned.

    Args:
        heard: Healthy windows, at least `LEAST_WINDOWS`.
        novelty: The novelty detection, whose whitening is kept.
        false_unknown_share: Share of these windows beyond their limits, above 0 and at most 0.5.

    Raises:
        LearningError: If there are too few windows, some have no finite level, or the share is out of range.
    """
    _check(heard, false_unknown_share)
    blocks, whitening = _blocks(heard), novelty.whitening.astype(np.float64)
    points = _joined_blocks(blocks, whitening)
    own = _own_squares(heard, blocks.of_window, points, false_unknown_share, whitening)
    found = _references(heard, points[blocks.of_window], whitening, own)
    return replace(found, offset=np.median(heard.means, axis=0))


def operating_points(heard: Heard) -> Numbers:
    """Return the number of the operating point of each window, shape (n,): the reference that it belongs to.

    Args:
        heard: Healthy windows, at least `LEAST_WINDOWS`.
    """
    blocks = _blocks(heard)
    return _joined_blocks(blocks, _whitening(heard.features, blocks.of_window))[blocks.of_window]


def shrunk_scatter(deviations: NDArray[np.floating]) -> Doubles:
    """Return the covariance of deviations from known means, (n, features), shrunk towards equal variances.

    Source: Ledoit & Wolf 2004, lemma 3.2 to 3.4; the shrinkage is estimated from the deviations.
    """
    values = np.asarray(deviations, np.float64)
    n, size = values.shape
    scatter = values.T @ values / n
    equal = np.trace(scatter) / size * np.eye(size)
    far = float(np.square(scatter - equal).sum())
    unsure = float((np.square(np.square(values).sum(axis=1)).sum() / n - np.square(scatter).sum()) / n)
    share = min(max(unsure, 0.0) / far, 1.0) if far > 0 else 1.0
    return (1 - share) * scatter + share * equal


class _Blocks(NamedTuple):
    """Blocks of successive windows.

    Attributes:
        of_window: Number of the block of each window, shape (n,).
        means: Mean features of each block, shape (blocks, features).
        levels: Mean decimal logarithm of the level of each block, shape (blocks,).
        speeds: Mean decimal logarithm of the speed of each block, shape (blocks,); 0 where it is unknown.
        stretches: Stretch of each block, shape (blocks,).
    """

    of_window: Numbers
    means: Doubles
    levels: Doubles
    speeds: Doubles
    stretches: Numbers


def _check(heard: Heard, share: float) -> None:
    if len(heard) < LEAST_WINDOWS:
        words = f"Only {len(heard)} good windows were received; learning needs at least {LEAST_WINDOWS}."
        raise LearningError(f"{words} Listen for longer.", "too_few_windows", got=len(heard), limit=LEAST_WINDOWS)
    if not 0 < share <= 0.5:
        words = f"The share of unknown windows must be above 0 and at most 0.5, got {share}."
        raise LearningError(words, "out_of_range", setting="false_unknown_share", got=share)
    stretches = len(np.unique(heard.stretches))
    if stretches > MOST_STRETCHES:
        words = f"The windows are {stretches} stretches, interrupted by gaps; learning takes at most {MOST_STRETCHES}."
        words += " Mend the link to the sensor, and learn again."
        raise LearningError(words, "too_many_stretches", got=stretches, limit=MOST_STRETCHES)
    sound = np.isfinite(heard.features).all(axis=1) & np.isfinite(heard.levels) & (heard.levels > 0)
    if not sound.all():
        bad = int((~sound).sum())
        words = f"{bad} of {len(heard)} windows hold no vibration or no numbers. Learn from windows with a verdict."
        raise LearningError(words, "no_vibration", got=bad, windows=len(heard))


def _blocks(heard: Heard) -> _Blocks:
    """Cut each stretch into blocks of about equal length, at least two unless it has one window."""
    size = max(_BLOCK, -(-len(heard) // _MOST_BLOCKS))
    of_window, stretches = np.empty(len(heard), np.intp), list[int]()
    for stretch in _in_order(heard):
        own = np.flatnonzero(heard.stretches == stretch)
        for part in np.array_split(own, min(len(own), max(2, round(len(own) / size)))):
            of_window[part] = len(stretches)
            stretches.append(stretch)
    logs = np.log10(heard.levels), np.nan_to_num(np.log10(heard.speeds_hz))
    levels, speeds = (_means(log[:, None], of_window)[:, 0] for log in logs)
    return _Blocks(of_window, _means(heard.features, of_window), levels, speeds, np.array(stretches))


def _in_order(heard: Heard) -> list[int]:
    """Return the stretches in an order that depends on what they hold, not on when they came."""
    numbers, firsts = np.unique(heard.stretches, return_index=True)
    contents = [heard.features[first].tobytes() for first in firsts]
    return [int(numbers[at]) for at in sorted(range(len(numbers)), key=contents.__getitem__)]


def _means(values: NDArray[np.floating], groups: Numbers) -> Doubles:
    """Return the means of the rows of each group, (n, k) to (groups, k)."""
    return np.stack([values[groups == group].mean(axis=0, dtype=np.float64) for group in range(groups.max() + 1)])


def _whitening(features: FloatArray, groups: Numbers) -> Doubles:
    """Return the matrix that makes the scatter within groups white, shape (features, features)."""
    deviations = features - _means(features, groups)[groups]
    scatter = shrunk_scatter(deviations) * (len(features) / max(len(features) - len(np.unique(groups)), 1))
    scatter[np.diag_indices_from(scatter)] += _LEAST_DEVIATION**2
    return np.asarray(np.linalg.cholesky(np.linalg.inv(scatter)))


def _joined_blocks(blocks: _Blocks, whitening: Doubles) -> Numbers:
    """Return the number of the operating point of each block: complete linkage, so that all blocks of one are alike."""
    spectra = _squares_between(blocks.means @ whitening) / (len(whitening) * _ALIKE)
    levels = np.square(np.subtract.outer(blocks.levels, blocks.levels) / _ALIKE_LEVEL)
    speeds = np.square(np.subtract.outer(blocks.speeds, blocks.speeds) / _ALIKE_SPEED)
    far = np.maximum(np.maximum(spectra, levels), speeds)
    np.fill_diagonal(far, np.inf)
    groups = np.arange(len(far))
    left = len(far)
    while left > 1:
        one, other = divmod(int(far.argmin()), len(far))
        if far[one, other] > 1 and left <= MOST_REFERENCES:
            break
        farther = np.maximum(far[one], far[other])
        far[one], far[:, one] = farther, farther
        far[one, one] = far[other] = far[:, other] = np.inf
        groups[groups == other] = one
        left -= 1
    return np.unique(groups, return_inverse=True)[1]


def _squares_between(points: Doubles) -> Doubles:
    """Return the squared distances between points, (n, k) to (n, n)."""
    squares = np.square(points).sum(axis=1)
    return np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0)


def _references(heard: Heard, of_window: Numbers, whitening: Doubles, squares: Doubles) -> References:
    """Return the means of the operating points as references, with these squared limits."""
    relations = heard.relations
    flat = _means(relations.reshape(len(relations), -1), of_window).astype(np.float32)
    lowest, highest = np.quantile(heard.levels, (_OUTERMOST, 1 - _OUTERMOST)).tolist()
    return References(
        (_means(heard.features, of_window) @ whitening).astype(np.float32),
        np.sqrt(squares).astype(np.float32),
        10.0 ** _means(np.log10(heard.levels)[:, None], of_window)[:, 0],
        lowest,
        highest,
        mounting=flat.reshape(len(flat), *relations.shape[1:]) if relations.shape[1] else None,
    )


def _turned_limit(relations: FloatArray, of_window: Numbers, known: FloatArray | None) -> float:
    """Return the limit of a turned sensor: the usual one, or lower if operating points look turned to each other."""
    limit = LIMIT
    for point in range(0 if known is None else len(known)):
        assert known is not None
        others = Mounting(np.delete(known, point, axis=0) if len(known) > 1 else known)
        ratios = others.ratios_of(relations[of_window == point])
        limit = min(limit, _TURNED_MARGIN * float(np.quantile(ratios, _OUTERMOST)))
    return max(limit, _LEAST_TURNED)


def _own_squares(
    heard: Heard, of_window: Numbers, points: Numbers, share: float, given: Doubles | None = None
) -> Doubles:
    """Return the squared distance from each reference that its own windows exceed with this share, shape (points,).

    Windows are judged by references of other blocks, and by a given whitening or that of other blocks. The share is one
    of all windows together, relative to the mean of each operating point, because a point may have few windows.
    """
    squares = np.full(len(heard), np.nan)
    folds = np.arange(len(points)) % min(_FOLDS, len(points))
    for fold in range(folds.max() + 1):
        outside = folds[of_window] != fold
        if not outside.any():
            continue
        groups = np.unique(of_window[outside], return_inverse=True)[1]
        whitening = _whitening(heard.features[outside], groups) if given is None else given
        for point in np.unique(points[folds == fold]):
            own = points[of_window] == point
            known = own & outside
            judged = own & ~outside
            if known.any():
                off = heard.features[judged] - heard.features[known].mean(axis=0, dtype=np.float64)
                squares[judged] = np.square(off @ whitening).sum(axis=1)
    return _scaled_quantiles(squares, points[of_window], 1 - share, heard.features.shape[1])


def _scaled_quantiles(squares: Doubles, of_point: Numbers, share: float, expected: float) -> Doubles:
    """Return the quantile of the squares of each point, shape (points,), by the shape that all points share.

    Args:
        squares: Squared distance of each window, shape (n,); NaN: unknown, as in an operating point of one block.
        of_point: Operating point of each window, shape (n,).
        share: Share of the windows below the quantile.
        expected: Mean square where none is known.
    """
    known = np.isfinite(squares)
    overall = float(squares[known].mean()) if known.any() else expected
    means = np.full(of_point.max() + 1, overall)
    for point in range(len(means)):
        own = known & (of_point == point)
        if own.any():
            means[point] = squares[own].mean()
    means = np.maximum(means, _LEAST_SHARE * expected)
    multiple = float(np.quantile(squares[known] / means[of_point[known]], share)) if known.any() else 1.0
    return means * max(multiple, 1.0)


def _shared_stretches(blocks: _Blocks, points: Numbers) -> NDArray[np.bool_]:
    """Tell which operating points share a stretch, shape (points, points)."""
    numbers = np.unique(blocks.stretches, return_inverse=True)[1]
    within = np.zeros((points.max() + 1, numbers.max() + 1), np.bool_)
    within[points, numbers] = True
    return np.asarray(within @ within.T)


def _between_square(references: FloatArray, shared: NDArray[np.bool_], lines: int, share: float) -> float:
    """Return the squared distance to allow for an operating point that was never learned; 0 with only one.

    Args:
        references: Whitened references, shape (points, features).
        shared: Whether two of them share a stretch; where possible the nearest one is sought in other stretches.
        lines: Number of bands of each axis.
        share: Share of unknown operating points that may be beyond it.
    """
    means = references.astype(np.float64)
    if len(means) == 1:
        return 0.0
    squares = _squares_between(means)
    np.fill_diagonal(squares, np.inf)
    elsewhere = np.where(shared, np.inf, squares)
    alone = ~np.isfinite(elsewhere).any(axis=1)
    elsewhere[alone] = squares[alone]
    nearest = elsewhere.argmin(axis=1)
    independent = _independent_bands((means - means[nearest]).reshape(len(means), lines, -1))
    distances = elsewhere.min(axis=1)
    freedom = min(independent, _alike_points(distances))
    below = max(len(means) * freedom / 2, _LEAST_BELOW)  # two nearest each other tell the same
    return float(distances.mean()) * f_quantile(1 - share, freedom, below)


def _alike_points(distances: Doubles) -> float:
    """Return the degrees of freedom of squared distances that vary as these do, and as `_PRIOR` expects of few."""
    weight, expected = _PRIOR
    varied = float(np.square(distances / distances.mean() - 1).sum())
    return 2 * (weight + len(distances) - 1) / (weight * expected + varied)


def _independent_bands(off: Doubles) -> float:
    """Return how many independent bands have as much scatter in their mean square, from (points, lines, axes)."""
    lines = off.shape[1]
    power = float(np.square(off).mean())
    total = 1.0
    for lag in range(1, lines // 2):
        correlation = float((off[:, lag:] * off[:, :-lag]).mean()) / power if power > 0 else 0.0
        if correlation < _INDEPENDENT_BELOW:
            break
        total += 2 * correlation**2
    return max(lines / total, _LEAST_INDEPENDENT)
