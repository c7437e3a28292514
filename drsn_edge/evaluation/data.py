"""The windows that a model is judged on: those that a run held out, or those of other recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from drsn_edge.datasets.labels import check_labelled
from drsn_edge.datasets.span import Span
from drsn_edge.datasets.split import field_of, matches
from drsn_edge.datasets.windows import WindowSet, cut_spans
from drsn_edge.errors import ContractError, DrsnEdgeError, RecordingError, TrainingError
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.contract import SignalContract, stream_factor
from drsn_edge.support.wording import counted
from drsn_edge.training.run_folder import RunRecord

SHARED_SAMPLES = (
    "This split was allowed to put the same samples into training and into the held-out part: these figures say "
    "nothing about data that the network has not seen."
)
UNKNOWN_TRAINING = (
    "It cannot be known from here whether the model was trained on these recordings. If it was, these figures say "
    "nothing about others."
)
UNKNOWN_RUN = (
    "A bundle does not say which run it was made from. Contract and classes are those of this run; if it was made from "
    "another, the windows may have been in its training."
)


@dataclass(frozen=True)
class EvaluationData:
    """Labelled windows, and what people must know of them.

    Attributes:
        windows: At least one.
        source: Folder that they came from.
        rule: The split rule or the choice of recordings, as typed; empty for all recordings of a folder.
        rule_in_words: The same for the report.
        warnings: What makes the figures say less than they seem to, in sentences.
    """

    windows: WindowSet
    source: str
    rule: str
    rule_in_words: str
    warnings: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """Return what is known of the windows as plain JSON values."""
        return {
            "source": self.source,
            "rule": self.rule,
            "rule_in_words": self.rule_in_words,
            "windows": len(self.windows),
            "recordings": len(np.unique(self.windows.recordings)),
            "warnings": list(self.warnings),
        }


def held_out_data(run: RunRecord, folder: Path) -> EvaluationData:
    """Return the held-out windows of a run.

    Args:
        run: Read from the folder.
        folder: As the user named it.

    Raises:
        TrainingError: If the configuration does not say how the recordings were split.
    """
    settings = run.config.get("settings", {})
    if "hold_out" not in settings:
        raise TrainingError(f"Expected a whole run folder in {folder}, got one without hold_out. Train again.")
    rule, shares_samples = settings["hold_out"], bool(settings.get("allow_leaks"))
    return EvaluationData(
        windows=run.held_out,
        source=str(folder),
        rule=rule,
        rule_in_words=rule_in_words(rule, shares_samples=shares_samples),
        warnings=(SHARED_SAMPLES,) if shares_samples else (),
    )


def with_warning(data: EvaluationData, warning: str) -> EvaluationData:
    """Return the data with one more warning."""
    return replace(data, warnings=(*data.warnings, warning))


def rule_in_words(rule: str, *, shares_samples: bool) -> str:
    """Say in a sentence what a split rule held out and, unless the sides share samples, what the network saw."""
    name, _, value = rule.partition("=")
    what, seen = {
        "time": (f"the last part of each recording, a share of {value}", "what came before"),
        "windows": (f"a random share of {value} of all windows", "other windows of the same recordings"),
    }.get(name, (f"what {rule} chooses", "none of it"))
    return f"Held out is {what}." if shares_samples else f"Held out is {what}; the network saw {seen}."


def recordings_data(
    recordings: Sequence[Recording], folder: Path, only: str | None, contract: SignalContract, labels: Sequence[str]
) -> EvaluationData:
    """Cut every window of recordings, none overlapping another, and check that the model can judge them.

    Args:
        recordings: Of one folder.
        folder: Where they came from.
        only: `FIELD=VALUE` that chooses some of them, or None for all.
        contract: What the model was trained on. Units that convert are converted.
        labels: The model's classes.

    Raises:
        RecordingError: If none is chosen, or one has no label or is shorter than a window.
        ContractError: If rate, axes or unit do not fit, or a label is none of the model's.
    """
    chosen = choose(recordings, only) if only else list(recordings)
    check_labelled(chosen, RecordingError)
    for recording in chosen:
        _check_recording(recording, contract, labels)
    spans = [Span(_in_unit_of(contract, recording), 0, len(recording.samples)) for recording in chosen]
    words = f"Judged is every window of {counted(len(chosen), 'recording')}"
    return EvaluationData(
        windows=cut_spans(spans, labels, contract.window, contract.window),
        source=str(folder),
        rule=only or "",
        rule_in_words=f"{words} with {only}." if only else f"{words}.",
        warnings=(UNKNOWN_TRAINING,),
    )


def choose(recordings: Sequence[Recording], only: str) -> list[Recording]:
    """Return the recordings that `FIELD=VALUE` chooses.

    Raises:
        RecordingError: If it is no such text, or chooses none.
        SplitError: If a recording lacks the field.
    """
    name, equals, value = only.partition("=")
    if not (name and equals and value):
        raise RecordingError(f"Expected --only FIELD=VALUE, got {only!r}.")
    values = [field_of(recording, name) for recording in recordings]
    chosen = [recording for recording, found in zip(recordings, values, strict=True) if matches(found, value)]
    if not chosen:
        found = ", ".join(sorted({str(each) for each in values}))
        raise RecordingError(f"Expected a recording with {only}, got {name} = {found}. Choose one of them.")
    return chosen


def _check_recording(recording: Recording, contract: SignalContract, labels: Sequence[str]) -> None:
    if recording.label not in labels:
        raise ContractError(
            f"Expected a label that the model knows ({', '.join(labels)}), got {recording.label} in {recording.name}. "
            "Leave it out with --only, or name it otherwise in catalogue.toml."
        )
    if len(recording.samples) < contract.window:
        raise RecordingError(
            f"Expected at least one window of {contract.window} samples, got {len(recording.samples)} in "
            f"{recording.name}. Leave it out with --only."
        )


def _in_unit_of(contract: SignalContract, recording: Recording) -> Recording:
    try:
        factor = stream_factor(contract, recording.sample_rate_hz, recording.axes, recording.unit, source="recording")
    except DrsnEdgeError as exc:
        raise ContractError(f"{recording.name} does not fit the model: {exc}") from exc
    return replace(recording, samples=recording.samples * np.float32(factor), unit=contract.unit)
