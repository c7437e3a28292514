"""What the held-out windows say about a model."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.noise import NOISE_KINDS, add_noise
from drsn_edge.training.history import EpochReport, best_epoch, step_share
from drsn_edge.training.train import Training, predict_classes

TEST_SNRS_DB = (0.0, -4.0)
"""SNRs at which each model is judged, with each kind of noise, besides the clean recordings."""


def confusion_matrix(labels: NDArray[np.int64], predicted: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """Return counts, row = true class, column = predicted class, shape (n_classes, n_classes)."""
    counts = np.bincount(labels * n_classes + predicted, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


def scores(confusion: NDArray[np.int64]) -> dict[str, float]:
    """Return accuracy, and recall and F1 averaged over the classes that occur."""
    hits = np.diag(confusion).astype(float)
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    seen = true > 0
    recall = hits[seen] / true[seen]
    f1 = 2 * hits[seen] / (true[seen] + predicted[seen])
    return {
        "accuracy": float(hits.sum() / true.sum()),
        "balanced_accuracy": float(recall.mean()),
        "macro_f1": float(f1.mean()),
    }


def evaluate(training: Training) -> dict[str, Any]:
    """Return the held-out metrics, clean and with noise (fixed by the seed), as plain JSON values."""
    held_out = training.held_out
    rng = np.random.default_rng(training.settings.seed)
    conditions = {"clean": held_out} | {
        f"{kind}_{snr:g}_db": replace(held_out, windows=add_noise(held_out.windows, snr, rng, kind))
        for kind in NOISE_KINDS
        for snr in TEST_SNRS_DB
    }
    results = {}
    for name, windows in conditions.items():
        predicted = predict_classes(training.model, windows, training.contract)
        confusion = confusion_matrix(held_out.labels, predicted, len(training.labels))
        results[name] = {**scores(confusion), "confusion": confusion.tolist()}
    return {
        "split": training.split.rule,
        "leak": training.split.leak,
        "remark": training.split.remark,
        "labels": list(training.labels),
        "held_out_windows": len(held_out),
        "held_out": results,
        "epochs": [_without_times(report) for report in training.history],
        "kept_epoch": best_epoch(training.history) if training.settings.patience else training.history[-1].epoch,
        "step_share": step_share(training.history),
    }


def _without_times(report: EpochReport) -> dict[str, Any]:
    """Return what is the same each time that a training is repeated; the times are in the log."""
    return {each.name: getattr(report, each.name) for each in fields(report) if each.compare}
