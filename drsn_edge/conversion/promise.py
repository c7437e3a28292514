"""The promise of a bundle from the inner folds of its run: the temperature, and a cautious risk-coverage curve.

The promise must hold on a condition that was never seen, so the mean over the folds would be too little. The share of
wrong classes at a limit is that of the worst condition, plus an allowance. The conditions are the folds as recorded and
the folds with white noise at 0 dB: noise stands for conditions that differ more than the folds do. The allowance is
half a wrong recording, divided by one more than the recordings that are named: the windows of a recording are nearly
always right or wrong together, so that recordings and not windows are counted. Fewer than three folds promise nothing
(`drsn_edge.bundle.promise`). `benchmarks/promise_folds.py` measures
how often such promises are kept on folds that were left out.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.promise import LONGEST_WORDS, MOST_POINTS, TEMPERATURES, Promise, RiskPoint
from drsn_edge.datasets.split import parse_hold_out
from drsn_edge.runtime.classifier import softmax
from drsn_edge.signal.windows import FloatArray
from drsn_edge.training.inner_folds import FoldedLogits
from firmware_bridge.support.shown import printable

WRONG_BESIDE = 0.5
"""Recordings that the allowance counts as wrong, beside those that are."""


def promise_of(folds: FoldedLogits) -> Promise:
    """Return the promise that the inner folds support; its curve ends where a higher limit promises no less.

    Args:
        folds: Windows of all inner folds, at least one.
    """
    temperature = temperature_of(folds)
    present = np.unique(folds.fold)
    return Promise(
        temperature=temperature,
        held_out=printable(str(folds.held_out), LONGEST_WORDS) or "unnamed conditions",
        folds=len(present),
        windows=len(folds),
        curve=_curve(folds, temperature),
    )


def unpromised_field(folds: FoldedLogits, rule: str) -> str | None:
    """Return the field that a hold-out rule holds out and no inner fold does; None if there is none.

    Args:
        folds: Windows of all inner folds.
        rule: The rule of `--hold-out`, such as "load_lb=11".
    """
    outer = parse_hold_out(rule)
    inner = {re.split("[ =]", str(fold))[0] for fold in folds.fold_names}  # "rpm=600", "rpm part 1 of 5"
    return outer.name if outer.kind == "field" and outer.name not in inner else None


def temperature_of(folds: FoldedLogits) -> float:
    """Return the temperature with the lowest cross-entropy of the windows as recorded, 0.01 to 100.

    Each fold counts alike, and within it each class. Half a window is counted as wrong beside, so that folds without
    any error do not make probabilities of exactly 1.
    """
    from scipy.optimize import minimize_scalar

    logits, weights, rows = folds.logits.astype(np.float64), _weights(folds), np.arange(len(folds))
    others = logits.copy()
    others[rows, folds.labels] = -np.inf
    wrong = others.argmax(axis=1)
    share = WRONG_BESIDE / (len(folds) + 1)

    def cross_entropy(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        target = (1 - share) * scaled[rows, folds.labels] + share * scaled[rows, wrong]
        return float(weights @ (np.log(np.exp(scaled).sum(axis=1)) - target))

    low, high = TEMPERATURES
    found = minimize_scalar(cross_entropy, bounds=(np.log(low), np.log(high)), method="bounded")
    return float(np.clip(np.exp(found.x), low, high))


def _weights(folds: FoldedLogits) -> NDArray[np.float64]:
    """Return a weight for each window, so that folds count alike, and classes within a fold; their sum is 1."""
    weights = np.empty(len(folds))
    for fold in np.unique(folds.fold):
        inside = folds.fold == fold
        _, classes, counts = np.unique(folds.labels[inside], return_inverse=True, return_counts=True)
        weights[inside] = 1 / (len(counts) * counts[classes])
    return weights / weights.sum()


def _curve(folds: FoldedLogits, temperature: float) -> tuple[RiskPoint, ...]:
    is_known = ~(folds.novelty > 1)  # NaN is known
    recorded, noisy = (_highest(logits, temperature) for logits in (folds.logits, folds.noisy_logits))
    recorded = np.where(is_known, recorded, -1.0)
    limits = np.unique(np.quantile(recorded[is_known], np.linspace(0, 1, MOST_POINTS))) if is_known.any() else [0.0]
    points = []
    for limit in (0.0, *limits[1:]):
        named = recorded >= limit
        shares = [
            *_wrong_shares(folds, folds.logits, named),
            *_wrong_shares(folds, folds.noisy_logits, noisy >= limit),
        ]
        coverage = [float(named[folds.fold == fold].mean()) for fold in np.unique(folds.fold)]
        wrong = min(1.0, max(shares, default=1.0) + _allowance(folds, named))
        points.append(RiskPoint(float(limit), wrong, min(coverage), max(coverage)))
    return falling(points)


def falling(points: list[RiskPoint]) -> tuple[RiskPoint, ...]:
    """Return the points up to the lowest share of wrong classes, each with the highest share of those that follow.

    Args:
        points: By ascending limits, at least one.
    """
    wrong = np.array([point.wrong for point in points])
    wrong = wrong[: int(wrong.argmin()) + 1]
    highest = np.maximum.accumulate(wrong[::-1])[::-1]
    return tuple(
        RiskPoint(point.limit, float(share), point.least_named, point.most_named)
        for point, share in zip(points, highest, strict=False)
    )


def _highest(logits: FloatArray, temperature: float) -> NDArray[np.float64]:
    return np.asarray(softmax(logits, temperature).max(axis=1))


def _wrong_shares(folds: FoldedLogits, logits: FloatArray, named: NDArray[np.bool_]) -> list[float]:
    """Return the share of wrong classes among the named windows of each fold that has any."""
    wrong = logits.argmax(axis=1) != folds.labels
    return [float(wrong[named & (folds.fold == fold)].mean()) for fold in np.unique(folds.fold[named])]


def _allowance(folds: FoldedLogits, named: NDArray[np.bool_]) -> float:
    """Return the share of wrong classes to add for the number of recordings that are named."""
    recordings = {*zip(folds.fold[named].tolist(), folds.recordings[named].tolist(), strict=True)}
    return WRONG_BESIDE / (len(recordings) + 1)
