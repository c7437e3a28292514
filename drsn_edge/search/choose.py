"""The choice among candidates from the logits of the inner folds. Pure functions of arrays.

The score of a candidate is the mean over folds of its balanced accuracy, averaged over the windows as recorded and with
white noise at 0 dB. Every class and every fold counts the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drsn_edge.search.candidates import Family, Member
from drsn_edge.search.logits import FoldLogits
from drsn_edge.signal.windows import FloatArray

CONFIDENCE = 0.95

CHEAPER = 0.8
"""A candidate is cheaper than another if it has at most this share of its multiply-accumulates."""

AS_GOOD = 0.005
"""A cheaper candidate is as good as the best one if its score is at most so much lower, and the difference is within
its standard error. The standard error alone may be several points where recordings are few."""

_FOLDS_FOR_T = 3


@dataclass(frozen=True)
class Truth:
    """What is known of the judged windows.

    Attributes:
        labels: Class index of each window, shape (m,).
        recordings: Number of the recording of each window, shape (m,).
    """

    labels: NDArray[np.int64]
    recordings: NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval.

    Attributes:
        mean: The mean, 0 to 1.
        low: Lower end, at least 0.
        high: Upper end, at most 1.
        over: What was taken as independent: "folds" (Student's t) or "recordings" within the folds (normal).
    """

    mean: float
    low: float
    high: float
    over: str


@dataclass(frozen=True)
class Estimate:
    """What a candidate is expected to reach on what the inner folds hold out: balanced accuracies."""

    score: Interval
    clean: Interval
    noisy: Interval


@dataclass(frozen=True)
class Candidate:
    """One member of a family, or a baseline, with what it said in each fold.

    Attributes:
        name: Name in the table.
        family: Name of the family; of a baseline its own.
        member: How the logits are weighted; None for a baseline.
        macs: Multiply-accumulates for one window; 0 for a baseline.
        epochs: Epochs of its trainings; 0 for a baseline.
        is_choosable: Whether it may be chosen.
        needs_speed: Whether it needs the shaft speed.
        folds: Logits in each fold, shapes (conditions, m, classes), with the rows of the windows.
        plain_of: Name of the family that has shrinkage blocks where this one's are plain; empty for other families.
        rank: Place of the family in the table of candidates, from 0.
    """

    name: str
    family: str
    member: Member | None
    macs: int
    epochs: int
    is_choosable: bool
    needs_speed: bool
    folds: tuple[tuple[NDArray[np.int64], FloatArray], ...] = field(repr=False, compare=False)
    plain_of: str = ""
    rank: int = 0


@dataclass(frozen=True)
class Judged:
    """A candidate with its figures.

    Attributes:
        candidate: The candidate.
        by_fold: Balanced accuracy in each fold and condition, shape (folds, conditions).
        parts: For each fold, what each recording adds to the mean score of the fold, by number of the recording.
    """

    candidate: Candidate
    by_fold: NDArray[np.float64]
    parts: tuple[Mapping[int, float], ...] = field(repr=False, compare=False)

    @property
    def score(self) -> float:
        """Mean over folds and conditions."""
        return float(self.by_fold.mean())

    @property
    def estimate(self) -> Estimate:
        """Score, and accuracy in each condition, with intervals."""
        return estimate_of(self.by_fold, self.parts)


def members_of(
    family: Family, network: Sequence[FoldLogits], discriminants: Sequence[FoldLogits] | None, n_classes: int
) -> Iterator[tuple[Member, tuple[tuple[NDArray[np.int64], FloatArray], ...]]]:
    """Yield each member of a family with its logits in each fold, (conditions, m, classes).

    Args:
        family: The family.
        network: Logits of the branches of its network, for each fold.
        discriminants: Logits of the discriminants of the branches, for each fold; None: the family has none.
        n_classes: Number of classes.
    """
    for member in family.members:
        shares = np.asarray(member.view_weights, np.float32) / sum(member.view_weights)
        folds = []
        for number, fold in enumerate(network):
            logits = fold.logits
            if discriminants is not None and member.discriminants:
                logits = logits + np.float32(member.discriminants) * discriminants[number].logits
            fused = np.einsum("cnbk,b->cnk", logits, shares)
            of_classes = fused.reshape(*fused.shape[:2], -1, n_classes).max(axis=2)
            folds.append((fold.rows, np.asarray(of_classes, np.float32)))
        yield member, tuple(folds)


def judge_candidate(candidate: Candidate, truth: Truth) -> Judged:
    """Return a candidate's figures."""
    by_fold, parts = [], []
    for rows, logits in candidate.folds:
        labels, recordings = truth.labels[rows], truth.recordings[rows]
        classes, counts = np.unique(labels, return_counts=True)
        weights = 1 / (len(classes) * counts[np.searchsorted(classes, labels)])
        right = logits.argmax(axis=2) == labels
        by_fold.append(np.where(right, weights, 0.0).sum(axis=1))  # a product by BLAS may round differently each time
        each = right.mean(axis=0) * weights
        parts.append({int(r): float(each[recordings == r].sum()) for r in np.unique(recordings)})
    return Judged(candidate, np.array(by_fold), tuple(parts))


