"""Fault scripts: faults of a link and of a sensor, reproducible by a script and a seed, with the true losses counted.

A script is a list of faults, one per line, such as

    flip 1e-5                   each byte gets a flipped bit with this probability
    drop-byte 1e-5              each byte is dropped with this probability
    repeat-byte 1e-5            each byte is sent twice with this probability
    drop-frame 0.01             each frame is dropped with this probability
    repeat-frame 0.01           each frame is sent twice with this probability
    garbage at 10 for 2         from 10 s on, only noise for 2 s, as from another baud rate or another device
    stall at 10 for 2           nothing arrives for 2 s, then everything at once
    unplug at 10 for 2          the port disappears for 2 s
    overrun 80 at 10            the sensor discards 80 samples, and the device reports it
    clip 0.5 at 10 for 2        counts saturate at this share of their range
    stuck 0 at 10               axis 0 keeps its value
    swap 0 at 10                axis 0 and the next axis are swapped
    bit 5 at 10                 bit 5 of each count is stuck at 0
    wrap 12 at 10               counts wrap around at 12 bits, in two's complement
    freeze 1024 at 10           the last 1024 samples are repeated
    rate 0.01 at 10             the sensor is faster by this share, without reporting it
    clock-drift 0.0001 at 10    the device's clock is fast by this share
    clock-step 0.5 at 10        the device's clock jumps ahead by this many seconds

Times are seconds of device time since streaming began. A fault without `at` is active from the start, a fault without
`for` until the end. The same script and seed have the same effect on the same frames.
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
"""The value that each kind of fault takes; None: no value."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_LINE = re.compile(rf"([a-z-]+)(?:\s+({_NUMBER}))?(?:\s+at\s+({_NUMBER}))?(?:\s+for\s+({_NUMBER}))?")


@dataclass(frozen=True)
class Fault:
    """One line of a script.

    Attributes:
        kind: One of `KINDS`.
        value: Value as in `KINDS`; 0 for a kind without a value.
        at_s: Start in seconds of device time.
        for_s: Duration in seconds.
    """

    kind: str
    value: float = 0.0
    at_s: float = 0.0
    for_s: float = math.inf

    def __post_init__(self) -> None:
        """Raise FaultScriptError if kind, value or times are out of range."""
        kind = self.kind
        if kind not in KINDS:
            raise FaultScriptError(
                f"There is no fault {kind!r}. Use one of {', '.join(KINDS)}.", "unknown_fault", fault=kind
            )
        if not _value_fits(kind, self.value):
            raise FaultScriptError(
                f"{kind} takes {KINDS[kind] or 'no value'}, got {self.value:g}.",
                "bad_value",
                fault=kind,
                got=self.value,
            )
        if not (self.at_s >= 0 and self.for_s > 0):
            raise FaultScriptError(
                f"{kind} must begin at 0 s or later and last longer than 0 s, got at {self.at_s:g} for {self.for_s:g}.",
                "bad_time",
                fault=kind,
                at_s=self.at_s,
                for_s=self.for_s,
            )
        if kind in _SPAN_KINDS and math.isinf(self.for_s):
            raise FaultScriptError(
                f"{kind} has no end. Write its duration, for example `{kind} at 10 for 2`.", "no_end", fault=kind
            )

    def holds(self, time_s: float) -> bool:
        """Return whether the fault is active at a time."""
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
    """Return the fault on a line.

    Raises:
        FaultScriptError: If the line cannot be read, or the fault is out of range.
    """
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise FaultScriptError(
            f"{line.strip()!r} is not a fault. Write for example `flip 1e-5` or `unplug at 10 for 2`.",
            "not_a_fault",
            text=line.strip(),
        )
    kind, value, at_s, for_s = match.groups()
    if kind in KINDS and (value is None) != (KINDS[kind] is None):
        raise FaultScriptError(
            f"{kind} takes {KINDS[kind] or 'no value'}, got {line.strip()!r}.",
            "missing_value" if value is None else "unexpected_value",
            fault=kind,
            text=line.strip(),
        )
    return Fault(kind, float(value or 0), float(at_s or 0), math.inf if for_s is None else float(for_s))


def parse_script(lines: Iterable[str]) -> tuple[Fault, ...]:
    """Return the faults of a script; empty lines and lines that begin with # are skipped.

    Raises:
        FaultScriptError: If a line is not a fault; the message has its number.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(parse_fault(line))
            except FaultScriptError as exc:
                raise FaultScriptError(
                    f"Line {number} of the script: {exc}", exc.problem, line=number, **exc.facts
                ) from exc
    return tuple(found)
