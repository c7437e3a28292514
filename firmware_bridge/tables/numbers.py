"""Numbers from the cells of a block of lines, all at once with NumPy, and to the last bit as `float` reads them.

A number of up to 15 digits is an integer below 2^53 over a power of ten that a double holds exactly, so that a single
division rounds it correctly (Clinger 1990, doi:10.1145/93542.93557). Its digits are read eight at a time, as bytes of
one 64-bit integer. Other numbers (more digits, huge exponents, NaN) are read one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

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
_WORD = 8
_MOST_EXPONENT = 999
_EXPONENTS = b"eEdD"
_SPACE, _TAB, _MINUS, _PLUS = 32, 9, 45, 43

Places = NDArray[np.int64]
Numbers = NDArray[np.float64]


def trimmed(data: NDArray[np.uint8], starts: Places, ends: Places) -> tuple[Places, Places]:
    """Return the places of cells without the spaces and tabs around them."""
    while (blank := _is_blank(data[starts]) & (starts < ends)).any():
        starts = starts + blank
    while (blank := _is_blank(data[ends - 1]) & (starts < ends)).any():
        ends = ends - blank
    return starts, ends


def _is_blank(data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (data == _SPACE) | (data == _TAB)


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
    if _is_one_of(data[starts[0] : ends[0]], _EXPONENTS).any():
        values, is_ok = _scientific(data, begin, ends, decimal)
        again = _plain
    else:
        values, is_ok = _plain(data, begin, ends, decimal)
        again = _scientific
    if not is_ok.all():
        left = np.flatnonzero(~is_ok)
        values[left], is_ok[left] = again(data, begin[left], ends[left], decimal)
    np.negative(values, out=values, where=negative)
    if not is_ok.all():
        left = np.flatnonzero(~is_ok)
        values[left] = _one_by_one(data, starts[left], ends[left], decimal, lambda at: wrong(int(left[at])))
    return values


def _one_by_one(
    data: NDArray[np.uint8], starts: Places, ends: Places, decimal: str, wrong: Callable[[int], Exception]
) -> list[float]:
    """Return numbers that need more care: of more digits, with huge exponents, and words such as NaN."""
    text = data.tobytes()
    cells = [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    if decimal == "." and b"_" not in text:  # which `float` would take
        with suppress(ValueError):
            return list(map(float, cells))
    values = []
    for at, cell in enumerate(cells):
        try:
            values.append(to_float(cell, decimal))
        except ValueError:
            raise wrong(at) from None
    return values


def _plain(data: NDArray[np.uint8], starts: Places, ends: Places, decimal: str) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return numbers without sign and exponent, and which cells are such."""
    mantissa, n_part, is_ok = _mantissa(data, starts, ends, decimal)
    values = mantissa.astype(np.float64)
    values /= _TENS[np.minimum(n_part, len(_TENS) - 1)]
    return values, is_ok


def _scientific(
    data: NDArray[np.uint8], starts: Places, ends: Places, decimal: str
) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return numbers with an exponent, without their sign, and which cells are such."""
    until = _places(data, _EXPONENTS, starts, ends)
    mantissa, n_part, is_ok = _mantissa(data, starts, until, decimal)
    sign = data[np.minimum(until + 1, ends - 1)]
    begin = np.minimum(until + 1 + ((sign == _MINUS) | (sign == _PLUS)), ends)
    size, size_ok = _digits(data, begin, ends)
    is_ok &= size_ok & (begin < ends) & (size < _MOST_EXPONENT)
    exponents = np.minimum(size, _MOST_EXPONENT).astype(np.int64)
    power = np.where(sign == _MINUS, -exponents, exponents) - n_part
    is_ok &= np.abs(power) < len(_TENS)
    tens = _TENS[np.minimum(np.abs(power), len(_TENS) - 1)]
    values = mantissa.astype(np.float64)
    return np.where(power < 0, values / tens, values * tens), is_ok


def _mantissa(
    data: NDArray[np.uint8], starts: Places, ends: Places, decimal: str
) -> tuple[NDArray[np.uint64], Places, NDArray[np.bool_]]:
    """Return digits as integers, how many stand behind the decimal sign, and which cells are such digits."""
    point = _places(data, decimal.encode(), starts, ends)
    has_point = point < ends
    n_part = ends - point - has_point
    n_digits = n_part + (point - starts)
    mantissa, is_ok = _short(data, ends, n_part, n_digits, has_point)
    is_ok &= n_digits > 0
    is_long = n_digits + has_point > _WORD
    if is_long.any():
        long = np.flatnonzero(is_long)
        mantissa[long], is_ok[long] = _long(data, starts[long], point[long], ends[long], n_part[long], n_digits[long])
    return mantissa, n_part, is_ok


def _short(
    data: NDArray[np.uint8], ends: Places, n_part: Places, n_digits: Places, has_point: NDArray[np.bool_]
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return digits that take up to eight bytes with the decimal sign, which is taken out, as integers."""
    words = _words(data, ends)
    part = _MASKS[np.minimum(n_part, _WORD)]
    every = _MASKS[np.minimum(n_digits, _WORD)]
    digits = words << (has_point * np.uint64(8))
    digits &= every ^ part
    words &= part
    digits |= words
    digits ^= every & _ASCII_ZEROS
    return _integers(digits)


