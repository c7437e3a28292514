"""Splits of recordings into spans for training, validation and the hold-out set. Windows are cut afterwards.

A span is a stretch of one recording. Spans of different sides never overlap unless `allow_leaks` is given:
`refuse_leaks` compares the samples of every split, so that a copy of a file under another name counts as the same
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

from drsn_edge.datasets.damage import Damage
from drsn_edge.datasets.labels import check_labelled
from drsn_edge.datasets.leaks import label_doubts, leak_in_words, recordings_of, refuse_leaks, timelines
from drsn_edge.datasets.span import HoldOut, Span, Split
from drsn_edge.errors import DrsnEdgeError, SplitError
from drsn_edge.recordings.recording import FieldValue, Recording
from drsn_edge.signal.windows import window_starts
from drsn_edge.support.palette import HEALTHY_LABELS
from drsn_edge.support.wording import counted

RATE_TOLERANCE = 0.02
"""Largest relative difference of two measured sampling rates in one training: the same as between sensor and model."""

VALIDATION_SHARE = 0.15
"""Share of each training recording, at its end, that is kept for validation."""

_FOLDS_SEED = 0
"""The same seed for every training, so that the folds of one data set fit together."""

_HEALTHY_ALONE = (
    "From recordings of a healthy machine alone, `drsn-edge train` learns without a network: their label must then be "
    f"one of {', '.join(HEALTHY_LABELS)}."
)

_RULES = "FIELD=VALUE, FIELD=VALUE,time=SHARE, fold=K/N, time=SHARE or windows=SHARE"


def parse_hold_out(text: str) -> HoldOut:
    """Parse a rule: FIELD=VALUE, FIELD=VALUE,time=SHARE, fold=K/N, time=SHARE or windows=SHARE.

    Raises:
        SplitError: If the text is not such a rule.
    """
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise _no_rule(text)
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
        raise _no_rule(text)
    return HoldOut("field", name, value, share)


def _no_rule(text: str) -> SplitError:
    return SplitError(f"--hold-out must be {_RULES}, got {text!r}. Correct the rule.", "bad_hold_out", got=text)


def _check_share(text: str, name: str) -> None:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        words = f"The share in --hold-out {name}=SHARE must be a number between 0 and 1, such as 0.3, got {text!r}."
        raise SplitError(f"{words} Correct the share.", "bad_share", rule=name, got=text)


def _check_fold(text: str) -> None:
    numbers = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not numbers or not 1 <= int(numbers[1]) <= int(numbers[2]):
        words = f"--hold-out fold=K/N needs whole numbers with 1 <= K <= N, such as fold=1/5, got {text!r}."
        raise SplitError(f"{words} Correct the numbers.", "bad_fold", got=text)


def make_split(
    recordings: Sequence[Recording],
    hold_out: HoldOut,
    window: int,
    hop: int,
    rng: np.random.Generator,
    *,
    allow_leaks: bool = False,
    validation: bool = True,
    damage: Sequence[Damage] = (),
    least_classes: int = 2,
) -> Split:
    """Split recordings by a rule, keep a share of the training spans for validation, and check the result.

    Args:
        recordings: Labelled recordings with the same sampling rate, axes and unit (see `check_uniform`).
        hold_out: Rule that chooses the hold-out set.
        window: Samples per window; no recording may be shorter.
        hop: Samples between window starts, used by `windows=SHARE` only.
        rng: Draws the windows of `windows=SHARE`.
        allow_leaks: Accept shared samples and describe them in `Split.leak`, as protocols of papers need it.
        validation: Whether to keep spans for validation; if not, all of them are trained on.
        damage: Damage of each recording, whose damaged windows are left out of all sides; empty: nothing is left out.
        least_classes: Fewest classes of the training side: 2 for a network, 1 for references.

    Raises:
        SplitError: If a side is empty, a class is in the hold-out set only, or the sides share samples.
    """
    check_uniform(recordings, window)
    kept, held_out = (
        _sound(side, damage, window) for side in _SPLITTERS[hold_out.kind](recordings, hold_out, window, hop, rng)
    )
    if not kept or not held_out:
        raise _empty_side(hold_out, len(kept), len(held_out))
    train, kept_back = _keep_validation(kept, window) if validation else (kept, [])
    labels = tuple(sorted({span.recording.label or "" for span in train}))
    split = Split(tuple(train), tuple(kept_back), tuple(held_out), str(hold_out), labels, damage=tuple(damage))
    _check_classes(split, least_classes)
    shared = timelines(recordings_of(split))
    split = replace(split, doubts=tuple(label_doubts(shared)))
    if allow_leaks:
        return replace(split, leak=leak_in_words(split, shared))
    refuse_leaks(split, shared)
    return split


def _sound(spans: list[Span], damage: Sequence[Damage], window: int) -> list[Span]:
    """Return the parts of spans without damaged windows."""
    sound = {each.recording: each.sound for each in damage if each.damaged}
    return [
        part
        for span in spans
        for part in (span.within(sound[span.recording.name], window) if span.recording.name in sound else [span])
    ]


def _empty_side(hold_out: HoldOut, train: int, held_out: int) -> SplitError:
    side = "hold-out" if train else "training"
    advice = "Hold out something that fewer recordings have" if side == "training" else "Hold out a larger share"
    return SplitError(
        f"--hold-out {hold_out} leaves the {side} side empty: {train} spans to train on, {held_out} spans held out. "
        f"{advice}, or record more.",
        "empty_side",
        side=side,
        rule=str(hold_out),
        train=train,
        held_out=held_out,
    )


def check_uniform(recordings: Sequence[Recording], window: int) -> None:
    """Raise SplitError unless all recordings have a label, a window's length, and the same rate, axes and unit."""
    check_alike(recordings)
    _check_same(recordings, "sample_rate_hz")
    for recording in recordings:
        if len(recording.samples) < window:
            raise SplitError(
                f"Recording {recording.name} has {len(recording.samples)} samples, fewer than one window of {window} "
                "samples. Choose a smaller --window, or remove the recording.",
                "too_short",
                recording=recording.name,
                got=len(recording.samples),
                window=window,
            )


