"""What the hold-out set leaves out, in words: which class to record again, and with what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drsn_edge.datasets.doubts import Doubt
from drsn_edge.datasets.span import HoldOut, Span, Split
from drsn_edge.recordings.recording import Recording

_MOST_NAMED = 4


def coverage_doubts(recordings: Sequence[Recording], hold_out: HoldOut, split: Split) -> list[Doubt]:
    """Return a doubt for classes that only one group has, and one for classes that are not held out; none of one class.

    Args:
        recordings: Labelled recordings.
        hold_out: Rule of the split.
        split: The split.
    """
    field = hold_out.name or "group"
    values: dict[str, set[str]] = {}
    for recording in recordings:
        values.setdefault(recording.label or "", set()).add(str(recording.known.get(field, recording.group)))
    if len(values) < 2:
        return []
    alone = {label: next(iter(found)) for label, found in values.items() if len(found) == 1}
    unheld = sorted(set(split.labels) - _labels(split.held_out))
    sentences = [*_of_one_value(alone, len(values), field), *_of_no_hold_out(unheld, hold_out, field)]
    return [Doubt("coverage", sentence, {"field": field}) for sentence in sentences]


def _labels(spans: Iterable[Span]) -> set[str]:
    return {span.recording.label or "" for span in spans}


def _of_one_value(alone: dict[str, str], classes: int, field: str) -> list[str]:
    if not alone:
        return []
    labels = sorted(alone)
    if len(labels) == 1:
        what = f"Class {labels[0]} was recorded with {field} {alone[labels[0]]} only"
    else:
        each = "Each class" if len(labels) == classes else f"Each of the classes {_named(labels)}"
        what = f"{each} was recorded with one {field} only"
    it = labels[0] if len(labels) == 1 else "each of them"
    return [
        f"{what}: record {it} with another {field} as well, so that one can be held out and the network cannot take "
        f"the {field} for the class."
    ]


def _of_no_hold_out(unheld: list[str], hold_out: HoldOut, field: str) -> list[str]:
    if not unheld:
        return []
    where = f"with {field} {hold_out.value}" if hold_out.kind == "field" else f"with more than one {field}"
    return [
        f"The hold-out set has no window of class {_named(unheld)}, so that the accuracy says nothing about it: record "
        f"{_named(unheld)} {where}, or hold out something that every class has."
    ]


def _named(labels: Sequence[str]) -> str:
    shown = list(labels[:_MOST_NAMED])
    more = len(labels) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
