"""Splits of recordings into spans for training, validation and the held-out test. Windows are cut afterwards.

A span is a stretch of one recording. Spans of different sides never overlap: `refuse_leaks` checks it for every split,
by the samples themselves, so that a copy of a file under another name counts as the same recording.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from drsn_edge.errors import SplitError
from drsn_edge.recordings.recording import FieldValue, Recording
from drsn_edge.signal import window_starts

VALIDATION_SHARE = 0.15
"""Share of the training time that is kept to watch the training, at the end of each training recording."""


@dataclass(frozen=True)
class Span:
    """Samples `start` up to, not including, `stop` of one recording."""

    recording: Recording
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class HoldOut:
    """What `--hold-out` asks for.

    Attributes:
        kind: "field" (recordings whose `name` equals `value`), "time" (the last share of each recording) or "windows"
            (a random share of all windows, as in papers that shuffle).
        name: The field's name; empty for the other kinds.
        value: The field's value as typed, or the share between 0 and 1.
    """

    kind: str
    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name or self.kind}={self.value}"


@dataclass(frozen=True)
class Split:
    """Spans on the three sides, and the rule that made them."""

    train: tuple[Span, ...]
    validation: tuple[Span, ...]
    held_out: tuple[Span, ...]
    rule: str
    labels: tuple[str, ...] = field(default=())


def parse_hold_out(text: str) -> HoldOut:
    """Return what `FIELD=VALUE`, `time=SHARE` or `windows=SHARE` asks for.

    Raises:
        SplitError: If the text is none of these.
    """
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise SplitError(f"Expected --hold-out FIELD=VALUE, time=SHARE or windows=SHARE, got {text!r}.")
    if name not in ("time", "windows"):
        return HoldOut("field", name, value)
    try:
        share = float(value)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise SplitError(f"Expected a share between 0 and 1 in --hold-out {name}=SHARE, got {value!r}.")
    return HoldOut(name, "", value)


def make_split(
    recordings: Sequence[Recording], hold_out: HoldOut, window: int, hop: int, rng: np.random.Generator
) -> Split:
    """Split recordings as asked, keep some training time for validation, and check the result.

    Args:
        recordings: All with a label, of one rate, axes and unit (see `check_uniform`).
        hold_out: What to keep away from training.
        window: Samples per window: no recording may be shorter.
        hop: Samples between window starts, which matters to `windows=SHARE` only.
        rng: Draws the windows of `windows=SHARE`.

    Raises:
        SplitError: If a side is empty, a class is seen in the test only, or the sides share samples.
    """
    check_uniform(recordings, window)
    kept, held_out = _SPLITTERS[hold_out.kind](recordings, hold_out, window, hop, rng)
    if not kept or not held_out:
        raise SplitError(f"Expected recordings on both sides of --hold-out {hold_out}, got {len(kept)} spans to train "
                         f"on and {len(held_out)} to test on.")  # fmt: skip
    train, validation = _keep_validation(kept, window)
    labels = tuple(sorted({span.recording.label or "" for span in train}))
    split = Split(tuple(train), tuple(validation), tuple(held_out), str(hold_out), labels)
    _check_classes(split)
    refuse_leaks(split)
    return split


def check_uniform(recordings: Sequence[Recording], window: int) -> None:
    """Raise SplitError unless there are recordings, labelled, long enough, and alike in rate, axes and unit."""
    if not recordings:
        raise SplitError("Expected recordings to split, got none.")
    first = recordings[0]
    for recording in recordings:
        if recording.label is None:
            raise SplitError(f"Expected a label for {recording.name}, got none. Give it one in catalogue.toml.")
        if len(recording.samples) < window:
            raise SplitError(
                f"Expected at least one window of {window} samples, got {len(recording.samples)} in {recording.name}. "
                "Choose a smaller --window."
            )
        for what in ("sample_rate_hz", "axes", "unit"):
            ours, theirs = getattr(first, what), getattr(recording, what)
            if ours != theirs:
                raise SplitError(
                    f"Expected one {what} for all recordings, got {ours} in {first.name} and {theirs} in "
                    f"{recording.name}. Train on folders of one kind."
                )


def refuse_leaks(split: Split) -> None:
    """Raise SplitError if two sides share samples of one recording, or of two files with the same samples."""
    spans = [(side, span) for side in ("train", "validation", "held_out") for span in getattr(split, side)]
    recordings = {id(span.recording): span.recording for _, span in spans}
    keys = {key: _content_key(recording) for key, recording in recordings.items()}
    ordered = sorted(spans, key=lambda item: (keys[id(item[1].recording)], item[1].start))
    for _, same in groupby(ordered, key=lambda item: keys[id(item[1].recording)]):
        _refuse_overlap(list(same), split.rule)


def _refuse_overlap(spans: list[tuple[str, Span]], rule: str) -> None:
    """Check spans of one recording, sorted by start, against the furthest end seen so far on each other side."""
    furthest: dict[str, Span] = {}
    for side, span in spans:
        for other_side, other in furthest.items():
            if other_side != side and other.stop > span.start:
                raise SplitError(
                    f"The split {rule} puts the same samples on both sides: {other.recording.name} "
                    f"[{other.start}:{other.stop}] in {other_side} and {span.recording.name} "
                    f"[{span.start}:{span.stop}] in {side}. Hold out a field or time, or use a --hop of at least "
                    "one window."
                )
        if side not in furthest or span.stop > furthest[side].stop:
            furthest[side] = span


def _content_key(recording: Recording) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(recording.samples).tobytes()).digest()


def _check_classes(split: Split) -> None:
    unseen = {span.recording.label or "" for span in split.held_out} - set(split.labels)
    if unseen:
        raise SplitError(f"Expected each held-out class in training too, got {', '.join(sorted(unseen))} in the "
                         f"held-out part of {split.rule} only.")  # fmt: skip
    if len(split.labels) < 2:
        raise SplitError(f"Expected at least two classes to tell apart, got {', '.join(split.labels)}.")


def _whole(recordings: Iterable[Recording]) -> list[Span]:
    return [Span(recording, 0, len(recording.samples)) for recording in recordings]


def _by_field(
    recordings: Sequence[Recording], hold_out: HoldOut, window: int, hop: int, rng: np.random.Generator
) -> tuple[list[Span], list[Span]]:
    values = [field_of(recording, hold_out.name) for recording in recordings]
    held = [matches(value, hold_out.value) for value in values]
    if not any(held):
        found = ", ".join(sorted({str(value) for value in values}))
        raise SplitError(f"Expected a recording with {hold_out}, got {hold_out.name} = {found}.")
    return (
        _whole(r for r, out in zip(recordings, held, strict=True) if not out),
        _whole(r for r, out in zip(recordings, held, strict=True) if out),
    )


def field_of(recording: Recording, name: str) -> FieldValue:
    """Return a field of the recording, its group or its name; raise SplitError if it has no such field."""
    known = {**recording.fields, "group": recording.group, "name": recording.name}
    if name not in known:
        raise SplitError(f"Expected a field {name!r} in {recording.name}, got {', '.join(sorted(known))}.")
    return known[name]


def matches(value: FieldValue, text: str) -> bool:
    """Tell whether a field has the value that was typed: as text without regard to case, or as a number."""
    if isinstance(value, (bool, str)):
        return str(value).lower() == text.lower()
    try:
        return float(value) == float(text)
    except ValueError:
        return False


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


_SPLITTERS = {"field": _by_field, "time": _by_time, "windows": _by_windows}


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
