"""Splits of recordings into spans for training, validation and the held-out test. Windows are cut afterwards.

A span is a stretch of one recording. Spans of different sides never overlap unless that was asked for: `refuse_leaks`
checks it for every split, by the samples themselves, so that a copy of a file under another name counts as the same
recording.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.labels import check_labelled
from drsn_edge.datasets.leaks import leak_in_words, refuse_leaks
from drsn_edge.datasets.span import HoldOut, Span, Split
from drsn_edge.errors import SplitError
from drsn_edge.recordings.recording import FieldValue, Recording
from drsn_edge.signal.windows import window_starts

RATE_TOLERANCE = 0.02
"""By which two recordings' measured rates may differ: as much as a sensor's from its model's."""

VALIDATION_SHARE = 0.15
"""Share of the training time that is kept to watch the training, at the end of each training recording."""

_FOLDS_SEED = 0
"""The same for every training, so that the folds of one data set fit together."""

_RULES = "FIELD=VALUE, FIELD=VALUE,time=SHARE, fold=K/N, time=SHARE or windows=SHARE"


def parse_hold_out(text: str) -> HoldOut:
    """Return what one of the rules FIELD=VALUE, FIELD=VALUE,time=SHARE, fold=K/N, time=SHARE or windows=SHARE asks for.

    Raises:
        SplitError: If the text is none of these.
    """
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise SplitError(f"Expected --hold-out {_RULES}, got {text!r}.")
    if name == "fold":
        _check_fold(value)
        return HoldOut(name, "", value)
    if name in ("time", "windows"):
        _check_share(value, name)
        return HoldOut(name, "", value)
    value, otherwise, share = value.partition(",time=")
    if otherwise:
        _check_share(share, "time")
    if not value:
        raise SplitError(f"Expected --hold-out {_RULES}, got {text!r}.")
    return HoldOut("field", name, value, share)


def _check_share(text: str, name: str) -> None:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise SplitError(f"Expected a share between 0 and 1 in --hold-out {name}=SHARE, got {text!r}.")


def _check_fold(text: str) -> None:
    numbers = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not numbers or not 1 <= int(numbers[1]) <= int(numbers[2]):
        raise SplitError(f"Expected --hold-out fold=K/N with whole numbers 1 <= K <= N, such as 1/5, got {text!r}.")


def make_split(
    recordings: Sequence[Recording],
    hold_out: HoldOut,
    window: int,
    hop: int,
    rng: np.random.Generator,
    *,
    allow_leaks: bool = False,
    validation: bool = True,
) -> Split:
    """Split recordings as asked, keep some training time for validation, and check the result.

    Args:
        recordings: All with a label, of one rate, axes and unit (see `check_uniform`).
        hold_out: What to keep away from training.
        window: Samples per window: no recording may be shorter.
        hop: Samples between window starts, which matters to `windows=SHARE` only.
        rng: Draws the windows of `windows=SHARE`.
        allow_leaks: Say in `Split.leak` what the sides share, as papers' protocols do, instead of refusing it.
        validation: Whether to keep any; without, all of it is trained on.

    Raises:
        SplitError: If a side is empty, a class is seen in the test only, or the sides share samples.
    """
    check_uniform(recordings, window)
    kept, held_out = _SPLITTERS[hold_out.kind](recordings, hold_out, window, hop, rng)
    if not kept or not held_out:
        raise SplitError(f"Expected recordings on both sides of --hold-out {hold_out}, got {len(kept)} spans to train "
                         f"on and {len(held_out)} to test on.")  # fmt: skip
    train, kept_back = _keep_validation(kept, window) if validation else (kept, [])
    labels = tuple(sorted({span.recording.label or "" for span in train}))
    split = Split(tuple(train), tuple(kept_back), tuple(held_out), str(hold_out), labels)
    _check_classes(split)
    if allow_leaks:
        return replace(split, leak=leak_in_words(split))
    refuse_leaks(split)
    return split


def check_uniform(recordings: Sequence[Recording], window: int) -> None:
    """Raise SplitError unless there are recordings, labelled, long enough, and alike in rate, axes and unit."""
    if not recordings:
        raise SplitError("Expected recordings to split, got none.")
    check_labelled(recordings)
    first = recordings[0]
    for recording in recordings:
        if len(recording.samples) < window:
            raise SplitError(
                f"Expected at least one window of {window} samples, got {len(recording.samples)} in {recording.name}. "
                "Choose a smaller --window."
            )
        for what in ("sample_rate_hz", "axes", "unit"):
            ours, theirs = getattr(first, what), getattr(recording, what)
            if ours != theirs and not (what == "sample_rate_hz" and abs(theirs / ours - 1) <= RATE_TOLERANCE):
                raise SplitError(
                    f"Expected one {what} for all recordings, got {ours} in {first.name} and {theirs} in "
                    f"{recording.name}. Train on folders of one kind."
                )


def _check_classes(split: Split) -> None:
    unseen = {span.recording.label or "" for span in split.held_out} - set(split.labels)
    if unseen:
        groups = {span.recording.group for span in split.held_out if span.recording.label in unseen}
        raise SplitError(
            f"Expected each held-out class in training too, got {', '.join(sorted(unseen))} in the held-out part of "
            f"{split.rule} only, in group {', '.join(sorted(groups))}. Record it in another group too, or hold out "
            "something else, such as time=0.3."
        )
    if len(split.labels) < 2:
        raise SplitError(f"Expected at least two classes to tell apart, got {', '.join(split.labels)}.")


