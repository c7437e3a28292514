"""The result of an evaluation in sentences and by recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.evaluation.conditions import NoiseCondition
from drsn_edge.evaluation.metrics import Judgement
from drsn_edge.support.wording import counted

_MOST_IN_ONE = 0.5
"""Smallest share of all errors in one recording at which the sentence says to check that recording first."""
_OVERSTATED = 0.05
"""Largest calibration error that is not mentioned."""


@dataclass(frozen=True)
class RecordingErrors:
    """Errors in one recording.

    Attributes:
        recording: Name of the recording.
        label: True class.
        windows: Number of windows.
        wrong: Number of misclassified windows.
        named: Class that was predicted most often instead; None without errors.
    """

    recording: str
    label: str
    windows: int
    wrong: int
    named: str | None


def errors_by_recording(
    recordings: NDArray[np.str_], true: NDArray[np.int64], named: NDArray[np.int64], labels: Sequence[str]
) -> tuple[RecordingErrors, ...]:
    """Return the errors of each recording, the largest share first.

    Args:
        recordings: Name of the recording of each window, shape (n,).
        true: Index of the true class of each window, shape (n,).
        named: Index of the predicted class of each window, shape (n,).
        labels: Names of the classes.
    """
    found = []
    for name in np.unique(recordings):
        here = recordings == name
        for label in np.unique(true[here]).tolist():
            others = named[here & (true == label) & (named != label)]
            most = labels[int(np.bincount(others).argmax())] if len(others) else None
            windows = int((here & (true == label)).sum())
            found.append(RecordingErrors(str(name), labels[label], windows, len(others), most))
    return tuple(sorted(found, key=lambda each: (-each.wrong / each.windows, each.recording)))


def judgement_in_words(
    clean: Judgement,
    noisy: Mapping[NoiseCondition, Judgement],
    errors: Sequence[RecordingErrors],
    labels: Sequence[str],
) -> str:
    """Return a summary: accuracy, recordings with errors, the weakest class, the effect of noise, and confidence."""
    return " ".join(
        filter(None, (_right(clean), _where(errors), _weakest(clean, labels), _with_noise(noisy), _confidence(clean)))
    )


def _right(clean: Judgement) -> str:
    low, high = clean.accuracy_interval_95
    share, of_all = f"{clean.accuracy:.1%}", counted(clean.windows, "window")
    verb = "was" if clean.windows == 1 else "were"
    return f"{share} of {of_all} {verb} classified correctly (95 % confidence interval: {low:.1%} to {high:.1%})."


def _where(errors: Sequence[RecordingErrors]) -> str:
    wrong = sum(each.wrong for each in errors)
    if not wrong:
        return "No recording has errors."
    within = [each for each in errors if each.wrong]
    worst = max(within, key=lambda each: each.wrong)
    count = f"{len(within)} of {counted(len(errors), 'recording')} {'has' if len(within) == 1 else 'have'} errors"
    share = f"{worst.wrong} of {wrong} in {worst.recording} ({worst.label}, mostly classified as {worst.named})"
    look = f" Check {worst.recording} first." if worst.wrong >= _MOST_IN_ONE * wrong and len(errors) > 1 else ""
    return f"{count}, {share}.{look}"


def _weakest(clean: Judgement, labels: Sequence[str]) -> str:
    of_class = clean.confusion.sum(axis=1)
    recall = np.where(of_class > 0, np.diag(clean.confusion) / np.maximum(of_class, 1), 2.0)
    weakest = int(recall.argmin())
    return (
        ""
        if recall[weakest] >= 1
        else f"The weakest class is {labels[weakest]} with a recall of {recall[weakest]:.1%}."
    )


def _with_noise(noisy: Mapping[NoiseCondition, Judgement]) -> str:
    if not noisy:
        return ""
    condition, worst = min(noisy.items(), key=lambda each: each[1].accuracy)
    return f"The accuracy is lowest with {condition.kind} noise at {condition.snr_db:g} dB: {worst.accuracy:.1%}."


def _confidence(clean: Judgement) -> str:
    if clean.expected_calibration_error <= _OVERSTATED:
        return ""
    counted = [each for each in clean.calibration if each.confidence is not None and each.accuracy is not None]
    excess = sum(each.count * ((each.confidence or 0.0) - (each.accuracy or 0.0)) for each in counted)
    word = "overstates" if excess > 0 else "understates"
    return f"The network {word} its confidence by {clean.expected_calibration_error:.1%} on average."
