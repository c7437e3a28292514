"""What an evaluation found, in sentences and by recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.evaluation.conditions import NoiseCondition
from drsn_edge.evaluation.metrics import Judgement
from drsn_edge.support.wording import counted

_MOST_IN_ONE = 0.5
"""From this share of all errors on, one recording is named as the one to look at first."""
_OVERSTATED = 0.05


@dataclass(frozen=True)
class RecordingErrors:
    """What was named wrong in one recording.

    Attributes:
        recording: Its name.
        label: What it is.
        windows: Of it.
        wrong: How many of them were named otherwise.
        named: The class that was named most often instead; None without errors.
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
        recordings: Name of each window's recording, shape (n,).
        true: Class index of each window, shape (n,).
        named: Likewise, as the model says.
        labels: The classes.
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
    """Return what a reader should take home: how much is right, where the errors are, and what noise costs."""
    return " ".join(
        filter(None, (_right(clean), _where(errors), _weakest(clean, labels), _with_noise(noisy), _confidence(clean)))
    )


def _right(clean: Judgement) -> str:
    low, high = clean.accuracy_interval_95
    share, of_all = f"{clean.accuracy:.1%}", counted(clean.windows, "window")
    return f"{share} of {of_all} were named right ({low:.1%} to {high:.1%} at 95 %)."


def _where(errors: Sequence[RecordingErrors]) -> str:
    wrong = sum(each.wrong for each in errors)
    if not wrong:
        return "No recording has an error."
    within = [each for each in errors if each.wrong]
    worst = max(within, key=lambda each: each.wrong)
    count = f"{len(within)} of {counted(len(errors), 'recording')} {'has' if len(within) == 1 else 'have'} errors"
    share = f"{worst.wrong} of {wrong} in {worst.recording} ({worst.label}, mostly named {worst.named})"
    look = "; look at it first" if worst.wrong >= _MOST_IN_ONE * wrong and len(errors) > 1 else ""
    return f"{count}, {share}{look}."


def _weakest(clean: Judgement, labels: Sequence[str]) -> str:
    of_class = clean.confusion.sum(axis=1)
    recall = np.where(of_class > 0, np.diag(clean.confusion) / np.maximum(of_class, 1), 2.0)
    weakest = int(recall.argmin())
    return (
        "" if recall[weakest] >= 1 else f"The weakest class is {labels[weakest]}: {recall[weakest]:.1%} of it is found."
    )


def _with_noise(noisy: Mapping[NoiseCondition, Judgement]) -> str:
    if not noisy:
        return ""
    condition, worst = min(noisy.items(), key=lambda each: each[1].accuracy)
    return f"The hardest noise, {condition.kind} at {condition.snr_db:g} dB, leaves {worst.accuracy:.1%} right."


def _confidence(clean: Judgement) -> str:
    if clean.expected_calibration_error <= _OVERSTATED:
        return ""
    counted = [each for each in clean.calibration if each.confidence is not None and each.accuracy is not None]
    excess = sum(each.count * ((each.confidence or 0.0) - (each.accuracy or 0.0)) for each in counted)
    word = "overstates" if excess > 0 else "understates"
    return f"The network {word} its confidence by {clean.expected_calibration_error:.1%} on average."
