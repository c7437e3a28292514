"""The end of a table: lines below the numbers that are no samples, and a last line that was cut off."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import BinaryIO

from firmware_bridge.tables.cells import is_comment, is_number
from firmware_bridge.tables.dialect import Dialect
from firmware_bridge.tables.lines import BLOCK_BYTES, blocks_of, lines_in
from firmware_bridge.tables.stamps import is_date, is_time

_MOST_LINES = 50
"""Most lines below the numbers."""
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_ENDS = ("\n", "\r")
_BEGUN = re.compile(r"(?:[0-9+\-.,:/][0-9+\-.,:/ T]*(?:[eEdD][+-]?)?)?")
"""What may be left of a number or a time."""
_LABEL = re.compile(r"[^0-9+\-.,]|\D+$")


@dataclass(frozen=True)
class Ending:
    """What stands below the numbers.

    Attributes:
        end: Byte of the file behind the last line of numbers.
        line: Number of the last line of numbers, from 1.
        n_lines: Number of lines below it, without empty ones and comments.
        shown: The first of these.
        is_cut: Whether it is a single line that was cut off.
    """

    end: int
    line: int
    n_lines: int
    shown: str
    is_cut: bool


class _Line(Enum):
    ROW = auto()  # fits the table, or is to be read and refused
    NOTHING = auto()  # is skipped among the numbers as well
    WORDS = auto()  # no sample for certain
    CUT = auto()  # the beginning of a row
    ODD = auto()  # numbers that do not fit


def ending_of(file: BinaryIO, size: int, dialect: Dialect) -> Ending | None:
    """Return what stands below the numbers; None if there is nothing, or numbers that do not fit the table.

    Args:
        file: The file, open for reading bytes.
        size: Its size in bytes.
        dialect: How the table is written.

    Raises:
        OSError: If the file cannot be read.
    """
    encoding = dialect.encoding
    start = max(encoding.mark_bytes, size - BLOCK_BYTES)
    start += (start - encoding.mark_bytes) % 2 if encoding.is_wide else 0
    file.seek(start)
    data = file.read(BLOCK_BYTES)
    lines = _LINE.findall(data.decode(encoding.name if encoding.is_wide else "latin-1", "replace"))
    below: list[str] = []
    is_cut = False
    while lines:
        kind = _kind_of(_text(lines[-1], dialect), dialect, is_last=not below and not lines[-1].endswith(_ENDS))
        if kind is _Line.ROW:
            break
        if kind is _Line.ODD or len(below) == _MOST_LINES:
            return None
        line = lines.pop()
        is_cut |= kind is _Line.CUT
        if kind is not _Line.NOTHING:
            below.append(line)
    if not below or not lines:
        return None
    end = start + len("".join(lines).encode(encoding.name if encoding.is_wide else "latin-1", "replace"))
    number = sum(map(lines_in, blocks_of(file, encoding, end=end)))
    if number < dialect.first_line:
        return None
    return Ending(end, number, len(below), _text(below[-1], dialect).strip(), is_cut and len(below) == 1)


def _text(line: str, dialect: Dialect) -> str:
    """Return a line without its end, in the characters of the table."""
    if not dialect.encoding.is_wide:
        line = line.encode("latin-1").decode(dialect.encoding.name, "replace")
    return line.rstrip("\r\n").replace("\u2212", "-")


def _kind_of(line: str, dialect: Dialect, is_last: bool) -> _Line:
    """Tell what a line is.

    Args:
        line: The line without its end.
        dialect: How the table is written.
        is_last: Whether it is the last one of the file, and has no end.
    """
    if not line.strip() or is_comment(line):
        return _Line.NOTHING
    cells = dialect.cells(line)
    if is_last and _is_cut(cells, dialect):
        return _Line.CUT
    if not any(cells):
        return _Line.WORDS
    if len(cells) == dialect.n_columns:
        first = next((at for at, cell in enumerate(cells) if cell), 0)
        is_label = not _fits(cells[first], first, dialect) and _LABEL.match(cells[first]) is not None
        return _Line.WORDS if is_label else _Line.ROW
    has_words = any(cell and not is_number(cell, dialect.decimal) for cell in cells)
    return _Line.WORDS if has_words else _Line.ODD


def _fits(cell: str, column: int, dialect: Dialect) -> bool:
    """Tell whether a cell is what its column holds; columns of text hold anything."""
    if column in dialect.numeric:
        return is_number(cell, dialect.decimal)
    return column not in dialect.times or is_time(cell) or is_date(cell)


def _is_cut(cells: list[str], dialect: Dialect) -> bool:
    """Tell whether cells are the beginning of a row whose last cells, or the end of a number, are missing."""
    *before, last = cells
    if len(cells) > dialect.n_columns or not all(_fits(cell, at, dialect) for at, cell in enumerate(before) if cell):
        return False
    at = len(before)
    is_told = at in dialect.numeric or at in dialect.times
    if len(cells) == dialect.n_columns:
        return at > 0 and at in dialect.numeric and not is_number(last, dialect.decimal) and _is_begun(last)
    return _is_begun(last) or _fits(last, at, dialect) if is_told else True


def _is_begun(cell: str) -> bool:
    return _BEGUN.fullmatch(cell) is not None
