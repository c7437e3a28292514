"""Cells of time to seconds: numbers, ISO 8601, D.M.Y and the time of day."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.tables.numbers import PAD, Numbers

DAY_S = 86400.0

_LONGEST = 48
_MOST_FORMS = 4
_ZERO, _NINE = b"09"

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
    return len(cell) <= _LONGEST and (_TIME_ONLY.fullmatch(cell) or _BOTH.fullmatch(cell)) is not None


def seconds_of(cells: Sequence[bytes]) -> Numbers:
    """Return times in seconds, shape (n,): since 1970 for a day with a time, since midnight without; NaN for others."""
    cells = [cell.strip() for cell in cells]
    ends = PAD + np.cumsum([len(cell) for cell in cells], dtype=np.int64)
    data = np.frombuffer(b" " * PAD + b"".join(cells), np.uint8)
    widths = np.diff(ends, prepend=PAD)
    seconds = np.full(len(cells), np.nan)
    for width in np.unique(widths[(widths > 0) & (widths <= _LONGEST)]).tolist():
        which = np.flatnonzero(widths == width)
        seconds[which] = _alike(data[ends[which, None] - width + np.arange(width)])
    return seconds


def _alike(cells: NDArray[np.uint8]) -> Numbers:
    """Return the times of cells of one length, shape (n, width): at once where they differ in digits alone."""
    seconds = np.empty(len(cells))
    left = np.arange(len(cells))
    for _ in range(_MOST_FORMS):
        if not len(left):
            return seconds
        first = cells[left[0]]
        is_digit = (first >= _ZERO) & (first <= _NINE)
        same = (cells[left][:, ~is_digit] == first[~is_digit]).all(axis=1)
        digits = cells[left][:, is_digit]
        same &= ((digits >= _ZERO) & (digits <= _NINE)).all(axis=1)
        seconds[left[same]] = _of_form(cells[left[same]], _match(first.tobytes()))
        left = left[~same]
    seconds[left] = [_of_form(cells[at : at + 1], _match(cells[at].tobytes()))[0] for at in left.tolist()]
    return seconds


def _match(cell: bytes) -> re.Match[str] | None:
    text = cell.decode("latin-1")
    return _BOTH.fullmatch(text) or _TIME_ONLY.fullmatch(text)


def _of_form(cells: NDArray[np.uint8], form: re.Match[str] | None) -> Numbers:
    if form is None:
        return np.full(len(cells), np.nan)
    parts = {name: _integer(cells[:, slice(*form.span(name))]) for name, text in form.groupdict().items() if text}
    half = (form["half"] or "").lower()
    hour = parts["h"] % 12 + 12 * (half == "pm") if half else parts["h"]
    day_s = 3600 * hour + 60 * parts["m"] + parts.get("s", 0)
    fraction = parts["f"] / 10.0 ** len(form["f"]) if form["f"] else 0.0
    return _days(parts, form) * DAY_S + day_s + fraction


def _integer(digits: NDArray[np.uint8]) -> NDArray[np.int64]:
    value = np.zeros(len(digits), np.int64)
    for column in digits.T:
        value = value * 10 + (column.astype(np.int64) - _ZERO)
    return value


def _days(parts: Mapping[str, NDArray[np.int64]], form: re.Match[str]) -> NDArray[np.int64]:
    """Return days since 1970; 0 without a day, and where month and day may be in either order (`6/1/2024`)."""
    names = ("y", "mo", "d") if "y" in parts else ("y2", "mo2", "d2")
    if names[0] not in parts or (names[0] == "y2" and "/" in form[0]):
        return np.zeros(len(parts["h"]), np.int64)
    dates = np.column_stack([parts[name] for name in names])
    different, inverse = np.unique(dates, axis=0, return_inverse=True)
    return np.array([_day(*date) for date in different.tolist()], np.int64)[inverse.ravel()]


def _day(year: int, month: int, day: int) -> int:
    try:
        return datetime(year + 2000 * (year < 100), month, day).toordinal() - datetime(1970, 1, 1).toordinal()
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
