from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from drsn_edge.noise import NOISE_KINDS
from drsn_edge.training import evaluate as evaluate_module
from drsn_edge.training.evaluate import confusion_matrix, evaluate, scores


def test_confusion_matrix_has_true_rows_and_predicted_columns() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 2, 0]), 4)
    np.testing.assert_array_equal(matrix, [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]])


def test_scores_by_hand() -> None:
    """Class 0: recall 8/10, precision 8/9; class 1: recall 1/2, precision 1/3."""
    result = scores(np.array([[8, 2], [1, 1]]))
    assert result["accuracy"] == pytest.approx(9 / 12)
    assert result["balanced_accuracy"] == pytest.approx((0.8 + 0.5) / 2)
    f1 = [2 * 0.8 * (8 / 9) / (0.8 + 8 / 9), 2 * 0.5 * (1 / 3) / (0.5 + 1 / 3)]
    assert result["macro_f1"] == pytest.approx(sum(f1) / 2)


def test_a_class_that_does_not_occur_does_not_count() -> None:
    assert scores(np.array([[4, 0, 0], [0, 4, 0], [0, 0, 0]])) == {
        "accuracy": 1.0, "balanced_accuracy": 1.0, "macro_f1": 1.0,
    }  # fmt: skip
    assert scores(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))["balanced_accuracy"] == pytest.approx(0.875)


def test_a_class_never_predicted_scores_nothing() -> None:
    assert scores(np.array([[4, 0], [4, 0]])) == {
        "accuracy": 0.5, "balanced_accuracy": 0.5, "macro_f1": pytest.approx(1 / 3),
    }  # fmt: skip


def test_metrics_agree_with_the_confusion_matrices(training: Any, metrics: dict[str, Any]) -> None:
    assert list(metrics["held_out"]) == ["clean", *(f"{kind}_{snr}_db" for kind in NOISE_KINDS for snr in (0, -4))]
    assert metrics["held_out_windows"] == len(training.held_out)
    for result in metrics["held_out"].values():
        confusion = np.array(result["confusion"])
        np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(training.held_out.labels))
        assert result["accuracy"] == np.trace(confusion) / confusion.sum()


def test_metrics_say_what_the_sides_share(training: Any, metrics: dict[str, Any]) -> None:
    assert metrics["leak"] == metrics["remark"] == ""
    leaky = replace(training, split=replace(training.split, leak="Everything.", rule="windows=0.3"))
    assert {key: evaluate(leaky)[key] for key in ("leak", "remark")} == {"leak": "Everything.", "remark": ""}


def test_evaluation_is_the_same_every_time(training: Any, metrics: dict[str, Any]) -> None:
    assert evaluate(training) == metrics


def test_noise_is_added_to_the_windows_before_they_are_scaled(training: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model must see what a noisy sensor would deliver, at the stated SNR."""
    seen = []

    def spy(model: Any, windows: Any, contract: Any) -> Any:
        seen.append(windows.windows)
        return np.zeros(len(windows), np.int64)

    monkeypatch.setattr(evaluate_module, "predict_classes", spy)
    evaluate(SimpleNamespace(**vars(training), labels=training.labels))  # type: ignore[arg-type]
    clean = training.held_out.windows
    np.testing.assert_array_equal(seen[0], clean)
    power = clean.astype(np.float64).var(axis=1).mean(axis=1)
    for windows, snr_db in zip(seen[1:], (0.0, -4.0) * len(NOISE_KINDS), strict=True):
        noise = (windows.astype(np.float64) - clean).var(axis=(1, 2))
        assert 10 * np.log10(np.mean(power / noise)) == pytest.approx(snr_db, abs=0.3)
