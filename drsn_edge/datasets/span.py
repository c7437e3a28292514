"""Spans of recordings, the rule that holds some of them out, and the resulting split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from drsn_edge.datasets.damage import Damage, Stretch
from drsn_edge.datasets.doubts import Doubt
from drsn_edge.datasets.rates import RateChange
from drsn_edge.recordings.recording import Recording

_SAME_RECORDINGS = (
    "Random windows of the same recordings are on both sides: the accuracy says little about other recordings."
)


@dataclass(frozen=True)
class Span:
    """Samples from `start` up to but not including `stop` of one recording."""

    recording: Recording
    start: int
    stop: int

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    def within(self, stretches: Iterable[Stretch], window: int) -> list[Span]:
        """Return the parts of the span within stretches of its recording that hold a window or more."""
        parts = [Span(self.recording, max(self.start, start), min(self.stop, stop)) for start, stop in stretches]
        return [part for part in parts if len(part) >= window]


@dataclass(frozen=True)
class HoldOut:
    """Rule of `--hold-out`.

    Attributes:
        kind: "field" (recordings whose field `name` equals `value`), "fold" (one of N parts that keep groups together),
            "time" (the last share of each recording) or "windows" (a random share of all windows, as in papers that
            shuffle).
        name: Name of the field; empty for the other kinds.
        value: Value of the field as typed, K/N, or the share between 0 and 1.
        time_share: For "field": the last share, as typed, that is held out of each recording without the field; empty
            if all recordings must have the field.
    """

    kind: str
    name: str
    value: str
    time_share: str = ""

    def __str__(self) -> str:
        rest = f",time={self.time_share}" if self.time_share else ""
        return f"{self.name or self.kind}={self.value}{rest}"


@dataclass(frozen=True)
class Split:
    """Spans on the three sides, and the rule of the split.

    Attributes:
        train: Spans for training.
        validation: Spans for validation during training.
        held_out: Spans of the hold-out set.
        rule: Rule as typed.
        labels: Names of the classes, sorted.
        leak: Sentence about the samples that sides share; empty if they share none.
        damage: Damage of each recording, whose damaged windows are on no side.
        doubts: Doubts about the recordings and about what the hold-out set leaves out.
        rates: What was done to the sampling rates of recordings; empty if nothing was.
    """

    train: tuple[Span, ...]
    validation: tuple[Span, ...]
    held_out: tuple[Span, ...]
    rule: str
    labels: tuple[str, ...] = field(default=())
    leak: str = ""
    damage: tuple[Damage, ...] = field(default=())
    doubts: tuple[Doubt, ...] = field(default=())
    rates: tuple[RateChange, ...] = field(default=())

    @property
    def remark(self) -> str:
        """Sentence about the effect of the rule on the accuracy; empty if there is none."""
        return _SAME_RECORDINGS if self.rule.startswith("windows=") and not self.leak else ""
