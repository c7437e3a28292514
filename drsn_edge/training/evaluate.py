"""What the held-out windows say about a model that was just trained."""

from __future__ import annotations

from typing import Any

from drsn_edge.judging.conditions import noise_conditions, with_noise
from drsn_edge.judging.metrics import figures, judge
from drsn_edge.training.train import Training, predict_logits

TEST_SNRS_DB = (0.0, -4.0)
"""SNRs at which each model is judged, with each kind of noise, besides the clean recordings."""


def evaluate(training: Training) -> dict[str, Any]:
    """Return the held-out metrics, clean and with noise (fixed by the seed), as plain JSON values."""
    held_out, seed = training.held_out, training.settings.seed
    conditions = {"clean": held_out.windows} | {
        str(condition): with_noise(held_out.windows, condition, seed) for condition in noise_conditions(TEST_SNRS_DB)
    }
    results = {}
    for name, windows in conditions.items():
        logits = predict_logits(training.model, windows, training.contract)
        judgement = judge(logits, held_out.labels, len(training.labels))
        results[name] = {**figures(judgement), "confusion": judgement.confusion.tolist()}
    return {
        "split": training.split.rule,
        "labels": list(training.labels),
        "held_out_windows": len(held_out),
        "held_out": results,
        "epochs": [vars(report) for report in training.history],
    }
