"""Durations as people write them: seconds, or a number with a unit."""

from __future__ import annotations

import re
from typing import NewType

Seconds = NewType("Seconds", float)
"""A duration in seconds that a file may also state as text with a unit."""

_UNITS_S = {
    "": 1.0,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
    "w": 604_800.0,
}
_DURATION = re.compile(rf"(\d+(?:\.\d*)?|\.\d+) ?({'|'.join(filter(None, _UNITS_S))})?", re.ASCII)


def duration_s(text: str) -> float | None:
    """Return the seconds that a text such as `10s`, `5 min` or `0.5` says, None if it says none."""
    match = _DURATION.fullmatch(text.strip())
    return None if match is None else float(match[1]) * _UNITS_S[match[2] or ""]
