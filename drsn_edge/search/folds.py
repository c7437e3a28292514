"""Inner folds: the training side of a split, split again, so that candidates are judged without the hold-out set.

The folds hold out what the hold-out set will be: another value of its field. Where the training side has fewer than two
values of that field, they hold out another machine, speed, load or session, then another group, then another stretch
of time, and the result says what could not be estimated and what to record.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from drsn_edge.datasets.leaks import recordings_of, refuse_leaks, timelines
from drsn_edge.datasets.span import HoldOut, Span, Split
from drsn_edge.errors import SplitError
from drsn_edge.recordings.recording import FieldValue
from drsn_edge.support.wording import counted

MOST_FOLDS = 5
"""Highest number of folds; more values of a field share them."""

TIME_FOLDS = 3
"""Number of folds along time."""

FIELDS = ("machine", "rpm", "load", "session")
"""Fields that recordings usually have, in the order in which folds hold them out if the hold-out set's own field has
one value. `load` stands for every field whose name begins with it, such as load_hp."""

LOWER, BETWEEN, HIGHER, UNPLACED = "lower than all", "between those", "higher than all", ""
"""Where a value that is held out lies among the values that are trained on."""

_IDENTITIES = ("machine", "group", "name", "session")
"""Fields whose numbers tell machines and recordings apart, and measure nothing."""

_SEED = 0

Sides = tuple[list[Span], list[Span]]


@dataclass(frozen=True)
class InnerFold:
    """One fold.

    Attributes:
        name: What is held out, such as "rpm=1200".
        split: Spans to train on and held out, with the classes of the whole training side.
    """

    name: str
    split: Split


@dataclass(frozen=True)
class InnerFolds:
    """The inner folds of a training side.

    Attributes:
        field: Field that they hold out, "group" or "time".
        folds: The folds, at least two.
        held_out: What they hold out, in words: "another rpm of these machines".
        remarks: Sentences about what the folds do not estimate, and what to record.
        place: Where the hold-out set's value lies among those that are trained on; `UNPLACED` if that means nothing.
        alike: Numbers of the folds whose value lies there among the values that they train on; all folds if none does.
    """

    field: str
    folds: tuple[InnerFold, ...]
    held_out: str
    remarks: tuple[str, ...] = ()
    place: str = UNPLACED
    alike: tuple[int, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the folds."""
        return tuple(fold.name for fold in self.folds)


@dataclass(frozen=True)
class _Way:
    """One way to hold something out: its field, words for it, and the named sides of each fold."""

    field: str
    held_out: str
    folds: Callable[[], list[tuple[str, Sides]]]


def inner_folds(split: Split, hold_out: HoldOut, window: int, *, allow_leaks: bool = False) -> InnerFolds:
    """Return the folds of the training side of a split.

    Args:
        split: The split; only its training side is used.
        hold_out: Its rule.
        window: Samples per window; a span that is held out or trained on holds at least one.
        allow_leaks: Whether folds whose sides share samples are accepted.

    Raises:
        SplitError: If there are no two folds that train on every class and share no samples.
    """
    shared = [] if allow_leaks else timelines(recordings_of(replace(split, held_out=())))
    remarks: list[str] = []
    for way in _ways(split, hold_out, window):
        usable, why = [], []
        for name, sides in way.folds():
            fold = _fold(name, sides, split)
            problem = _problem(fold, shared)
            if problem:
                why.append(f"The fold {name} is left out of the estimate: {problem}")
            else:
                usable.append(fold)
        if len(usable) > 1:
            return _placed(InnerFolds(way.field, tuple(usable), way.held_out, (*remarks, *why)), split, hold_out)
        remarks += _not_estimated(way, hold_out, split, why)
    raise SplitError(
        "The training side cannot be split into inner folds, which a search needs: no field has two values that every "
        "class was recorded with, and the recordings are too short to be split by time. Record each class in two "
        "sessions or longer, or choose --inputs, --network and --window yourself.",
        "no_inner_folds",
        rule=split.rule,
        remarks=tuple(remarks),
    )


