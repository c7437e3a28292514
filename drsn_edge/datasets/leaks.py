"""Leaks: samples that are on two sides of a split, even under different names.

Recordings that share samples are placed on one timeline, equal samples at the same position. A leak is an overlap of
two sides on a timeline. Every recording has a timeline, which it shares with its copies. Every stretch that two
recordings have in common, because one was shortened or cut out of the other, has a timeline of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.copies import Shared, shared_stretches
from drsn_edge.datasets.doubts import Doubt
from drsn_edge.datasets.span import Span, Split
from drsn_edge.errors import SplitError
from drsn_edge.recordings.recording import Recording
from drsn_edge.support.wording import counted
from firmware_bridge.support.shown import printable

SIDES = ("train", "validation", "held_out")
_WORDS = {"train": "training", "validation": "validation", "held_out": "held-out"}


@dataclass(frozen=True)
class Piece:
    """Samples from `start` up to but not including `stop` of a recording, at `start + shift` of a timeline."""

    recording: Recording
    start: int
    stop: int
    shift: int = 0


Timeline = tuple[Piece, ...]


@dataclass(frozen=True)
class _Placed:
    """A span, or its part on a timeline, from `start` up to but not including `stop` of the timeline."""

    side: str
    span: Span
    start: int
    stop: int


def refuse_leaks(split: Split, shared: Sequence[Timeline] | None = None) -> None:
    """Raise SplitError if two sides share samples of one recording, or of files that have samples in common.

    Args:
        split: The split.
        shared: Timelines of its recordings; None: they are sought.
    """
    spans = {side: _by_recording(getattr(split, side)) for side in SIDES}
    for timeline in timelines(recordings_of(split)) if shared is None else shared:
        placed = [each for side in SIDES for each in _place(side, spans[side], timeline)]
        _refuse_overlap(sorted(placed, key=lambda each: each.start), split.rule)


def label_doubts(shared: Sequence[Timeline]) -> list[Doubt]:
    """Return a doubt if recordings of different labels hold the same samples."""
    pairs = [pair for timeline in shared if (pair := _differently_labelled(timeline)) is not None]
    if not pairs:
        return []
    one, other = pairs[0]
    more = len(pairs) - 1
    also = f" (and {counted(more, 'more pair')})" if more else ""
    return [
        Doubt(
            "copies",
            f"{_with_label(one)} and {_with_label(other)} hold the same samples{also}. Remove one or correct its "
            "label.",
            {"pairs": tuple((one.name, other.name) for one, other in pairs)},
        )
    ]


def _differently_labelled(timeline: Timeline) -> tuple[Recording, Recording] | None:
    first = timeline[0].recording
    other = next((piece.recording for piece in timeline if piece.recording.label != first.label), None)
    return None if other is None else (first, other)


def _with_label(recording: Recording) -> str:
    return f"{printable(recording.name, 60)} ({printable(recording.label, 60)})"


def leak_in_words(split: Split, shared: Sequence[Timeline] | None = None) -> str:
    """Return a sentence about the samples that two sides share; empty if no sides share samples.

    Args:
        split: The split.
        shared: Timelines of its recordings; None: they are sought.
    """
    shared = timelines(recordings_of(split)) if shared is None else shared
    for side, known in (("held_out", "train"), ("held_out", "validation"), ("validation", "train")):
        counts = _known_samples(getattr(split, side), getattr(split, known), shared)
        spans, samples = sum(count > 0 for count in counts), sum(map(len, getattr(split, side)))
        if spans:
            return (
                f"{spans:,} of {len(counts):,} {_WORDS[side]} spans share samples with {_WORDS[known]} spans "
                f"({sum(counts) / samples:.1%} of their samples), as in papers that shuffle windows. The accuracy on "
                "these spans says little about other recordings."
            )
    return ""


def timelines(recordings: Sequence[Recording]) -> list[Timeline]:
    """Return the timelines of recordings with the same axes.

    There is one timeline for each content, with all recordings of that content, and one for each stretch that two
    contents share.
    """
    copies: dict[bytes, list[Recording]] = {}
    for recording in recordings:
        copies.setdefault(_content_key(recording), []).append(recording)
    contents = list(copies.values())
    whole = [tuple(Piece(recording, 0, len(recording.samples)) for recording in same) for same in contents]
    shared = shared_stretches([same[0].samples for same in contents])
    return [*whole, *(_timeline(contents[each.first], contents[each.second], each) for each in shared)]


def _timeline(first: Iterable[Recording], second: Iterable[Recording], shared: Shared) -> Timeline:
    start, stop, offset = shared.start, shared.stop, shared.offset
    return (
        *(Piece(recording, start, stop) for recording in first),
        *(Piece(recording, start + offset, stop + offset, -offset) for recording in second),
    )


def recordings_of(split: Split) -> list[Recording]:
    """Return the recordings of all sides, each once."""
    spans = (span for side in SIDES for span in getattr(split, side))
    return list({id(span.recording): span.recording for span in spans}.values())


def _content_key(recording: Recording) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(recording.samples).tobytes()).digest()


def _by_recording(spans: Iterable[Span]) -> Mapping[int, list[Span]]:
    found: dict[int, list[Span]] = {}
    for span in spans:
        found.setdefault(id(span.recording), []).append(span)
    return found


def _place(side: str, spans: Mapping[int, list[Span]], timeline: Timeline) -> Iterator[_Placed]:
    """Yield the parts of the spans that lie on the timeline."""
    for piece in timeline:
        for span in spans.get(id(piece.recording), ()):
            start, stop = max(span.start, piece.start), min(span.stop, piece.stop)
            if start < stop:
                yield _Placed(side, span, start + piece.shift, stop + piece.shift)


def _refuse_overlap(placed: Sequence[_Placed], rule: str) -> None:
    """Check spans, sorted by start, against the furthest end seen so far on each other side."""
    furthest: dict[str, _Placed] = {}
    for each in placed:
        for other in furthest.values():
            if other.side != each.side and other.stop > each.start:
                raise _leak(other, each, rule)
        if each.side not in furthest or each.stop > furthest[each.side].stop:
            furthest[each.side] = each


def _leak(one: _Placed, other: _Placed, rule: str) -> SplitError:
    recordings = (one.span.recording, other.span.recording)
    names, labels = tuple(each.name for each in recordings), tuple(each.label for each in recordings)
    if labels[0] != labels[1]:
        words = f"{_with_label(recordings[0])} and {_with_label(recordings[1])} hold the same samples."
        return SplitError(
            f"{words} Remove one or correct its label.", "copy_of_other_label", recordings=names, labels=labels
        )
    return SplitError(
        f"The split {rule} puts the same samples on two sides: {_in_words(one)} and {_in_words(other)}. Hold out a "
        "field or a share of time, use a --hop of at least one window, or accept the leak with --allow-leaks.",
        "leak",
        rule=rule,
        sides=(one.side, other.side),
        recordings=names,
        spans=((one.span.start, one.span.stop), (other.span.start, other.span.stop)),
    )


def _in_words(placed: _Placed) -> str:
    span = placed.span
    return f"{span.recording.name} [{span.start}:{span.stop}] ({_WORDS[placed.side]})"


def _known_samples(side: Sequence[Span], known: Sequence[Span], shared: Iterable[Timeline]) -> list[int]:
    """Return how many samples of each span in `side` are also in a span of `known`."""
    marks = {id(span.recording): np.zeros(len(span.recording.samples), bool) for span in side}
    by_recording = _by_recording(known)
    for timeline in shared:
        taken = np.zeros(max(piece.stop + piece.shift for piece in timeline), bool)
        for each in _place("", by_recording, timeline):
            taken[each.start : each.stop] = True
        for piece in timeline:
            if id(piece.recording) in marks:
                _mark(marks[id(piece.recording)], taken, piece)
    return [int(marks[id(span.recording)][span.start : span.stop].sum()) for span in side]


def _mark(marks: NDArray[np.bool_], taken: NDArray[np.bool_], piece: Piece) -> None:
    marks[piece.start : piece.stop] |= taken[piece.start + piece.shift : piece.stop + piece.shift]