def check_alike(recordings: Sequence[Recording]) -> None:
    """Raise SplitError unless there are recordings, all with a label, the same axes and the same unit."""
    if not recordings:
        raise SplitError("There are no recordings to split. Name a folder with recordings.", "no_recordings")
    check_labelled(recordings)
    for what in ("axes", "unit"):
        _check_same(recordings, what)


def _check_same(recordings: Sequence[Recording], what: str) -> None:
    first = recordings[0]
    for recording in recordings:
        ours, theirs = getattr(first, what), getattr(recording, what)
        if ours != theirs and not (what == "sample_rate_hz" and abs(theirs / ours - 1) <= RATE_TOLERANCE):
            raise SplitError(
                f"The recordings differ in {what}: {first.name} has {ours}, {recording.name} has {theirs}. Train "
                "on recordings with the same sampling rate, axes and unit.",
                "mixed_recordings",
                what=what,
                recordings=(first.name, recording.name),
                values=(ours, theirs),
            )


def _check_classes(split: Split, least: int) -> None:
    unseen = {span.recording.label or "" for span in split.held_out} - set(split.labels)
    if unseen:
        classes = tuple(sorted(unseen))
        groups = tuple(sorted({span.recording.group for span in split.held_out if span.recording.label in unseen}))
        raise SplitError(
            f"--hold-out {split.rule} leaves no training recording of class {', '.join(classes)}, which only group "
            f"{', '.join(groups)} has. Record the class in another group, or hold out something else, such as "
            "time=0.3.",
            "unseen_class",
            classes=classes,
            groups=groups,
            rule=split.rule,
        )
    if len(split.labels) < least:
        words = f"A network needs at least two classes, but all training recordings are {', '.join(split.labels)}."
        advice = f"Add recordings of another class. {_HEALTHY_ALONE}"
        raise SplitError(f"{words} {advice}", "one_class", classes=split.labels)