def _placed(found: InnerFolds, split: Split, hold_out: HoldOut) -> InnerFolds:
    """Return the folds with the place of the hold-out set's value, and with the folds that are placed alike.

    A speed beyond all that were trained on is harder than one between them, so that only folds with the same place say
    what to expect.
    """
    is_quantity = hold_out.kind == "field" and found.field == hold_out.name and found.field not in _IDENTITIES
    place = _place(split, found.field) if is_quantity else UNPLACED
    every = tuple(range(len(found.folds)))
    alike = tuple(number for number in every if place and _place(found.folds[number].split, found.field) == place)
    remarks = found.remarks
    if place and not alike:
        values = f"value of {found.field}"
        remarks += (
            f"The {values} of the hold-out set lies {place} that are trained on. No inner fold is like that: the "
            f"estimate is for a {values} beyond those that are trained on.",
        )
    return replace(found, place=place, alike=alike or every, remarks=remarks)


def _place(split: Split, name: str) -> str:
    """Return where the values of a field on the held-out side lie among those on the training side."""
    kept, held = (
        [span.recording.known[name] for span in side if name in span.recording.known]
        for side in (split.train, split.held_out)
    )
    if not kept or not held or not all(_is_number(value) for value in (*kept, *held)):
        return UNPLACED
    low, high = min(map(float, kept)), max(map(float, kept))
    if max(map(float, held)) < low:
        return LOWER
    if min(map(float, held)) > high:
        return HIGHER
    return BETWEEN


def _ways(split: Split, hold_out: HoldOut, window: int) -> Iterator[_Way]:
    """Yield the ways to hold something out, the hold-out set's own first."""
    share = float(hold_out.time_share or 0)
    if hold_out.kind == "field":
        yield _by_field(split, hold_out.name, share)
        for name in _usual_fields(split):
            if name != hold_out.name:
                yield _by_field(split, name, 0.0)
    if hold_out.kind in ("field", "fold"):
        yield _Way("group", "other groups of recordings", lambda: _grouped(split.train, "group", 3))
    yield _Way("time", "another stretch of time of the same recordings", lambda: _by_time(split.train, window))


def _usual_fields(split: Split) -> list[str]:
    """Return the fields in the order of `FIELDS` that every recording of the training side has."""
    known = set.intersection(*(set(span.recording.fields) for span in split.train))
    return [name for usual in FIELDS for name in sorted(known) if re.fullmatch(rf"{usual}(_.*)?", name)]


def _by_field(split: Split, name: str, time_share: float) -> _Way:
    def folds() -> list[tuple[str, Sides]]:
        having = [span for span in split.train if name in span.recording.known]
        values = sorted({_value(span, name) for span in having}, key=_order)
        if len(values) < 2:
            return []
        found = _grouped(having, name, MOST_FOLDS) if len(values) > MOST_FOLDS else _single(having, name, values)
        others = [span for span in split.train if name not in span.recording.known]
        return [(title, _with_others(sides, others, time_share)) for title, sides in found]

    words = "another machine" if name in ("machine", "group", "name") else f"another {name} of these machines"
    return _Way(name, words, folds)


def _value(span: Span, name: str) -> FieldValue:
    return span.recording.known[name]


def _order(value: FieldValue) -> tuple[bool, float, str]:
    return (not _is_number(value), float(value) if _is_number(value) else 0.0, str(value))


