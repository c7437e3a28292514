"""Figures from logits and labels: pure functions of arrays.

scikit-learn (extra `train`) counts and scores. It is imported inside the functions, because `inspect` on a gateway uses
a page of this room and has no scikit-learn.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import DrsnEdgeError
from drsn_edge.runtime.classifier import softmax
from drsn_edge.signal.windows import FloatArray

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class CalibrationBin:
    """The windows with a confidence above `above` and up to `up_to`; confidence and accuracy are None without any."""

    above: float
    up_to: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Judgement:
    """The figures of one model on one set of windows.

    Attributes:
        windows: Number of windows.
        accuracy: Share of windows that were classified correctly.
        accuracy_interval_95: Wilson's 95 % confidence interval of the accuracy, as if windows were independent.
        balanced_accuracy: Recall averaged over the classes that occur.
        macro_f1: F1 averaged over the classes that occur.
        auroc: Area under the ROC curve, each class against the rest, averaged over the classes that occur; None if only
            one occurs.
        expected_calibration_error: Mean difference of confidence and accuracy over the bins, weighted by their windows.
        calibration: The bins in order of rising confidence.
        confusion: Confusion matrix, row = true class, column = predicted class, shape (n_classes, n_classes).
        named: Index of the predicted class of each window, shape (windows,).
    """

    windows: int
    accuracy: float
    accuracy_interval_95: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    auroc: float | None
    expected_calibration_error: float
    calibration: tuple[CalibrationBin, ...]
    confusion: NDArray[np.int64]
    named: NDArray[np.int64]


def judge(logits: FloatArray, labels: NDArray[np.int64], n_classes: int, temperature: float = 1.0) -> Judgement:
    """Return every figure of logits, shape (n, n_classes), for class indices, shape (n,), n >= 1.

    Probabilities are those of the logits divided by `temperature`.

    Raises:
        DrsnEdgeError: If a logit is not finite.
    """
    if not np.isfinite(logits).all():
        count = int((~np.isfinite(logits)).any(axis=1).sum())
        raise DrsnEdgeError(
            f"The model gives NaN or infinite logits for {count} of {len(logits)} windows. Check the recordings for "
            "outliers, or train again.",
            "logits_not_finite",
            count=count,
            windows=len(logits),
        )
    probabilities = softmax(logits, temperature)
    predicted = logits.argmax(axis=1)
    calibration = calibration_bins(probabilities.max(axis=1), predicted == labels)
    return Judgement(
        windows=len(labels),
        accuracy_interval_95=wilson_interval(int((predicted == labels).sum()), len(labels)),
        auroc=macro_auroc(probabilities, labels),
        expected_calibration_error=expected_calibration_error(calibration),
        calibration=calibration,
        confusion=confusion_matrix(labels, predicted, n_classes),
        named=predicted,
        **scores(labels, predicted),
    )


def figures(judgement: Judgement) -> dict[str, Any]:
    """Return the figures that are one number, and the interval of the accuracy, as plain JSON values."""
    return {
        "accuracy": judgement.accuracy,
        "accuracy_interval_95": list(judgement.accuracy_interval_95),
        "balanced_accuracy": judgement.balanced_accuracy,
        "macro_f1": judgement.macro_f1,
        "auroc": judgement.auroc,
        "expected_calibration_error": judgement.expected_calibration_error,
    }


def all_figures(judgement: Judgement) -> dict[str, Any]:
    """Return all figures as plain JSON values."""
    return {
        **figures(judgement),
        "calibration": [asdict(each) for each in judgement.calibration],
        "confusion": judgement.confusion.tolist(),
    }


def confusion_matrix(labels: NDArray[np.int64], predicted: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """Return the confusion matrix, row = true class, column = predicted class, shape (n_classes, n_classes)."""
    from sklearn.metrics import confusion_matrix as counts

    return np.asarray(counts(labels, predicted, labels=np.arange(n_classes)), np.int64)


def scores(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[str, float]:
    """Return accuracy, and recall and F1 averaged over the classes that occur."""
    from sklearn.metrics import precision_recall_fscore_support

    of_classes = {"labels": np.unique(labels), "average": "macro", "zero_division": 0.0}
    _, recall, f1, _ = precision_recall_fscore_support(labels, predicted, **of_classes)
    accuracy = float(np.mean(labels == predicted))
    return {"accuracy": accuracy, "balanced_accuracy": float(recall), "macro_f1": float(f1)}


def macro_auroc(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    """Return the area under the ROC curve, each class that occurs against the rest, averaged; None for one class."""
    from sklearn.metrics import roc_auc_score

    seen = np.unique(labels)
    if len(seen) < 2:
        return None
    return float(np.mean([roc_auc_score(labels == each, probabilities[:, each]) for each in seen]))


def calibration_bins(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[CalibrationBin, ...]:
    """Return `CALIBRATION_BINS` bins of equal width from 0 to 1.

    scikit-learn's `calibration_curve` is not used: it leaves out empty bins and does not return the number of windows
    in a bin, which the calibration error needs.

    Args:
        confidence: Probability of the predicted class, shape (n,).
        right: Whether the predicted class is the true class, shape (n,).
    """
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    places = np.digitize(confidence, edges[1:-1], right=True)
    return tuple(
        _bin(above, up_to, confidence[places == place], right[places == place])
        for place, (above, up_to) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    )


def _bin(above: float, up_to: float, confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> CalibrationBin:
    if not len(right):
        return CalibrationBin(above, up_to, 0, None, None)
    return CalibrationBin(above, up_to, len(right), float(confidence.mean()), float(right.mean()))


def expected_calibration_error(bins: tuple[CalibrationBin, ...]) -> float:
    """Return the mean difference of confidence and accuracy over the bins, weighted by their windows.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3.
    """
    gaps = sum(each.count * abs((each.confidence or 0.0) - (each.accuracy or 0.0)) for each in bins)
    return gaps / sum(each.count for each in bins)


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share; it stays within 0 and 1 and has a width even there.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    from scipy.stats import binomtest

    interval = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    return min(hits / trials, float(interval.low)), max(
        hits / trials, float(interval.high)
    )  # rounding may exceed the share