def estimate_of(by_fold: NDArray[np.float64], parts: Sequence[Mapping[int, float]]) -> Estimate:
    """Return means with intervals from figures of shape (folds, conditions), the clean condition first."""
    error = _error_within(parts)
    score, clean, noisy = (_interval(values, error) for values in (by_fold.mean(axis=1), by_fold[:, 0], by_fold[:, 1]))
    return Estimate(score, clean, noisy)


def _interval(values: NDArray[np.float64], error_within: float) -> Interval:
    """Return the interval by Student's t over folds, or for fewer than three by the recordings within the folds."""
    from scipy.stats import norm, t

    mean, n = float(values.mean()), len(values)
    if n >= _FOLDS_FOR_T:
        reach = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * float(values.std(ddof=1)) / math.sqrt(n)
    else:
        reach = float(norm.ppf((1 + CONFIDENCE) / 2)) * error_within
    over = "folds" if n >= _FOLDS_FOR_T else "recordings"
    return Interval(mean, max(0.0, mean - reach), min(1.0, mean + reach), over)


def _error_within(parts: Sequence[Mapping[int, float]]) -> float:
    """Return the standard error of a mean over folds, recordings being independent within a fold."""
    variances = []
    for part in parts:
        values = np.array(list(part.values()))
        n = len(values)
        variances.append(n / (n - 1) * float(np.sum((values - values.mean()) ** 2)) if n > 1 else 0.0)
    return math.sqrt(sum(variances)) / len(parts)


def ranked(judged: Sequence[Judged]) -> list[Judged]:
    """Return candidates from the highest score to the lowest; of equal ones the cheaper first."""
    return sorted(judged, key=lambda each: (-each.score, each.candidate.macs, each.candidate.name))


def choose(judged: Sequence[Judged]) -> Judged:
    """Return the choice among candidates whose scores tell them apart, and by preference among the others.

    A few folds hardly tell good candidates apart. Of those whose score is within the standard error of the highest one,
    the family that stands first in the table is taken, since the table is ordered by how much its inputs leave to be
    learned. A cheaper family or input that is as good as this one is taken instead of it.

    Args:
        judged: All candidates; at least one is choosable. Only those with the most epochs of all are compared.
    """
    able = [each for each in judged if each.candidate.is_choosable]
    most = max(each.candidate.epochs for each in able)
    able = ranked([each for each in able if each.candidate.epochs == most])
    heads = _heads(able)
    near = [each for each in heads if each.score >= able[0].score - _difference_error(able[0], each)]
    best = min(near, key=lambda each: (each.candidate.rank, -each.score))
    equal = [each for each in heads if each.score >= best.score - min(AS_GOOD, _difference_error(best, each))]
    cheaper = [each for each in equal if _is_cheaper(each.candidate, best.candidate)]
    return min(cheaper, key=lambda each: each.candidate.macs) if cheaper else best


def _heads(able: Sequence[Judged]) -> list[Judged]:
    """Return the best member of each family for each kind of input."""
    heads: dict[tuple[str, str], Judged] = {}
    for each in able:
        member = each.candidate.member
        heads.setdefault((each.candidate.family, member.inputs if member else ""), each)
    return list(heads.values())


def _is_cheaper(one: Candidate, other: Candidate) -> bool:
    """Tell whether a candidate costs clearly less; plain blocks save the operators of a threshold and its subnet."""
    return one.plain_of == other.family or one.macs <= CHEAPER * other.macs


def _difference_error(one: Judged, other: Judged) -> float:
    """Return the standard error of the difference of two scores, from the differences in each recording."""
    return _error_within(
        [{r: a[r] - b[r] for r in a.keys() & b.keys()} for a, b in zip(one.parts, other.parts, strict=True)]
    )


def expected(judged: Sequence[Judged], folds: Sequence[int]) -> Estimate:
    """Return what the choice is expected to reach, free of the luck of being chosen.

    For each fold the choice is made on the other folds, and judged on this one. The best of many candidates on some
    folds would otherwise look better than it is.

    Args:
        judged: All candidates; at least one is choosable.
        folds: Numbers of the folds that are like the hold-out set.
    """
    able = [each for each in judged if each.candidate.is_choosable]
    by_name = {each.candidate.name: each for each in able}
    picked = [by_name[choose([_without(each, fold) for each in able]).candidate.name] for fold in folds]
    by_fold = np.array([each.by_fold[fold] for fold, each in zip(folds, picked, strict=True)])
    return estimate_of(by_fold, [each.parts[fold] for fold, each in zip(folds, picked, strict=True)])


def _without(judged: Judged, fold: int) -> Judged:
    kept = [number for number in range(len(judged.by_fold)) if number != fold]
    return Judged(judged.candidate, judged.by_fold[kept], tuple(judged.parts[number] for number in kept))
