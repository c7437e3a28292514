"""What is said of a window, and why nothing is said: the verdicts and the reasons."""

from __future__ import annotations

from enum import Enum

NOT_RUNNING = "not running"
"""The reason of NO_VERDICT that says something of the machine, and nothing of the signal."""


class Verdict(str, Enum):
    """What is said about a window or a machine."""

    CLASS = "CLASS"
    UNKNOWN = "UNKNOWN"
    NO_VERDICT = "NO_VERDICT"


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
NOISE_ALONE = "noise alone"
LINK_LOST = "LINK LOST"
NO_SAMPLES = "NO SAMPLES"
TOO_FEW_SAMPLES = "TOO FEW SAMPLES"
SKIPPED = "skipped: this machine is too slow"
