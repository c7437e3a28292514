"""Numbers from the cells of a block of lines, all at once with NumPy, and to the last bit as `float` reads them.

A number of up to 15 digits is an integer below 2^53 over a power of ten that a double holds exactly, so that a single
division rounds it correctly (Clinger 1990, doi:10.1145/93542.93557). Its digits are read eight at a time, as bytes of
one 64-bit integer. Other numbers (more digits, huge exponents, NaN) are read one by one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.tables.cells import to_float

PAD = 16
"""Bytes that must lie before the first cell."""

_MASKS = np.array([((1 << 64) - 1) << 8 * (8 - width) & ((1 << 64) - 1) for width in range(9)], np.uint64)
_ASCII_ZEROS = np.uint64(0x3030303030303030)
_ABOVE_NINE = np.uint64(0x7676767676767676)
_HIGH_BITS = np.uint64(0x8080808080808080)
_STEPS = (
    (np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(2561), np.uint64(8)),
    (np.uint64(0x00FF00FF00FF00FF), np.uint64(6553601), np.uint64(16)),
    (np.uint64(0x0000FFFF0000FFFF), np.uint64(42949672960001), np.uint64(32)),
)
_TENS_INT = np.array([10**power for power in range(19)], np.uint64)
_TENS = np.array([float(10**power) for power in range(23)])
_EXACT = np.uint64(1 << 53)
_MOST_DIGITS = 18
_SPACE, _TAB, _MINUS, _PLUS = 32, 9, 45, 43

Places = NDArray[np.int64]
Numbers = NDArray[np.float64]


def trimmed(data: NDArray[np.uint8], starts: Places, ends: Places) -> tuple[Places, Places]:
    """Return the places of cells without the spaces and tabs around them."""
    while (blank := (starts < ends) & np.isin(data[starts], (_SPACE, _TAB))).any():
        starts = starts + blank
    while (blank := (starts < ends) & np.isin(data[ends - 1], (_SPACE, _TAB))).any():
        ends = ends - blank
    return starts, ends


def floats(
    data: NDArray[np.uint8], starts: Places, ends: Places, decimal: str, wrong: Callable[[int], Exception]
) -> Numbers:
    """Return the numbers of cells.

    Args:
        data: Bytes; the first cell begins at `PAD` or later.
        starts: First byte of each cell, shape (n,), rising.
        ends: Byte behind each cell, shape (n,).
        decimal: Decimal sign, "." or ",".
        wrong: Returns the error to raise, from the position of a cell that is no number.

    Returns:
        Shape (n,).
    """
    if not len(starts):
        return np.empty(0)
    starts, ends = trimmed(data, starts, ends)
    first = data[starts]
    negative = first == _MINUS
    begin = starts + (negative | (first == _PLUS))
    until, exponent, is_ok = _exponents(data, begin, ends)
    point = _places(data == ord(decimal), begin, until)
    whole, whole_ok = _digits(data, begin, point)
    behind = np.minimum(point + 1, until)
    part, part_ok = _digits(data, behind, until)
    n_whole, n_part = point - begin, until - behind
    is_ok &= whole_ok & part_ok & (n_whole + n_part <= _MOST_DIGITS) & (n_whole + n_part > 0)
    mantissa = whole * _TENS_INT[np.clip(n_part, 0, _MOST_DIGITS)] + part
    power = exponent - n_part
    is_ok &= (mantissa <= _EXACT) & (np.abs(power) < len(_TENS))
    tens = _TENS[np.minimum(np.abs(power), len(_TENS) - 1)]
    values = mantissa.astype(np.float64)
    values = np.where(power < 0, values / tens, values * tens)
    np.negative(values, out=values, where=negative)
    _one_by_one(values, np.flatnonzero(~is_ok), data, starts, ends, decimal, wrong)
    return values


def _one_by_one(
    values: Numbers,
    which: NDArray[np.intp],
    data: NDArray[np.uint8],
    starts: Places,
    ends: Places,
    decimal: str,
    wrong: Callable[[int], Exception],
) -> None:
    """Fill in the numbers that need more care."""
    text = data.tobytes() if len(which) else b""
    for at in which.tolist():
        try:
            values[at] = to_float(text[starts[at] : ends[at]], decimal)
        except ValueError:
            raise wrong(at) from None


def _places(found: NDArray[np.bool_], starts: Places, ends: Places) -> Places:
    """Return where a mark stands in each cell; the end of a cell that has none."""
    marks = np.flatnonzero(found)
    if len(marks) == len(starts) and (marks >= starts).all() and (marks < ends).all():
        return marks
    places = ends.copy()
    cell = np.searchsorted(ends, marks, side="right")
    inside = cell < len(ends)
    marks, cell = marks[inside], cell[inside]
    inside = marks >= starts[cell]
    places[cell[inside]] = marks[inside]
    return places


def _exponents(data: NDArray[np.uint8], starts: Places, ends: Places) -> tuple[Places, Places, NDArray[np.bool_]]:
    """Return where each mantissa ends, the exponents of ten, and which of them are small plain numbers."""
    is_ok = np.ones(len(starts), bool)
    lower = data | 32
    found = (lower == ord("e")) | (lower == ord("d"))
    if not found.any():
        return ends, np.zeros(len(starts), np.int64), is_ok
    until = _places(found, starts, ends)
    exponents = np.zeros(len(starts), np.int64)
    which = np.flatnonzero(until < ends)
    sign_at = np.minimum(until[which] + 1, ends[which] - 1)
    sign = data[sign_at]
    begin = np.minimum(until[which] + 1 + np.isin(sign, (_MINUS, _PLUS)), ends[which])
    size, digits_ok = _digits(data, begin, ends[which])
    width = ends[which] - begin
    is_ok[which] = digits_ok & (width > 0) & (width <= 3)
    exponents[which] = np.where(sign == _MINUS, -1, 1) * np.minimum(size, np.uint64(999)).astype(np.int64)
    return until, exponents, is_ok


def _digits(data: NDArray[np.uint8], starts: Places, ends: Places) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return the integers of runs of up to 16 digits, and which runs are such; no digits count as 0."""
    width = ends - starts
    value, is_ok = _eight(data, ends, width)
    is_ok &= width <= 16
    if (longer := np.flatnonzero(width > 8)).size:
        high, high_ok = _eight(data, ends[longer] - 8, width[longer] - 8)
        value[longer] += high * _TENS_INT[8]
        is_ok[longer] &= high_ok
    return value, is_ok


def _eight(data: NDArray[np.uint8], ends: Places, width: Places) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    words = np.ndarray((len(data) - 7,), "<u8", buffer=data, strides=(1,))
    value = (words[ends - 8] ^ _ASCII_ZEROS) & _MASKS[np.clip(width, 0, 8)]
    is_ok = ((value + _ABOVE_NINE) | value) & _HIGH_BITS == 0
    for mask, factor, shift in _STEPS:
        value = (value & mask) * factor >> shift
    return value, is_ok