def _whole(recordings: Iterable[Recording]) -> list[Span]:
    return [Span(recording, 0, len(recording.samples)) for recording in recordings]


def _by_field(
    recordings: Sequence[Recording], hold_out: HoldOut, window: int, hop: int, rng: np.random.Generator
) -> tuple[list[Span], list[Span]]:
    asked = [r for r in recordings if not hold_out.time_share or hold_out.name in r.known]
    values = [field_of(recording, hold_out.name) for recording in asked]
    held = [matches(value, hold_out.value) for value in values]
    if not any(held):
        found = ", ".join(sorted({str(value) for value in values})) or "nowhere"
        raise SplitError(f"Expected a recording with {hold_out.name}={hold_out.value}, got {hold_out.name} = {found}.")
    before = _whole(r for r, out in zip(asked, held, strict=True) if not out)
    after = _whole(r for r, out in zip(asked, held, strict=True) if out)
    if hold_out.time_share:
        others = [recording for recording in recordings if hold_out.name not in recording.known]
        earlier, later = _by_time(others, HoldOut("time", "", hold_out.time_share), window, hop, rng)
        return before + earlier, after + later
    return before, after


def field_of(recording: Recording, name: str) -> FieldValue:
    """Return a field of the recording, its group or its name; raise SplitError if it has no such field."""
    if name not in recording.known:
        raise SplitError(
            f"Expected a field {name!r} in {recording.name}, got {', '.join(sorted(recording.known))}. To split "
            f"recordings without it by time, hold out {name}=VALUE,time=SHARE."
        )
    return recording.known[name]


def matches(value: FieldValue, text: str) -> bool:
    """Tell whether a field has the value that was typed: as text without regard to case, or as a number."""
    if isinstance(value, (bool, str)):
        return str(value).lower() == text.lower()
    try:
        return float(value) == float(text)
    except ValueError:
        return False


def _by_fold(
    recordings: Sequence[Recording], hold_out: HoldOut, window: int, hop: int, rng: np.random.Generator
) -> tuple[list[Span], list[Span]]:
    number, folds = (int(part) for part in hold_out.value.split("/"))
    chosen = set(_folds(recordings, folds)[number - 1].tolist())
    return (
        _whole(recording for index, recording in enumerate(recordings) if index not in chosen),
        _whole(recording for index, recording in enumerate(recordings) if index in chosen),
    )


def _folds(recordings: Sequence[Recording], folds: int) -> list[NDArray[np.int64]]:
    """Return the recordings' indices of each fold: whole groups, the classes spread as evenly as they allow."""
    from sklearn.model_selection import StratifiedGroupKFold  # of the extra `train`, and slow to import

    labels, groups = [recording.label or "" for recording in recordings], [recording.group for recording in recordings]
    most = max(Counter(labels).values())
    if not 2 <= folds <= min(len(set(groups)), most):
        raise SplitError(
            f"Expected from 2 folds to as many as there are groups and recordings of a class, got {folds} folds, "
            f"{len(set(groups))} groups, and at most {most} recordings of a class. Use fewer folds, or record more."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes rarer than folds: `make_split` checks what counts
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=_FOLDS_SEED)
        return [held_out for _, held_out in splitter.split(labels, labels, groups)]


def _by_time(
    recordings: Sequence[Recording], hold_out: HoldOut, window: int, hop: int, rng: np.random.Generator
) -> tuple[list[Span], list[Span]]:
    cuts = [round(len(recording.samples) * (1 - float(hold_out.value))) for recording in recordings]
    before = [Span(recording, 0, cut) for recording, cut in zip(recordings, cuts, strict=True)]
    after = [Span(recording, cut, len(recording.samples)) for recording, cut in zip(recordings, cuts, strict=True)]
    too_short = [span for span in (*before, *after) if len(span) < window]
    if too_short:
        raise SplitError(f"Expected at least one window of {window} samples on each side of {hold_out}, got "
                         f"{len(too_short[0])} in {too_short[0].recording.name}.")  # fmt: skip
    return before, after


def _by_windows(
    recordings: Sequence[Recording], hold_out: HoldOut, window: int, hop: int, rng: np.random.Generator
) -> tuple[list[Span], list[Span]]:
    spans = [
        Span(recording, int(start), int(start) + window)
        for recording in recordings
        for start in window_starts(len(recording.samples), window, hop)
    ]
    held = rng.random(len(spans)) < float(hold_out.value)
    kept = [span for span, out in zip(spans, held, strict=True) if not out]
    return kept, [span for span, out in zip(spans, held, strict=True) if out]


_SPLITTERS = {"field": _by_field, "fold": _by_fold, "time": _by_time, "windows": _by_windows}


def _keep_validation(spans: list[Span], window: int) -> tuple[list[Span], list[Span]]:
    """Cut the end off each span for validation; of a class's spans too short to cut, take every seventh whole."""
    train, validation = [], []
    short = Counter[str | None]()
    for span in spans:
        tail = max(window, round(len(span) * VALIDATION_SHARE))
        if len(span) >= tail + window:
            train.append(Span(span.recording, span.start, span.stop - tail))
            validation.append(Span(span.recording, span.stop - tail, span.stop))
        else:
            short[span.recording.label] += 1
            (validation if short[span.recording.label] % 7 == 0 else train).append(span)
    return train, validation
