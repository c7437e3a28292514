"""The one table of what is said of a window or a machine: verdicts, reasons, states beside them, fixed colours.

Every output takes its words and colours from here, and `docs/reference/verdicts.md` shows it. A verdict, a reason or a
state is added here and nowhere else; texts stand in JSON lines, history files and metrics, and so never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

_Named = TypeVar("_Named", "Reason", "State")


class Verdict(str, Enum):
    """What is said about a window or a machine."""

    CLASS = "CLASS"
    UNKNOWN = "UNKNOWN"
    NO_VERDICT = "NO_VERDICT"


@dataclass(frozen=True)
class Meaning:
    """What a verdict means to people.

    Attributes:
        counted: Behind a number of windows: 3 `unknown`.
        sentence: What it says.
        colour: In pictures and pages, `#rrggbb`; None where labels have colours of their own.
    """

    counted: str
    sentence: str
    colour: str | None


HEALTHY_COLOUR = "#228833"
"""Of a class that is a healthy machine's, and of nothing else."""

VERDICTS: Mapping[Verdict, Meaning] = {
    Verdict.CLASS: Meaning("of a class", "The window is like those of the class that it names.", None),
    Verdict.UNKNOWN: Meaning("unknown", "The window is unlike anything that was trained.", "#000000"),
    Verdict.NO_VERDICT: Meaning("without a verdict", "Nothing is said of the window; the reason says why.", "#bbbbbb"),
}

NO_CLASS = tuple(verdict for verdict in Verdict if verdict is not Verdict.CLASS)
"""Verdicts that name no class; their names cannot be labels."""


class Subject(str, Enum):
    """What a reason says something of."""

    MACHINE = "machine"
    SIGNAL = "signal"
    GATEWAY = "gateway"


@dataclass(frozen=True)
class Reason:
    """Why there is no verdict.

    Attributes:
        text: In JSON lines and everywhere else.
        subject: What it says something of: the machine, its signal, or the gateway that judges.
        sentence: What it says to people, and what they can do.
    """

    text: str
    subject: Subject
    sentence: str


@dataclass(frozen=True)
class State:
    """What holds of a machine beside its verdict.

    Attributes:
        text: As people see it; a time may follow.
        sentence: What it says.
    """

    text: str
    sentence: str


LOST_SAMPLES = "lost samples"
OVERRUN = "overrun"
FLAT_LINE = "flat line"
CLIPPED = "clipped"
STUCK = "stuck"
STUCK_BIT = "stuck bit"
WRAPPED = "wrapped"
SPIKE = "spike"
DROPOUTS = "dropouts"
REPEATED = "repeated samples"
OFFSET_JUMPED = "offset jumped"
AXES_TURNED = "axes inverted or swapped"
RATE_OFF = "sample rate off"
CLOCK_STOPPED = "device clock stopped"
NOISE_ALONE = "noise alone"
LINK_LOST = "LINK LOST"
NO_SAMPLES = "NO SAMPLES"
TOO_FEW_SAMPLES = "TOO FEW SAMPLES"
NOT_RUNNING = "not running"
SKIPPED = "skipped: this machine is too slow"
NOT_YET = "no decision yet"


def _by_text(*found: _Named) -> dict[str, _Named]:
    return {each.text: each for each in found}


_SIGNAL, _MACHINE, _GATEWAY = Subject.SIGNAL, Subject.MACHINE, Subject.GATEWAY

REASONS: Mapping[str, Reason] = _by_text(
    Reason(LOST_SAMPLES, _SIGNAL, "Samples that the sensor numbered never came."),
    Reason(OVERRUN, _SIGNAL, "The sensor threw samples away, which it could not send, and cannot say how many."),
    Reason(FLAT_LINE, _SIGNAL, "An axis has one value from the first sample to the last."),
    Reason(STUCK, _SIGNAL, "An axis keeps its value for a part of the window."),
    Reason(STUCK_BIT, _SIGNAL, "A bit of the readings never changes, though bits above and below it do."),
    Reason(CLIPPED, _SIGNAL, "Samples lie at the end of the sensor's range, or pile up below it. Set a wider range."),
    Reason(WRAPPED, _SIGNAL, "Readings leave their range at one end and come back at the other."),
    Reason(SPIKE, _SIGNAL, "Lone readings stand far above all others."),
    Reason(DROPOUTS, _SIGNAL, "One value, such as 0, stands in the midst of others again and again."),
    Reason(REPEATED, _SIGNAL, "Samples came that had been there before, bit for bit."),
    Reason(
        OFFSET_JUMPED,
        _SIGNAL,
        "The mean of an axis is not the usual one. Was the sensor moved on purpose? Type drsn-edge accept-mounting.",
    ),
    Reason(
        AXES_TURNED,
        _SIGNAL,
        "The axes move as in training only after one is inverted or two change places. Mount the sensor as it was.",
    ),
    Reason(
        NOISE_ALONE, _SIGNAL, "The sensor measures its own noise alone. Is it off the machine, or its cable broken?"
    ),
    Reason(RATE_OFF, _SIGNAL, "The sensor's sample rate is more than 4 % off the model's, or not known any more."),
    Reason(CLOCK_STOPPED, _SIGNAL, "The sensor's clock stands still while samples come."),
    Reason(LINK_LOST, _SIGNAL, "The port is lost, and is tried again."),
    Reason(NO_SAMPLES, _SIGNAL, "No sample came for 2 s plus the length of one window, though the port is open."),
    Reason(
        TOO_FEW_SAMPLES, _SIGNAL, "Samples come, but no window could be judged for 2 s plus the length of one window."
    ),
    Reason(NOT_RUNNING, _MACHINE, "The machine stands still: its level is 12 dB below the quietest that was trained."),
    Reason(SKIPPED, _GATEWAY, "The gateway is too slow to judge every window, and skips some."),
    Reason(NOT_YET, _GATEWAY, "The monitor has begun, and has not seen enough windows to decide."),
)
"""By their texts, those of the signal first."""

OF_MACHINE = tuple(each.text for each in REASONS.values() if each.subject is Subject.MACHINE)
"""Reasons of a window that shows the machine all the same: what was decided before is as fresh as that window."""

LAST_MEASURED = "last measured"
OUTPUT_FAILING = "output failing"

STATES: Mapping[str, State] = _by_text(
    State(LINK_LOST, "The port is lost: the decision is withdrawn until windows are judged again."),
    State(NO_SAMPLES, "No samples come: the decision is withdrawn until windows are judged again."),
    State(TOO_FEW_SAMPLES, "Too few samples come: the decision is withdrawn until windows are judged again."),
    State(LAST_MEASURED, "Decision and alarms are as old as that: no window has shown the machine since."),
    State(OUTPUT_FAILING, "A file, a broker or another output takes nothing now; verdicts go on."),
)
"""By their texts; each of a link is the reason of the decision, too."""
