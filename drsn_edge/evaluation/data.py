"""The windows that a model is evaluated on: the hold-out set of a run, or other recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from drsn_edge.datasets.labels import check_labelled
from drsn_edge.datasets.rates import at_rate, rate_changes
from drsn_edge.datasets.span import Span
from drsn_edge.datasets.split import field_of, matches, no_match
from drsn_edge.datasets.windows import WindowSet, cut_spans
from drsn_edge.errors import ContractError, DrsnEdgeError, RecordingError, TrainingError
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.contract import SignalContract, stream_factor
from drsn_edge.support.wording import counted
from drsn_edge.training.run_folder import RunRecord

SHARED_SAMPLES = (
    "This split may have the same samples in training and in the hold-out set (--allow-leaks): these figures say "
    "nothing about data that the network has not seen."
)
UNKNOWN_TRAINING = (
    "The model may have been trained on these recordings, which cannot be checked here. If so, these figures say "
    "nothing about other recordings."
)
UNKNOWN_RUN = (
    "A bundle does not record the run that it was converted from. Contract and classes match this run, but if the "
    "bundle was converted from another run, these windows may have been part of its training."
)


@dataclass(frozen=True)
class EvaluationData:
    """Labelled windows, with their origin and warnings.

    Attributes:
        windows: Windows, at least one.
        source: Folder of the recordings or of the run.
        rule: Split rule or choice of recordings, as typed; empty for all recordings of a folder.
        rule_in_words: The rule as a sentence, for the report.
        warnings: Sentences about limits to the meaning of the figures.
        rates: Sentences about recordings that were resampled or decimated.
    """

    windows: WindowSet
    source: str
    rule: str
    rule_in_words: str
    warnings: tuple[str, ...]
    rates: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return origin, numbers and warnings as plain JSON values."""
        return {
            "source": self.source,
            "rule": self.rule,
            "rule_in_words": self.rule_in_words,
            "windows": len(self.windows),
            "recordings": len(np.unique(self.windows.recordings)),
            "warnings": list(self.warnings),
            "rates": list(self.rates),
        }


def held_out_data(run: RunRecord, folder: Path) -> EvaluationData:
    """Return the held-out windows of a run.

    Args:
        run: Record of the run.
        folder: Folder of the run as the user named it.

    Raises:
        TrainingError: If the configuration of the run has no split rule.
    """
    settings = run.config.get("settings", {})
    if "hold_out" not in settings:
        words = f"The run folder {folder} is incomplete: its configuration has no hold_out. Train again."
        raise TrainingError(words, "no_hold_out", path=folder)
    rule, shares_samples = settings["hold_out"], bool(settings.get("allow_leaks"))
    return EvaluationData(
        windows=run.held_out,
        source=str(folder),
        rule=rule,
        rule_in_words=rule_in_words(rule, shares_samples=shares_samples),
        warnings=(*((SHARED_SAMPLES,) if shares_samples else ()), *run.metrics.get("doubts", ())),
        rates=tuple(change["in_words"] for change in run.config.get("rates", [])),
    )


def with_warning(data: EvaluationData, warning: str) -> EvaluationData:
    """Return the data with one more warning."""
    return replace(data, warnings=(*data.warnings, warning))


def rule_in_words(rule: str, *, shares_samples: bool) -> str:
    """Return a sentence about the hold-out set and, unless the sides share samples, about the training data."""
    name, _, value = rule.partition("=")
    held_out, seen = {
        "time": (f"the end of each recording, a share of {value}", "on the part before it"),
        "windows": (f"a random share of {value} of all windows", "on other windows of the same recordings"),
    }.get(name, (f"chosen by {rule}", "on none of it"))
    sentence = f"The hold-out set is {held_out}"
    return f"{sentence}." if shares_samples else f"{sentence}; the network was trained {seen}."


def recordings_data(
    recordings: Sequence[Recording], folder: Path, only: str | None, contract: SignalContract, labels: Sequence[str]
) -> EvaluationData:
    """Cut recordings into windows without overlap at the model's rate, and check that the recordings fit the model.

    Args:
        recordings: Recordings of one folder.
        folder: The folder.
        only: `FIELD=VALUE` that chooses some of the recordings; None for all.
        contract: Contract of the model. Units are converted where possible.
        labels: Classes of the model.

    Raises:
        RecordingError: If no recording is chosen, or one has no label or is shorter than a window.
        ContractError: If sampling rate, axes or unit do not fit, or a label is not a class of the model.
    """
    chosen = choose(recordings, only) if only else list(recordings)
    check_labelled(chosen, RecordingError)
    taken = [at_rate(recording, contract.sample_rate_hz, contract.decimation) for recording in chosen]
    for recording in taken:
        _check_recording(recording, contract, labels)
    spans = [Span(_in_unit_of(contract, recording), 0, len(recording.samples)) for recording in taken]
    words = f"The evaluation uses every window of {counted(len(chosen), 'recording')}"
    return EvaluationData(
        windows=cut_spans(spans, labels, contract.window, contract.window),
        source=str(folder),
        rule=only or "",
        rule_in_words=f"{words} with {only}." if only else f"{words}.",
        warnings=(UNKNOWN_TRAINING,),
        rates=tuple(map(str, rate_changes(chosen, taken, contract.sample_rate_hz))),
    )


def choose(recordings: Sequence[Recording], only: str) -> list[Recording]:
    """Return the recordings that `FIELD=VALUE` chooses.

    Raises:
        RecordingError: If the text has another form, or no recording is chosen.
        SplitError: If a recording lacks the field.
    """
    name, equals, value = only.partition("=")
    if not (name and equals and value):
        raise RecordingError(f"--only must be FIELD=VALUE, such as load=3, got {only!r}.", "bad_only", got=only)
    values = [field_of(recording, name) for recording in recordings]
    chosen = [recording for recording, found in zip(recordings, values, strict=True) if matches(found, value)]
    if not chosen:
        raise no_match(RecordingError, name, value, tuple(sorted({str(each) for each in values})))
    return chosen


def _check_recording(recording: Recording, contract: SignalContract, labels: Sequence[str]) -> None:
    if recording.label not in labels:
        raise ContractError(
            f"The label {recording.label} of recording {recording.name} is not a class of the model "
            f"({', '.join(labels)}). Leave the recording out with --only, or change its label in catalogue.toml.",
            "unknown_label",
            label=recording.label,
            recording=recording.name,
            known=tuple(labels),
        )
    if len(recording.samples) < contract.window:
        raise RecordingError(
            f"Recording {recording.name} has {len(recording.samples)} samples, fewer than one window of "
            f"{contract.window} samples. Leave it out with --only.",
            "too_short",
            recording=recording.name,
            got=len(recording.samples),
            window=contract.window,
        )


def _in_unit_of(contract: SignalContract, recording: Recording) -> Recording:
    try:
        factor = stream_factor(contract, recording.sample_rate_hz, recording.axes, recording.unit, source="recording")
    except DrsnEdgeError as exc:
        words = f"Recording {recording.name} does not fit the model: {exc}"
        raise ContractError(words, exc.problem, recording=recording.name, **exc.facts) from exc
    return replace(recording, samples=recording.samples * np.float32(factor), unit=contract.unit)
