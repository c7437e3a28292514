"""Cells of time to seconds: numbers, ISO 8601, D.M.Y and the time of day."""

from __future__ import annotations

import re
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.tables.numbers import Numbers

DAY_S = 86400.0

_DAY = (
    r"(?:(?P<y>[0-9]{4})[-/.](?P<mo>[0-9]{1,2})[-/.](?P<d>[0-9]{1,2})|"
    r"(?P<d2>[0-9]{1,2})[-/.](?P<mo2>[0-9]{1,2})[-/.](?P<y2>[0-9]{2,4}))"
)
_CLOCK = (
    r"(?P<h>[0-9]{1,2}):(?P<m>[0-9]{2})(?::(?P<s>[0-9]{2})(?:[.,:](?P<f>[0-9]{1,12}))?)?(?:\s?(?P<half>[AaPp][Mm]))?"
)
_ZONE = r"(?:\s?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?"
_DATE_ONLY = re.compile(_DAY)
_TIME_ONLY = re.compile(_CLOCK + _ZONE)
_BOTH = re.compile(rf"{_DAY}[T\s_]\s?{_CLOCK}{_ZONE}")


def is_date(cell: str) -> bool:
    """Tell whether a cell is a day, such as `2024-06-01` or `01.06.2024`."""
    return len(cell) <= 16 and _DATE_ONLY.fullmatch(cell) is not None


def is_time(cell: str) -> bool:
    """Tell whether a cell is a time of day, or a day with one."""
    return len(cell) <= 48 and (_TIME_ONLY.fullmatch(cell) or _BOTH.fullmatch(cell)) is not None


def seconds_of(cells: list[bytes]) -> Numbers:
    """Return times in seconds, shape (n,): since 1970 for a day with a time, since midnight without; NaN for others."""
    return np.array([_seconds(cell) for cell in cells], np.float64)


def _seconds(cell: bytes) -> float:
    text = cell.decode("ascii", "replace").strip()
    found = (_BOTH.fullmatch(text) or _TIME_ONLY.fullmatch(text)) if len(text) <= 48 else None
    if found is None:
        return float("nan")
    parts = found.groupdict()
    hour = int(parts["h"]) % (12 if parts["half"] else 24) + 12 * ((parts["half"] or "").lower() == "pm")
    second = 3600 * hour + 60 * int(parts["m"]) + int(parts["s"] or 0)
    return _day(parts) * DAY_S + second + float(f"0.{parts['f'] or 0}")


def _day(parts: dict[str, str | None]) -> int:
    """Return days since 1970; the order of day and month in other than ISO dates is that of Europe where it can be."""
    if parts.get("y"):
        year, month, day = (int(parts[key] or 0) for key in ("y", "mo", "d"))
    elif parts.get("y2"):
        year, month, day = (int(parts[key] or 0) for key in ("y2", "mo2", "d2"))
        month, day = (day, month) if month > 12 else (month, day)
        year += 2000 if year < 100 else 0
    else:
        return 0
    try:
        return datetime(year, month, day).toordinal() - datetime(1970, 1, 1).toordinal()
    except ValueError:
        return 0


def over_midnight(seconds: Numbers, last: float | None) -> Numbers:
    """Return times of day that go on rising after midnight.

    Args:
        seconds: Times of day in order, shape (n,).
        last: The time before the first one, as this function returned it; None at the start.
    """
    before = seconds[0] if last is None else last
    steps = np.diff(seconds, prepend=before % DAY_S if last is not None else before)
    days = np.cumsum(steps < -DAY_S / 2) + (0 if last is None else np.floor(before / DAY_S))
    return seconds + days * DAY_S


def unwrapped(values: NDArray[np.float64], modulus: float, last: tuple[float, float] | None) -> Numbers:
    """Return the values of a counter that begins again after `modulus`, going on rising.

    Args:
        values: Values in order, shape (n,).
        modulus: Number that the counter never reaches.
        last: The value before the first one, as it was and as this function returned it; None at the start.
    """
    raw, risen = last or (values[0], values[0])
    rounds = np.cumsum(np.diff(values, prepend=raw) < -modulus / 2)
    return values + rounds * modulus + round((risen - raw) / modulus) * modulus