def _long(
    data: NDArray[np.uint8], starts: Places, point: Places, ends: Places, n_part: Places, n_digits: Places
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    whole, whole_ok = _digits(data, starts, point)
    part, part_ok = _digits(data, ends - n_part, ends)
    mantissa = whole * _TENS_INT[np.minimum(n_part, _MOST_DIGITS)] + part
    return mantissa, whole_ok & part_ok & (n_digits <= _MOST_DIGITS) & (mantissa <= _EXACT)


def _places(data: NDArray[np.uint8], marks: bytes, starts: Places, ends: Places) -> Places:
    """Return where the first of some marks stands in each cell; the end of a cell that has none.

    Most tables have equally many digits in all cells, so that the mark is looked for as far from the end as in the
    first cell, and only then elsewhere.
    """
    text = data[starts[0] : ends[0]].tobytes()
    from_end = len(text) - min((text.index(mark) for mark in marks if mark in text), default=len(text))
    places = np.maximum(ends - from_end, starts)
    elsewhere = ~_is_one_of(data[np.minimum(places, ends - 1)], marks) | (places >= ends)
    if elsewhere.any():
        left = np.flatnonzero(elsewhere)
        places[left] = _searched(data, marks, starts[left], ends[left])
    return places


def _is_one_of(data: NDArray[np.uint8], marks: bytes) -> NDArray[np.bool_]:
    found = data == marks[0]
    for mark in marks[1:]:
        found |= data == mark
    return found


def _searched(data: NDArray[np.uint8], marks: bytes, starts: Places, ends: Places) -> Places:
    begin = int(starts[0])
    found = np.flatnonzero(_is_one_of(data[begin : int(ends[-1])], marks)) + begin
    places = ends.copy()
    cell = np.searchsorted(ends, found, side="right")
    inside = cell < len(ends)
    found, cell = found[inside], cell[inside]
    inside = found >= starts[cell]
    places[cell[inside][::-1]] = found[inside][::-1]  # of several marks in a cell, the first
    return places


def _digits(data: NDArray[np.uint8], starts: Places, ends: Places) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return the integers of runs of up to 16 digits, and which runs are such; no digits count as 0."""
    width = ends - starts
    value, is_ok = _eight(data, ends, width)
    is_ok &= width <= 2 * _WORD
    if (longer := np.flatnonzero(width > _WORD)).size:
        high, high_ok = _eight(data, ends[longer] - _WORD, np.minimum(width[longer] - _WORD, _WORD))
        value[longer] += high * _TENS_INT[_WORD]
        is_ok[longer] &= high_ok
    return value, is_ok


def _eight(data: NDArray[np.uint8], ends: Places, width: Places) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    digits = _words(data, ends)
    digits ^= _ASCII_ZEROS
    digits &= _MASKS[np.minimum(width, _WORD)]
    return _integers(digits)


def _words(data: NDArray[np.uint8], ends: Places) -> NDArray[np.uint64]:
    """Return the eight bytes before each place; the last one is the highest byte."""
    at_each_byte = np.ndarray((len(data) - 7,), "<u8", buffer=data, strides=(1,))
    return at_each_byte[ends - _WORD]


def _integers(digits: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Turn eight digits of one byte each, the highest byte last, into integers; and tell which are digits."""
    wrong = digits + _ABOVE_NINE
    wrong |= digits
    wrong &= _HIGH_BITS
    for mask, factor, shift in _STEPS:
        digits &= mask
        digits *= factor
        digits >>= shift
    return digits, wrong == 0
