"""The metrics of healthy recordings that were just learned, and what such a model can say, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from drsn_edge import __version__
from drsn_edge.datasets.damage import damage_to_json
from drsn_edge.evaluation.early import early_to_json
from drsn_edge.evaluation.early_detection import find_early
from drsn_edge.evaluation.without_network import Figures, HealthyModel, held_out_figures
from drsn_edge.support.wording import counted
from drsn_edge.training.classes import count_classes
from drsn_edge.training.healthy import FALSE_UNKNOWN, HealthyTraining


def evaluate_healthy(
    training: HealthyTraining, name: str, show: Callable[[int, int], object] = lambda done, of: None
) -> dict[str, Any]:
    """Return how often hold-out windows are UNKNOWN, and what was learned, as plain JSON values.

    Args:
        training: What was learned.
        name: Name of the run folder.
        show: Called with the number of simulated faults that are done, and of all.
    """
    split = training.split
    named = name, "run folder", None, f"drsn-edge {__version__}"
    model = HealthyModel(*named, split.labels[0], training.contract, training.novelty, FALSE_UNKNOWN)
    found = held_out_figures(model, training.held_out)
    return {
        "split": split.rule,
        "leak": split.leak,
        "remark": split.remark,
        "labels": list(split.labels),
        "classes": [asdict(count) for count in count_classes(split, training.settings)],
        "damage": [damage_to_json(each) for each in split.damage if each.damaged],
        "doubts": [doubt.sentence for doubt in split.doubts],
        "learned_windows": len(training.heard),
        "left_out": dict(training.left_out),
        "operating_points": len(training.novelty.prototypes),
        "unknown_share": FALSE_UNKNOWN,
        "held_out_windows": len(training.held_out),
        "held_out": asdict(found),
        "early": early_to_json(find_early(model, training.naming, training.held_out, show)),
        "in_words": list(in_words(model, training.naming is not None)),
        "warnings": _warnings(found),
    }


def in_words(model: HealthyModel, names_changes: bool = False) -> tuple[str, ...]:
    """Return sentences about what a model without a network can and cannot say, with or without names of changes."""
    label, points = model.label, len(model.novelty.prototypes)
    return (
        f"This model has no network. It calls a window {label}, UNKNOWN, or gives no verdict. With the shaft speed "
        "(`monitor --rpm`) it says what a change resembles, such as like outer_race; no recording has confirmed that."
        if names_changes
        else f"This model has no network. It calls a window {label}, UNKNOWN, or gives no verdict: it says that the "
        "machine is unlike the recordings, not which fault it has.",
        f"A fault that was there during the recordings is {label} for it.",
        "It learned one operating point and knows of no other: another load or speed is UNKNOWN."
        if points == 1
        else f"It learned {counted(points, 'operating point')}. As far as they differ, others are {label} as well, and "
        "so are faults that change no more.",
    )


def _warnings(held_out: Figures) -> list[str]:
    """Return a warning where hold-out windows are UNKNOWN more often than set, beyond chance."""
    found = held_out.windows
    if found.unknown is None or found.interval_95 is None or found.interval_95[0] <= FALSE_UNKNOWN:
        return []
    return [
        f"{found.unknown:.1%} of {counted(found.count, 'hold-out window')} are UNKNOWN, and {FALSE_UNKNOWN:.0%} was "
        "set: the hold-out set is unlike what was learned. Record more loads, speeds and days, and train again."
    ]
