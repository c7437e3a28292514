"""Faults of a link and of a sensor, by a script and a seed, with a true account of what they cost.

A script is a list of faults, each a line such as

    flip 1e-5                   each byte gets a flipped bit with this probability
    drop-byte 1e-5              each byte is left out with this probability
    repeat-byte 1e-5            ... is sent twice
    drop-frame 0.01             each frame is left out
    repeat-frame 0.01           ... is sent twice
    garbage at 10 for 2         nothing but noise for 2 s from 10 s on: another baud rate, another device
    stall at 10 for 2           nothing comes for 2 s, and then all of it
    unplug at 10 for 2          the port is gone
    overrun 80 at 10            the sensor throws 80 samples away, and the device says so
    clip 0.5 at 10 for 2        counts stop at this share of their range
    stuck 0 at 10               axis 0 keeps its value
    swap 0 at 10                axis 0 and the next change places
    bit 5 at 10                 bit 5 of each count is stuck at 0
    wrap 12 at 10               counts are cut to 12 bits in two's complement
    freeze 1024 at 10           the last 1024 samples come again and again
    rate 0.01 at 10             the sensor is faster by this share and says nothing
    clock-drift 0.0001 at 10    the device's clock is fast by this share
    clock-step 0.5 at 10        the device's clock jumps ahead by so many seconds

Times are seconds of the device since it began to stream. What has no `at` holds from the start, what has no `for` to
the end. The same script and seed do the same to the same frames.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from firmware_bridge.errors import FaultScriptError

BYTE_KINDS = ("flip", "drop-byte", "repeat-byte")
_FRAME_KINDS = ("drop-frame", "repeat-frame")
_SPAN_KINDS = ("garbage", "stall", "unplug")
KINDS = {
    **dict.fromkeys((*BYTE_KINDS, *_FRAME_KINDS), "a probability, 0 to 1"),
    **dict.fromkeys(_SPAN_KINDS, None),
    "overrun": "a number of samples >= 1",
    "clip": "a share, 0 to 1",
    "stuck": "the number of an axis, from 0",
    "swap": "the number of an axis, from 0",
    "bit": "the number of a bit, 0 to 23",
    "wrap": "a number of bits, 2 to 24",
    "freeze": "a number of samples >= 1",
    "rate": "a share > -1",
    "clock-drift": "a share > -1",
    "clock-step": "seconds >= 0",
}
"""What each kind of fault takes as its value; None: nothing."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_LINE = re.compile(rf"([a-z-]+)(?:\s+({_NUMBER}))?(?:\s+at\s+({_NUMBER}))?(?:\s+for\s+({_NUMBER}))?")


@dataclass(frozen=True)
class Fault:
    """One line of a script.

    Attributes:
        kind: One of `KINDS`.
        value: What it takes, 0 where it takes nothing.
        at_s: When it begins.
        for_s: How long it lasts.
    """

    kind: str
    value: float = 0.0
    at_s: float = 0.0
    for_s: float = math.inf

    def __post_init__(self) -> None:
        """Refuse what cannot be, as `FaultScriptError`."""
        if self.kind not in KINDS:
            raise FaultScriptError(f"Expected a fault among {', '.join(KINDS)}, got {self.kind!r}.")
        if not _value_fits(self.kind, self.value):
            raise FaultScriptError(f"Expected {KINDS[self.kind]} for {self.kind}, got {self.value:g}.")
        if not (self.at_s >= 0 and self.for_s > 0):
            got = f"at {self.at_s:g} for {self.for_s:g}"
            raise FaultScriptError(f"Expected {self.kind} at 0 s or later for more than 0 s, got {got}.")
        if self.kind in _SPAN_KINDS and math.isinf(self.for_s):
            raise FaultScriptError(f"Expected {self.kind} with an end, got none. Write `{self.kind} at 10 for 2`.")

    def holds(self, time_s: float) -> bool:
        """Whether it holds at a time."""
        return self.at_s <= time_s < self.at_s + self.for_s


def _value_fits(kind: str, value: float) -> bool:
    takes = KINDS[kind]
    if takes is None:
        return value == 0
    if "bit" in takes:
        lowest, highest = (2, 24) if kind == "wrap" else (0, 23)
        return value == round(value) and lowest <= value <= highest
    if "axis" in takes or "samples" in takes:
        return value == round(value) and value >= (1 if "samples" in takes else 0)
    if "0 to 1" in takes:
        return 0 <= value <= 1
    return math.isfinite(value) and value > -1 and (value >= 0 or kind != "clock-step")


def parse_fault(line: str) -> Fault:
    """Return the fault of a line.

    Raises:
        FaultScriptError: If the line is none.
    """
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise FaultScriptError(f"Expected a fault such as `flip 1e-5` or `unplug at 10 for 2`, got {line.strip()!r}.")
    kind, value, at_s, for_s = match.groups()
    if kind in KINDS and (value is None) != (KINDS[kind] is None):
        raise FaultScriptError(f"Expected {KINDS[kind] or 'no value'} for {kind}, got {line.strip()!r}.")
    return Fault(kind, float(value or 0), float(at_s or 0), math.inf if for_s is None else float(for_s))


def parse_script(lines: Iterable[str]) -> tuple[Fault, ...]:
    """Return the faults of a script; empty lines and those that begin with # say nothing.

    Raises:
        FaultScriptError: If a line is none, with its number.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(parse_fault(line))
            except FaultScriptError as exc:
                raise FaultScriptError(f"Line {number} of the script: {exc}") from exc
    return tuple(found)
