from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from drsn_edge.evaluation import after_training as evaluate_module
from drsn_edge.evaluation.after_training import evaluate
from drsn_edge.signal.names import NOISE_KINDS


def test_metrics_agree_with_the_confusion_matrices(training: Any, metrics: dict[str, Any]) -> None:
    assert list(metrics["held_out"]) == ["clean", *(f"{kind}_{snr}_db" for kind in NOISE_KINDS for snr in (-4, 0))]
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
        return np.eye(2, dtype=np.float32)[np.zeros(len(windows), np.int64)]

    monkeypatch.setattr(evaluate_module, "predict_logits", spy)
    evaluate(SimpleNamespace(**vars(training), labels=training.labels))  # type: ignore[arg-type]
    clean = training.held_out.windows
    np.testing.assert_array_equal(seen[0], clean)
    power = clean.astype(np.float64).var(axis=1).mean(axis=1)
    for windows, snr_db in zip(seen[1:], (-4.0, 0.0) * len(NOISE_KINDS), strict=True):
        noise = (windows.astype(np.float64) - clean).var(axis=(1, 2))
        assert 10 * np.log10(np.mean(power / noise)) == pytest.approx(snr_db, abs=0.3)
