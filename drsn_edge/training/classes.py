"""The classes of a split, with their numbers of windows, recordings and groups."""

from __future__ import annotations

from collections.abc import Sequence

from drsn_edge.datasets.labels import ClassCount
from drsn_edge.datasets.span import Span, Split
from drsn_edge.signal.windows import window_starts
from drsn_edge.training.settings import TrainSettings

_COLUMNS = ("train", "validation", "held out", "recordings", "groups")


def count_classes(split: Split, settings: TrainSettings) -> tuple[ClassCount, ...]:
    """Return the counts of each class, in the order of the logits."""
    return tuple(_count(label, split, settings) for label in split.labels)


def classes_text(counts: Sequence[ClassCount]) -> str:
    """Return a table of the counts as text."""
    names = [_shown(each.label) for each in counts]
    width = max(len("windows of"), *map(len, names))
    rows = [f"{'windows of':{width}}" + "".join(f"{column:>12}" for column in _COLUMNS)]
    for name, each in zip(names, counts, strict=True):
        numbers = (each.train, each.validation, each.held_out, each.recordings, each.groups)
        rows.append(f"{name:{width}}" + "".join(f"{number:12}" for number in numbers))
    return "\n".join(rows)


def _shown(label: str) -> str:
    """Return a printable label unchanged; quote a label with control characters or with spaces at its ends."""
    return label if label.isprintable() and label == label.strip() else ascii(label)


def _count(label: str, split: Split, settings: TrainSettings) -> ClassCount:
    sides = {side: _of(label, getattr(split, side)) for side in ("train", "validation", "held_out")}
    spans = [span for side in sides.values() for span in side]
    return ClassCount(
        label,
        _windows(sides["train"], settings.window, settings.hop_samples),
        _windows(sides["validation"], settings.window, settings.window),
        _windows(sides["held_out"], settings.window, settings.window),
        len({span.recording.name for span in spans}),
        len({span.recording.group for span in spans}),
    )


def _of(label: str, spans: Sequence[Span]) -> list[Span]:
    return [span for span in spans if span.recording.label == label]


def _windows(spans: Sequence[Span], window: int, hop: int) -> int:
    return sum(len(window_starts(len(span), window, hop)) for span in spans)