def _is_number(value: FieldValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _single(spans: Sequence[Span], name: str, values: Sequence[FieldValue]) -> list[tuple[str, Sides]]:
    """Return a fold for each value."""
    return [(f"{name}={value}", _parted(spans, name, value)) for value in values]


def _parted(spans: Sequence[Span], name: str, value: FieldValue) -> Sides:
    held = [_value(span, name) == value for span in spans]
    return (
        [span for span, out in zip(spans, held, strict=True) if not out],
        [span for span, out in zip(spans, held, strict=True) if out],
    )


def _grouped(spans: Sequence[Span], name: str, folds: int) -> list[tuple[str, Sides]]:
    """Return folds that keep the recordings of each value together, the classes spread as evenly as possible."""
    from sklearn.model_selection import StratifiedGroupKFold  # slow to import

    labels, groups = [span.recording.label or "" for span in spans], [str(_value(span, name)) for span in spans]
    n = min(folds, len(set(groups)), max((labels.count(label) for label in set(labels)), default=0))
    if n < 2:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about classes with fewer recordings than folds
        parts = list(StratifiedGroupKFold(n, shuffle=True, random_state=_SEED).split(labels, labels, groups))
    return [
        (f"{name} part {number} of {n}", ([spans[i] for i in kept], [spans[i] for i in out]))
        for number, (kept, out) in enumerate(parts, start=1)
        if len(out)
    ]


def _with_others(sides: Sides, others: Sequence[Span], time_share: float) -> Sides:
    """Add the spans without the field: split by time as the hold-out rule splits them, else to train on."""
    if not time_share:
        return sides[0] + list(others), sides[1]
    cuts = [span.start + round(len(span) * (1 - time_share)) for span in others]
    earlier = [Span(span.recording, span.start, cut) for span, cut in zip(others, cuts, strict=True)]
    later = [Span(span.recording, cut, span.stop) for span, cut in zip(others, cuts, strict=True)]
    return sides[0] + earlier, sides[1] + later


def _by_time(spans: Sequence[Span], window: int) -> list[tuple[str, Sides]]:
    """Return folds of contiguous stretches of each recording.

    The part of a recording's only span holds two windows: the windows that are judged begin at multiples of a window at
    most, so that one of them lies within.
    """
    by_recording: dict[str, list[Span]] = {}
    for span in spans:
        by_recording.setdefault(span.recording.name, []).append(span)
    n = min([TIME_FOLDS, *(_most_stretches(each, window) for each in by_recording.values())])
    if n < 2:
        return []
    return [(f"time part {k + 1} of {n}", _stretch(by_recording, k, n, window)) for k in range(n)]


def _most_stretches(spans: Sequence[Span], window: int) -> int:
    return len(spans) if len(spans) > 1 else len(spans[0]) // (2 * window)


def _stretch(by_recording: Mapping[str, Sequence[Span]], k: int, n: int, window: int) -> Sides:
    """Return the sides of fold k of n: whole spans of a recording with several, else parts of its only span."""
    kept: list[Span] = []
    held: list[Span] = []
    for spans in by_recording.values():
        ordered = sorted(spans, key=lambda span: span.start)
        if len(ordered) > 1:
            out = ordered[len(ordered) * k // n : len(ordered) * (k + 1) // n]
            first, last = out[0].start, max(span.stop for span in out)
            kept += [span for span in ordered if span.stop <= first or span.start >= last]
        else:
            (span,) = ordered
            edges = [span.start + len(span) * part // n for part in (k, k + 1)]
            out = [Span(span.recording, *edges)]
            around = (Span(span.recording, span.start, edges[0]), Span(span.recording, edges[1], span.stop))
            kept += [each for each in around if len(each) >= window]
        held += out
    return kept, held


def _fold(name: str, sides: Sides, split: Split) -> InnerFold:
    kept, held = sides
    return InnerFold(name, Split(tuple(kept), (), tuple(held), name, split.labels))


def _problem(fold: InnerFold, shared: Sequence[tuple[object, ...]]) -> str:
    """Return why a fold cannot be used; empty if it can."""
    trained = {span.recording.label or "" for span in fold.split.train}
    missing = sorted(set(fold.split.labels) - trained)
    if not fold.split.held_out or not fold.split.train:
        return "one of its sides is empty."
    if missing:
        return f"only {fold.name} has class {', '.join(missing)}. Record it elsewhere as well."
    try:
        refuse_leaks(fold.split, shared)  # type: ignore[arg-type]  # empty, or timelines
    except SplitError as exc:
        return str(exc)
    return ""


def _not_estimated(way: _Way, hold_out: HoldOut, split: Split, why: Sequence[str]) -> list[str]:
    """Return sentences about a way that gave no two folds, if it is the hold-out set's own."""
    if hold_out.kind != "field" or way.field != hold_out.name:
        return []
    values = {str(span.recording.known[way.field]) for span in split.train if way.field in span.recording.known}
    has = f"{counted(len(values), 'value')} of {way.field} ({', '.join(sorted(values)[:4])})" if values else "no values"
    return [
        f"The accuracy at another {way.field} cannot be estimated from these recordings: apart from the hold-out set "
        f"they have {has}. Record every class with at least two more values of {way.field}.",
        *why,
    ]
