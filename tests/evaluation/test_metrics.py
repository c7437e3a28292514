from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from sklearn import metrics as sk

from drsn_edge.errors import DrsnEdgeError
from drsn_edge.evaluation.metrics import (
    all_figures,
    calibration_bins,
    confusion_matrix,
    expected_calibration_error,
    judge,
    macro_auroc,
    scores,
    wilson_interval,
)
from drsn_edge.runtime.classifier import softmax


def some_logits(n: int = 300, n_classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    return (rng.normal(size=(n, n_classes)) + 1.2 * np.eye(n_classes)[labels]).astype(np.float32), labels


def counted(confusion: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and predictions that give these counts."""
    pairs = [(true, named) for true, row in enumerate(confusion) for named, n in enumerate(row) for _ in range(n)]
    labels, predicted = np.array(pairs).T
    return labels, predicted


def test_confusion_matrix_has_true_rows_and_predicted_columns() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 2, 0]), 4)
    np.testing.assert_array_equal(matrix, [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]])


def test_scores_by_hand() -> None:
    """Class 0: recall 8/10, precision 8/9; class 1: recall 1/2, precision 1/3."""
    result = scores(*counted([[8, 2], [1, 1]]))
    assert result["accuracy"] == pytest.approx(9 / 12)
    assert result["balanced_accuracy"] == pytest.approx((0.8 + 0.5) / 2)
    f1 = [2 * 0.8 * (8 / 9) / (0.8 + 8 / 9), 2 * 0.5 * (1 / 3) / (0.5 + 1 / 3)]
    assert result["macro_f1"] == pytest.approx(sum(f1) / 2)


def test_a_class_that_does_not_occur_does_not_count() -> None:
    assert scores(*counted([[4, 0, 0], [0, 4, 0], [0, 0, 0]])) == {
        "accuracy": 1.0, "balanced_accuracy": 1.0, "macro_f1": 1.0,
    }  # fmt: skip
    assert scores(*counted([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))["balanced_accuracy"] == pytest.approx(0.875)


def test_a_class_that_is_predicted_and_does_not_occur_costs_the_others() -> None:
    result = scores(*counted([[3, 0, 1], [0, 4, 0], [0, 0, 0]]))
    assert result == {"accuracy": 7 / 8, "balanced_accuracy": 0.875, "macro_f1": pytest.approx((6 / 7 + 1) / 2)}


def test_a_class_never_predicted_scores_nothing() -> None:
    assert scores(*counted([[4, 0], [4, 0]])) == {
        "accuracy": 0.5, "balanced_accuracy": 0.5, "macro_f1": pytest.approx(1 / 3),
    }  # fmt: skip


def test_figures_agree_with_scikit_learn() -> None:
    logits, labels = some_logits()
    result, predicted = judge(logits, labels, 4), logits.argmax(axis=1)
    assert result.windows == 300
    np.testing.assert_array_equal(result.confusion, sk.confusion_matrix(labels, predicted))
    assert result.accuracy == pytest.approx(sk.accuracy_score(labels, predicted))
    assert result.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert result.macro_f1 == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
    assert result.auroc == pytest.approx(sk.roc_auc_score(labels, softmax(logits), multi_class="ovr"))
    assert 0.5 < result.accuracy < 0.95  # or the agreement would prove little


def test_the_temperature_changes_probabilities_and_no_class() -> None:
    logits, labels = some_logits()
    cold, warm = judge(logits, labels, 4), judge(logits, labels, 4, 4.0)
    assert warm.accuracy == cold.accuracy and warm.calibration != cold.calibration
    assert warm.calibration == judge((logits / 4).astype(np.float32), labels, 4).calibration


def test_auroc_by_hand() -> None:
    """Class 0 ranks 3 of its 4 pairs right; with two classes the other one does as well."""
    first = np.array([0.9, 0.4, 0.6, 0.1])
    assert macro_auroc(np.stack([first, 1 - first], axis=1), np.array([0, 0, 1, 1])) == pytest.approx(0.75)


def test_auroc_leaves_out_classes_that_do_not_occur_and_is_undefined_for_one() -> None:
    logits, labels = some_logits()
    wider = np.concatenate([logits, np.full((300, 1), -50, np.float32)], axis=1)
    assert macro_auroc(softmax(wider), labels) == pytest.approx(macro_auroc(softmax(logits), labels))
    assert judge(logits, np.zeros(300, np.int64), 4).auroc is None


def test_calibration_by_hand() -> None:
    """Two windows at 0.65 (one right), one at 1.0 (right): 2/3 * |0.65 - 0.5| + 1/3 * 0."""
    bins = calibration_bins(np.array([0.65, 0.65, 1.0]), np.array([True, False, True]))
    assert len(bins) == 15
    assert [(n, each.count) for n, each in enumerate(bins) if each.count] == [(9, 2), (14, 1)]
    assert (bins[9].above, bins[9].up_to) == (pytest.approx(0.6), pytest.approx(2 / 3))
    assert (bins[9].confidence, bins[9].accuracy) == (pytest.approx(0.65), 0.5)
    assert (bins[0].confidence, bins[0].accuracy) == (None, None)
    assert expected_calibration_error(bins) == pytest.approx(0.1)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    edges = np.linspace(0, 1, 16)[1:]
    assert [each.count for each in calibration_bins(edges, np.ones(15, bool))] == [1] * 15


def test_a_sure_and_right_model_is_calibrated_and_a_sure_and_wrong_one_is_not() -> None:
    logits = np.float32(100) * np.eye(3, dtype=np.float32)
    assert judge(logits, np.array([0, 1, 2]), 3).expected_calibration_error == pytest.approx(0.0)
    assert judge(logits, np.array([1, 2, 0]), 3).expected_calibration_error == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (8, 10, 0.490162, 0.943318),  # (0.8 + 0.19207 -+ 1.95996 * sqrt(0.016 + 0.0096036)) / 1.384146
        (0, 10, 0.0, 0.277533),  # z^2 / (n + z^2)
        (10, 10, 0.722467, 1.0),
        (1, 1, 0.206549, 1.0),
    ],
)
def test_wilson_by_hand(hits: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(hits, trials) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_stays_a_share(counts: tuple[int, int]) -> None:
    hits, trials = counts
    low, high = wilson_interval(hits, trials)
    assert 0 <= low <= hits / trials <= high <= 1 and low < high
    mirrored = wilson_interval(trials - hits, trials)
    assert (1 - mirrored[1], 1 - mirrored[0]) == (pytest.approx(low), pytest.approx(high))


def test_figures_are_plain_json_values() -> None:
    values = all_figures(judge(*some_logits(), 4))
    assert json.loads(json.dumps(values)) == values
    assert sum(each["count"] for each in values["calibration"]) == 300


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_refused(value: float) -> None:
    logits, labels = some_logits()
    logits[3, 1] = value
    with refused(DrsnEdgeError, "logits_not_finite", count=1, windows=len(logits)):
        judge(logits, labels, 4)