def _whole(recordings: Iterable[Recording]) -> list[Span]:
    return [Span(recording, 0, len(recording.samples)) for recording in recordings]


def _by_field(
    recordings: Sequence[Recording], hold_out: HoldOut, window: int, hop: int, rng: np.random.Generator
) -> tuple[list[Span], list[Span]]:
    asked = [r for r in recordings if not hold_out.time_share or hold_out.name in r.known]
    values = [field_of(recording, hold_out.name) for recording in asked]
    held = [matches(value, hold_out.value) for value in values]
    if not any(held):
        found = tuple(sorted({str(value) for value in values}))
        raise no_match(SplitError, hold_out.name, hold_out.value, found)
    before = _whole(r for r, out in zip(asked, held, strict=True) if not out)
    after = _whole(r for r, out in zip(asked, held, strict=True) if out)
    if hold_out.time_share:
        others = [recording for recording in recordings if hold_out.name not in recording.known]
        earlier, later = _by_time(others, HoldOut("time", "", hold_out.time_share), window, hop, rng)
        return before + earlier, after + later
    return before, after


def no_match(error: type[DrsnEdgeError], field: str, value: str, found: tuple[str, ...]) -> DrsnEdgeError:
    """Return an `error` that no recording has the value of a field; `found` are the values that recordings have."""
    if found:
        words = f"No recording has {field}={value}: the values of {field} are {', '.join(found)}. Choose one of them."
    else:
        words = f"No recording has a field {field}. State it in the catalogue, or choose another field."
    return error(words, "no_match", field=field, value=value, values=found)


def field_of(recording: Recording, name: str) -> FieldValue:
    """Return a field of the recording, its group or its name; raise SplitError if it has no such field."""
    if name not in recording.known:
        known = tuple(sorted(recording.known))
        raise SplitError(
            f"Recording {recording.name} has no field {name!r}; its fields are {', '.join(known)}. State {name} in the "
            f"catalogue, or hold out {name}=VALUE,time=SHARE, which splits recordings without {name} by time.",
            "no_field",
            field=name,
            recording=recording.name,
            known=known,
        )
    return recording.known[name]


def matches(value: FieldValue, text: str) -> bool:
    """Tell whether a field has the value that was typed; text is compared without case, numbers as numbers."""
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
    """Return the indices of the recordings of each fold: whole groups, the classes spread as evenly as possible."""
    from sklearn.model_selection import StratifiedGroupKFold  # slow to import, and only the extra `train` installs it

    labels, groups = [recording.label or "" for recording in recordings], [recording.group for recording in recordings]
    most = max(Counter(labels).values())
    if not 2 <= folds <= min(len(set(groups)), most):
        raise SplitError(
            f"--hold-out fold=K/N needs 2 folds or more, and at most as many as there are groups and recordings of a "
            f"class, got {counted(folds, 'fold')} for {counted(len(set(groups)), 'group')} and at most "
            f"{counted(most, 'recording')} of a class. Change the number of folds, or record more.",
            "wrong_folds",
            folds=folds,
            groups=len(set(groups)),
            recordings=most,
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about classes with fewer recordings than folds
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
        name, got = too_short[0].recording.name, len(too_short[0])
        raise SplitError(
            f"--hold-out {hold_out} leaves {got} samples of recording {name} on one side, fewer than one window of "
            f"{window} samples. Choose another share or a smaller --window.",
            "too_short",
            recording=name,
            got=got,
            window=window,
            rule=str(hold_out),
        )
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
    """Cut the end off each span for validation; of the spans too short to cut, take every seventh of each class."""
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
