"""The cells of a block of lines: where each begins and ends, and the numbers of chosen columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import TableError
from firmware_bridge.support.shown import printable
from firmware_bridge.tables.cells import has_thousands, is_comment
from firmware_bridge.tables.dialect import Dialect
from firmware_bridge.tables.lines import BLOCK_BYTES, blocks_of, lines_in
from firmware_bridge.tables.names import name_of
from firmware_bridge.tables.numbers import PAD, Numbers, Places, floats, trimmed
from firmware_bridge.tables.serial_log import cut_all

_LINE_END, _SPACE, _TAB = 10, 32, 9
_MARKS = tuple(b"#%/")
"""First bytes of lines that may be comments."""


@dataclass(frozen=True)
class Grid:
    """Cells of whole lines.

    Attributes:
        dialect: How the table is written.
        data: Bytes of the cells.
        starts: First byte of each cell, shape (n_rows, n_columns).
        ends: Byte behind each cell, shape (n_rows, n_columns).
        lines: Number of the line of each row in the file, from 1, shape (n_rows,).
    """

    dialect: Dialect
    data: NDArray[np.uint8]
    starts: Places
    ends: Places
    lines: Places

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.starts)

    def numbers(self, columns: Sequence[int]) -> Numbers:
        """Return the numbers of columns, shape (n_rows, len(columns)).

        Raises:
            TableError: If a cell of these columns is no number.
        """
        chosen = list(columns)
        starts, ends = self.starts[:, chosen].ravel(), self.ends[:, chosen].ravel()
        values = floats(self.data, starts, ends, self.dialect.decimal, lambda at: self._wrong(at, chosen))
        return values.reshape(len(self), len(chosen))

    def texts(self, column: int) -> list[bytes]:
        """Return the cells of a column, without spaces around them."""
        starts, ends = trimmed(self.data, self.starts[:, column], self.ends[:, column])
        data = self.data.tobytes()
        return [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def _wrong(self, at: int, columns: Sequence[int]) -> TableError:
        row, column = divmod(at, len(columns))
        got = bytes(self.data[self.starts[row, columns[column]] : self.ends[row, columns[column]]][:80])
        return not_a_number(self.dialect, int(self.lines[row]), columns[column], got)


def not_a_number(dialect: Dialect, line: int, column: int, got: bytes) -> TableError:
    """Return the error of a cell that is no number."""
    cell = printable(got.decode("utf-8", "replace").strip(), 40)
    names = dialect.header.names
    named = printable(name_of(names[column]).text if names else f"number {column + 1}", 40)
    advice = "Correct it there"
    if has_thousands(cell):
        advice = "Export the file without thousands separators"
    elif not cell:
        advice = "Fill it in, or cut the line out"
    return TableError(
        f"Line {line}, column {named}: expected a number, got {cell!r}. {advice}.",
        "not_a_number",
        line=line,
        column=names[column] if names else column + 1,
        got=cell,
    )


def grids_of(
    file: BinaryIO, dialect: Dialect, columns: Sequence[int], block_bytes: int = BLOCK_BYTES
) -> Iterator[Grid]:
    """Yield the rows of a table in pieces, from its first line of numbers.

    Args:
        file: The file, open for reading bytes.
        dialect: How it is written.
        columns: Columns that will be asked for; the cells of others may be left out.
        block_bytes: Bytes that are read at once.

    Raises:
        TableError: If a line has too few or too many cells.
        OSError: If the file cannot be read.
    """
    number = 1
    for block in blocks_of(file, dialect.encoding, block_bytes, dialect.end):
        first, number = number, number + lines_in(block)
        if number <= dialect.first_line:
            continue
        if first < dialect.first_line:
            block = block.split(b"\n", dialect.first_line - first)[-1]
            first = dialect.first_line
        grid = grid_of(block, dialect, columns, first)
        if len(grid):
            yield grid


def grid_of(block: bytes, dialect: Dialect, columns: Sequence[int], first_line: int) -> Grid:
    r"""Return the cells of whole lines.

    Args:
        block: Lines, the last one with its end `\n`.
        dialect: How they are written.
        columns: Columns that will be asked for; the cells of others may be left out.
        first_line: Number of the first line.

    Raises:
        TableError: If a line has too few or too many cells.
    """
    block = cut_all(block, dialect.separator) if dialect.has_arrows else block
    bare = block.translate(None, b'"') if b'"' in block else block
    data = np.frombuffer(b" " * PAD + bare, np.uint8)
    find = _between_spaces if dialect.separator is None else _between_separators
    found = find(data, dialect)
    if found is None:
        return _line_by_line(block, dialect, columns, first_line)
    starts, ends = found
    return Grid(dialect, data, starts, ends, np.arange(first_line, first_line + len(starts)))


def _between_separators(data: NDArray[np.uint8], dialect: Dialect) -> tuple[Places, Places] | None:
    """Return the places of cells if all lines have equally many; None otherwise."""
    assert dialect.separator is not None
    is_end = data == _LINE_END
    marks = np.flatnonzero(is_end | (data == ord(dialect.separator)))
    n_lines = np.count_nonzero(is_end)
    width, rest = divmod(len(marks), n_lines)
    if rest or width - dialect.n_columns not in (0, 1):
        return None
    ends: Places = marks.reshape(n_lines, width)
    if not is_end[ends[:, -1]].all():
        return None
    starts = np.empty_like(ends)
    starts.flat[0], starts.flat[1:] = PAD, ends.flat[:-1] + 1
    if width > dialect.n_columns:
        first, last = trimmed(data, starts[:, -1], ends[:, -1])
        if (first < last).any():
            return None
    elif dialect.n_columns == 1 and (starts == ends).any():
        return None  # empty lines
    if np.isin(data[starts[:, 0]], _MARKS).any():
        return None  # comments
    return starts[:, : dialect.n_columns], ends[:, : dialect.n_columns]


def _between_spaces(data: NDArray[np.uint8], dialect: Dialect) -> tuple[Places, Places] | None:
    """Return the places of cells if all lines have equally many; None otherwise."""
    is_end = data == _LINE_END
    is_blank = is_end | (data == _SPACE) | (data == _TAB)
    change = np.flatnonzero(is_blank[1:] != is_blank[:-1]) + 1
    starts, ends = change[0::2], change[1::2]
    n_lines = np.count_nonzero(is_end)
    if len(starts) != n_lines * dialect.n_columns or not len(starts):
        return None
    lines = np.flatnonzero(is_end)
    starts, ends = starts.reshape(n_lines, -1), ends.reshape(n_lines, -1)
    if (ends[:, -1] > lines).any() or (starts[1:, 0] < lines[:-1]).any() or np.isin(data[starts[:, 0]], _MARKS).any():
        return None
    return starts, ends


def _line_by_line(block: bytes, dialect: Dialect, columns: Sequence[int], first_line: int) -> Grid:
    """Return the cells of lines that differ: quoted separators, empty lines, comments."""
    cells: list[bytes] = []
    lines: list[int] = []
    for number, line in enumerate(block.decode("latin-1").split("\n")[:-1], start=first_line):
        if not line.strip() or is_comment(line):
            continue
        row = dialect.cells(line)
        if len(row) != dialect.n_columns:
            raise _count(dialect, number, len(row))
        cells += [row[column].encode("latin-1") for column in columns]
        lines.append(number)
    lengths = np.array([len(cell) + 1 for cell in cells], np.int64)
    ends = PAD + np.cumsum(lengths) - 1
    shape = (len(lines), dialect.n_columns)
    starts, until = np.full(shape, PAD), np.full(shape, PAD)
    if len(cells):
        starts[:, list(columns)] = (ends - lengths + 1).reshape(len(lines), -1)
        until[:, list(columns)] = ends.reshape(len(lines), -1)
    data = np.frombuffer(b" " * PAD + b"\n".join([*cells, b""]), np.uint8)
    return Grid(dialect, data, starts, until, np.array(lines, np.int64))


def _count(dialect: Dialect, line: int, got: int) -> TableError:
    above = "header" if dialect.header.names else "first lines"
    return TableError(
        f"Line {line}: expected {dialect.n_columns} values as in the {above}, got {got}. Add or remove values there.",
        "value_count",
        line=line,
        expected=dialect.n_columns,
        got=got,
    )
