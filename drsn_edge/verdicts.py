"""The table of verdicts, their reasons, the states beside them, and their fixed colours.

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
    """Verdict on a window or a machine."""

    CLASS = "CLASS"
    UNKNOWN = "UNKNOWN"
    UNSURE = "UNSURE"
    NO_VERDICT = "NO_VERDICT"


@dataclass(frozen=True)
class Meaning:
    """The meaning of a verdict for people.

    Attributes:
        counted: Word after a number of windows, as in "3 unknown".
        sentence: Explanation.
        colour: Colour in pictures and pages, `#rrggbb`; None if labels have colours of their own.
    """

    counted: str
    sentence: str
    colour: str | None


HEALTHY_COLOUR = "#228833"
"""Colour of a healthy class, and of nothing else."""

VERDICTS: Mapping[Verdict, Meaning] = {
    Verdict.CLASS: Meaning("of a class", "The window is similar to the training windows of the named class.", None),
    Verdict.UNKNOWN: Meaning("unknown", "The window is unlike all training data.", "#000000"),
    Verdict.UNSURE: Meaning(
        "unsure",
        "The two most probable classes are too close to call for the promised share of wrong classes.",
        "#666666",
    ),
    Verdict.NO_VERDICT: Meaning("without a verdict", "The window cannot be judged; the reason tells why.", "#bbbbbb"),
}

NO_CLASS = tuple(verdict for verdict in Verdict if verdict is not Verdict.CLASS)
"""Verdicts without a class; their names cannot be labels."""


class Subject(str, Enum):
    """Subject of a reason."""

    MACHINE = "machine"
    SIGNAL = "signal"
    GATEWAY = "gateway"


@dataclass(frozen=True)
class Reason:
    """Why there is no verdict.

    Attributes:
        text: Text in JSON lines and all other outputs.
        subject: Subject: the machine, its signal, or the gateway that judges.
        sentence: Explanation for people, and what to do.
    """

    text: str
    subject: Subject
    sentence: str


@dataclass(frozen=True)
class State:
    """State of a machine beside its verdict.

    Attributes:
        text: Text for people; a time may follow.
        sentence: Explanation.
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
UNIT_DOUBTED = "unit doubted"
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
    Reason(LOST_SAMPLES, _SIGNAL, "The sensor's sequence numbers show that samples are missing."),
    Reason(OVERRUN, _SIGNAL, "The sensor dropped an unknown number of samples because it could not send them."),
    Reason(FLAT_LINE, _SIGNAL, "An axis has the same value in the whole window."),
    Reason(STUCK, _SIGNAL, "An axis has the same value in a part of the window."),
    Reason(STUCK_BIT, _SIGNAL, "A bit of the samples never changes, although bits above and below it do."),
    Reason(
        CLIPPED, _SIGNAL, "Samples reach the end of the sensor's range, or pile up just below it. Set a wider range."
    ),
    Reason(WRAPPED, _SIGNAL, "Samples leave the range at one end and return at the other."),
    Reason(SPIKE, _SIGNAL, "Single samples are far above all others."),
    Reason(DROPOUTS, _SIGNAL, "One value, such as 0, appears among other values again and again."),
    Reason(
        REPEATED,
        _SIGNAL,
        "Earlier samples were received again, bit for bit, or each value comes several times in a row: the sensor is "
        "read faster than it measures.",
    ),
    Reason(
        OFFSET_JUMPED,
        _SIGNAL,
        "The mean of an axis has changed. If the sensor was moved on purpose, type drsn-edge accept-mounting.",
    ),
    Reason(
        AXES_TURNED,
        _SIGNAL,
        "The axes fit the training data only after one is inverted or two are swapped. Mount the sensor as in "
        "training.",
    ),
    Reason(NOISE_ALONE, _SIGNAL, "The sensor measures only its own noise. Check its mounting and its cable."),
    Reason(
        RATE_OFF,
        _SIGNAL,
        "The sensor's sampling rate differs from the model's by more than 4 %, or is no longer known.",
    ),
    Reason(CLOCK_STOPPED, _SIGNAL, "The sensor's clock has stopped while samples arrive."),
    Reason(
        UNIT_DOUBTED,
        _SIGNAL,
        "Level and gravity differ from the training data by the factor between two units, such as 9.81 between g and "
        "m/s2. State the true unit of the sensor, or correct that of the recordings and train again.",
    ),
    Reason(LINK_LOST, _SIGNAL, "The port is lost. The monitor tries to open it again."),
    Reason(NO_SAMPLES, _SIGNAL, "The port is open, but no sample arrived for 2 s plus the length of one window."),
    Reason(
        TOO_FEW_SAMPLES, _SIGNAL, "Samples arrive, but no window was complete for 2 s plus the length of one window."
    ),
    Reason(NOT_RUNNING, _MACHINE, "The machine stands still: its level is 12 dB below the quietest training data."),
    Reason(SKIPPED, _GATEWAY, "The gateway is too slow to judge every window, and skips some."),
    Reason(NOT_YET, _GATEWAY, "The monitor has started, and has not judged enough windows to decide."),
)
"""Reasons by text, those of the signal first."""

OF_MACHINE = tuple(each.text for each in REASONS.values() if each.subject is Subject.MACHINE)
"""Reasons of a window that still shows the machine, and so keeps the decision fresh."""

LAST_MEASURED = "last measured"
COVERAGE_OFF = "coverage off"
OUTPUT_FAILING = "output failing"

STATES: Mapping[str, State] = _by_text(
    State(LINK_LOST, "The port is lost. The decision is withdrawn until windows are judged again."),
    State(NO_SAMPLES, "No samples arrive. The decision is withdrawn until windows are judged again."),
    State(TOO_FEW_SAMPLES, "Too few samples arrive. The decision is withdrawn until windows are judged again."),
    State(LAST_MEASURED, "Decision and alarms date from this time: no window has shown the machine since."),
    State(
        COVERAGE_OFF,
        "The share of windows of a class has left the range of the inner folds. Below it, the machine runs as no inner "
        "fold did, and more classes than promised may be wrong: record it so, and train again. Above it, the machine "
        "shows few of the classes that are hard to tell apart.",
    ),
    State(OUTPUT_FAILING, "A file, a broker or another output cannot be written now; monitoring continues."),
)
"""States by text; a state of the link is also the reason of the decision."""
