"""Exact intervals of a Poisson mean, without SciPy, which a gateway lacks."""

from __future__ import annotations

import math

import numpy as np


def interval(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a Poisson mean from one observed count (Garwood 1936).

    Args:
        count: Observed count, >= 0.
        confidence: Probability that such an interval holds the mean, in (0, 1).
    """
    tail = (1 - confidence) / 2
    low = _mean_with(count - 1, 1 - tail) if count else 0.0
    return low, _mean_with(count, tail)


def _mean_with(at_most: int, probability: float) -> float:
    """Return the mean of the Poisson variable that is at most `at_most` with this probability."""
    counts = np.arange(at_most + 1)
    log_factorials = np.cumsum(np.log(np.maximum(counts, 1)))
    low, high = 0.0, at_most + 10 * math.sqrt(at_most + 1) + 100.0
    for _ in range(200):
        mean = (low + high) / 2
        if mean in (low, high):
            break
        terms = counts * math.log(mean) - mean - log_factorials
        largest = float(terms.max())
        at_most_so = math.exp(min(0.0, largest + math.log(float(np.exp(terms - largest).sum()))))
        low, high = (mean, high) if at_most_so > probability else (low, mean)
    return (low + high) / 2
