"""Spans of recordings, the rule that holds some of them out, and the split that comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from drsn_edge.recordings.recording import Recording

_SAME_RECORDINGS = (
    "Random windows of the same recordings are on both sides: accuracy on them says little about other recordings."
)


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
        kind: "field" (recordings whose `name` equals `value`), "fold" (one of N parts that keep groups together),
            "time" (the last share of each recording) or "windows" (a random share of all windows, as in papers that
            shuffle).
        name: The field's name; empty for the other kinds.
        value: The field's value as typed, K/N, or the share between 0 and 1.
        time_share: For "field": the last share, as typed, that is held out of recordings without the field; empty where
            all must have it.
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
    """Spans on the three sides, and the rule that made them.

    Attributes:
        train: What the network learns from.
        validation: What the training is watched with.
        held_out: What it is judged with.
        rule: As typed.
        labels: The classes, sorted.
        leak: What samples the sides share, in words; empty where they share none.
    """

    train: tuple[Span, ...]
    validation: tuple[Span, ...]
    held_out: tuple[Span, ...]
    rule: str
    labels: tuple[str, ...] = field(default=())
    leak: str = ""

    @property
    def remark(self) -> str:
        """What the rule itself does to the accuracy, in words; empty where there is nothing to say."""
        return _SAME_RECORDINGS if self.rule.startswith("windows=") and not self.leak else ""
