"""The figures of an example, as a table and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from experiment import Experiment

from drsn_edge.reproduce.statistics import CONFIDENCE, Difference, difference, summarise

Accuracies = Mapping[str, Sequence[float]]
"""Accuracies by name of the network, one for each seed, 0 to 1."""


def compare(accuracies: Accuracies, one: str, other: str) -> Difference:
    """Return how far network `one` is above network `other`, paired by seed."""
    return difference([a - b for a, b in zip(accuracies[one], accuracies[other], strict=True)])


def is_no_loss(found: Difference, allowed_points: float) -> bool:
    """Return whether a difference is at least -allowed_points, or its interval includes 0."""
    return 100 * found.mean >= -allowed_points or found.low <= 0 <= found.high


def as_json(experiment: Experiment, accuracies: Accuracies) -> dict[str, Any]:
    """Return the figures of a run; accuracies and differences are shares. Figures that need two seeds can be null."""
    found = {pair: compare(accuracies, *pair) for pair in experiment.pairs}
    bar = experiment.allowed_loss_points
    return {
        "accuracies": {name: list(values) for name, values in accuracies.items()},
        "summaries": {name: _without_nan(vars(summarise(values))) for name, values in accuracies.items()},
        "differences": [
            {"one": one, "other": other, **_without_nan(vars(value)), "confidence": CONFIDENCE}
            for (one, other), value in found.items()
        ],
        **({} if bar is None else {"is_no_loss": is_no_loss(found[experiment.pairs[0]], bar)}),
    }


def as_text(experiment: Experiment, accuracies: Accuracies) -> str:
    """Return the figures of a run as a table, in percent and points."""
    rows = [f"{'network':10}{'block':10}{'accuracy %':16}by seed"]
    for name, values in accuracies.items():
        by_seed = " ".join(f"{100 * value:.2f}" for value in values)
        rows.append(f"{name:10}{experiment.blocks[name]:10}{_percent(values):16}{by_seed}")
    rows += [f"{f'{one} - {other}':20}{_points(compare(accuracies, one, other))}" for one, other in experiment.pairs]
    if experiment.allowed_loss_points is not None:
        rows.append(_verdict(experiment, accuracies, experiment.allowed_loss_points))
    return "\n".join(rows)


def _verdict(experiment: Experiment, accuracies: Accuracies, allowed_points: float) -> str:
    one, other = experiment.pairs[0]
    met = is_no_loss(compare(accuracies, one, other), allowed_points)
    bar = f"{one} - {other} at least {-allowed_points:g} points, or 0 within its interval"
    return f"{bar}: {'yes' if met else 'no'}"


def _percent(values: Sequence[float]) -> str:
    summary = summarise(values)
    deviation = "" if math.isnan(summary.deviation) else f" +- {100 * summary.deviation:.2f}"
    return f"{100 * summary.mean:.2f}{deviation}"


def _points(found: Difference) -> str:
    if math.isnan(found.low):
        return f"{100 * found.mean:+.2f} points, no interval from one seed"
    bounds = f"{100 * found.low:+.2f} to {100 * found.high:+.2f}"
    return f"{100 * found.mean:+.2f} points, {CONFIDENCE * 100:g} % interval {bounds} ({found.pairs} seeds)"


def _without_nan(fields: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in fields.items()}
