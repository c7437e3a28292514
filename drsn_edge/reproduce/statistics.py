"""Means over folds, deviations over seeds, and paired differences with an interval."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from drsn_edge.reproduce.jobs import JobResult, Score

CONFIDENCE = 0.95

Metric = Callable[[Score], float]


@dataclass(frozen=True)
class SeedSummary:
    """A figure over seeds; the deviation is the sample deviation (n - 1), NaN for one seed."""

    mean: float
    deviation: float
    seeds: int


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences and its 95 % interval (Student's t); the bounds are NaN for one pair."""

    mean: float
    low: float
    high: float
    pairs: int


def summarise(values: Sequence[float]) -> SeedSummary:
    """Return mean and sample deviation."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return SeedSummary(mean, math.nan, len(values))
    return SeedSummary(mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)), len(values))


def over_seeds(results: Iterable[JobResult], condition: str, metric: Metric) -> SeedSummary | None:
    """Return the mean over folds per seed, summarised over the seeds; None without any score.

    Only seeds with all folds count: a mean over some of the folds is a different figure.
    """
    by_seed: dict[int, dict[str, float]] = defaultdict(dict)
    for result in results:
        for score in result.scores:
            if str(score.condition) == condition:
                by_seed[result.job.seed][result.job.hold_out] = metric(score)
    folds = set().union(*by_seed.values()) if by_seed else set()
    means = [sum(found.values()) / len(found) for _, found in sorted(by_seed.items()) if set(found) == folds]
    return summarise(means) if means else None


def paired_difference(results: Iterable[JobResult], one: str, other: str, metric: Metric) -> Difference | None:
    """Return how far model `one` is above model `other`, over all settings, conditions and seeds of both.

    The interval applies to the mean over independent trainings with these settings, not to other data sets.
    """
    found: dict[str, dict[object, float]] = {one: {}, other: {}}
    for result in results:
        for score in result.scores:
            if result.job.model in found:
                key = (result.job.settings, result.job.hold_out, result.job.seed, score.condition)
                found[result.job.model][key] = metric(score)
    common = found[one].keys() & found[other].keys()
    return difference([found[one][key] - found[other][key] for key in common]) if common else None


def difference(differences: Sequence[float]) -> Difference:
    """Return the mean of paired differences and its interval."""
    from scipy.stats import t

    summary = summarise(differences)
    if summary.seeds < 2:
        return Difference(summary.mean, math.nan, math.nan, 1)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, summary.seeds - 1)) * summary.deviation / math.sqrt(summary.seeds)
    return Difference(summary.mean, summary.mean - reach, summary.mean + reach, summary.seeds)
