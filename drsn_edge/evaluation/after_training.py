"""The held-out metrics of a model that was just trained."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from drsn_edge.datasets.damage import damage_to_json
from drsn_edge.datasets.labels import likely_slips
from drsn_edge.evaluation.conditions import CLEAN, noise_conditions, with_noise
from drsn_edge.evaluation.generalisation import from_metrics
from drsn_edge.evaluation.metrics import figures, judge
from drsn_edge.training.classes import count_classes
from drsn_edge.training.epochs import EpochReport, best_epoch, step_share
from drsn_edge.training.fit import predict_logits
from drsn_edge.training.train import Training

TEST_SNRS_DB = (0.0, -4.0)
"""Signal-to-noise ratios (SNR) of the evaluation with each kind of noise, beside the one without noise."""


def evaluate(training: Training) -> dict[str, Any]:
    """Return the held-out metrics, clean and with noise (determined by the seed), as plain JSON values."""
    held_out, seed = training.held_out, training.settings.seed
    conditions = {
        str(condition): with_noise(held_out, condition, seed) for condition in (CLEAN, *noise_conditions(TEST_SNRS_DB))
    }
    results = {}
    for name, windows in conditions.items():
        logits = predict_logits(training.model, windows, training.contract)
        judgement = judge(logits, held_out.labels, len(training.labels))
        results[name] = {**figures(judgement), "confusion": judgement.confusion.tolist()}
    counts = count_classes(training.split, training.settings)
    metrics = {
        "split": training.split.rule,
        "leak": training.split.leak,
        "remark": training.split.remark,
        "labels": list(training.labels),
        "classes": [asdict(count) for count in counts],
        "damage": [damage_to_json(each) for each in training.split.damage if each.damaged],
        "doubts": [doubt.sentence for doubt in training.split.doubts],
        "held_out_windows": len(held_out),
        "held_out": results,
        "epochs": [_without_times(report) for report in training.history],
        "kept_epoch": best_epoch(training.history) if training.settings.patience else training.history[-1].epoch,
        "step_share": step_share(training.history),
    }
    found = from_metrics(metrics)
    warnings = [
        *likely_slips(counts),
        *([found.warning] if found is not None and found.warning else []),
    ]
    return {**metrics, "warnings": warnings}


def _without_times(report: EpochReport) -> dict[str, Any]:
    """Return the values that a repeated training reproduces; the times are in the log."""
    return {each.name: getattr(report, each.name) for each in fields(report) if each.compare}
