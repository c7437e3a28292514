"""What stands above the numbers of a table: names of columns, a line of units, and remarks of an instrument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firmware_bridge.errors import TableError
from firmware_bridge.tables.cells import is_comment, is_number, split, uncommented
from firmware_bridge.tables.names import is_unit

_MOST_REMARKS = 200
_OTHERS = ("\t", ",", ";", None)


@dataclass(frozen=True)
class Header:
    """What stands above the numbers.

    Attributes:
        names: Names of the columns as written, one for each; empty if there are none.
        units: Units from a line below the names, one for each column; empty if there is none.
        remarks: The other lines above the numbers, without signs of comments.
        lines_of_numbers: 1 if the first line of numbers is a header of column numbers, otherwise 0.
    """

    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    lines_of_numbers: int = 0


def header_above(above: Sequence[str], body: Sequence[list[str]], separator: str | None, n_columns: int) -> Header:
    """Find names and units in the lines above the numbers.

    Args:
        above: All lines above the first line of numbers.
        body: Cells of the first lines of numbers.
        separator: Separator of the numbers.
        n_columns: Number of columns.

    Raises:
        TableError: If the only line above the numbers has another number of names.
    """
    if _are_column_numbers(body, n_columns):
        return Header(tuple(body[0][:n_columns]), remarks=_remarks(above), lines_of_numbers=1)
    told = [line for line in above if line.strip()]
    names = _names(told[-1], separator, n_columns, body) if told else ()
    units: tuple[str, ...] = ()
    if names and len(told) > 1 and all(is_unit(name) for name in names if name) and any(names):
        over = _names(told[-2], separator, n_columns, body)
        names, units, told = (over, names, told[:-1]) if over else (names, (), told)
    if not names and len(told) == 1 and not is_comment(told[0]):
        _check_count(told[0], above, separator, n_columns)
    return Header(names, units, _remarks(told[:-1] if names else told))


def _remarks(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(text for line in lines[-_MOST_REMARKS:] if (text := uncommented(line)))


def _names(line: str, separator: str | None, n_columns: int, body: Sequence[list[str]]) -> tuple[str, ...]:
    """Return the names of a line; nothing if it does not name each column."""
    text = uncommented(line) if is_comment(line) or not separator else line.strip("\n").strip(" ")
    for each in dict.fromkeys((separator, *(_OTHERS if is_comment(line) or separator is None else ()))):
        cells = split(text, each)
        if len(cells) > n_columns and not cells[-1]:
            cells = cells[:-1]
        if len(cells) == n_columns + 1 and cells[-1].lower() in ("comment", "kommentar"):
            cells = cells[:-1]  # LabVIEW names a column that most lines do not have
        if len(cells) == n_columns - 1 and _are_row_names(body):
            cells = ["", *cells]  # R does not name the column of row names
        if len(cells) == n_columns and any(cells) and (not _are_numbers(cells) or _are_numbered(cells)):
            return tuple(cell.lstrip("#%").strip().strip("'").rstrip(",;").strip() for cell in cells)
    return ()


def _are_numbers(cells: Sequence[str]) -> bool:
    return all(is_number(cell, ".") for cell in cells if cell)


def _are_numbered(cells: Sequence[str]) -> bool:
    """Tell the header `,0,1`, which pandas writes for an index and columns without names."""
    return not cells[0] and cells[1:] == [str(k) for k in range(len(cells) - 1)]


def _are_row_names(body: Sequence[list[str]]) -> bool:
    names = [row[0] for row in body if row]
    return len(names) > 1 and names in ([str(k) for k in range(len(names))], [str(k + 1) for k in range(len(names))])


def _are_column_numbers(body: Sequence[list[str]], n_columns: int) -> bool:
    """Tell a header `0,1,2`, which pandas writes for columns without names, from numbers: none below is an integer."""
    if len(body) < 2 or not n_columns:
        return False
    numbered = body[0][:n_columns] in ([str(k) for k in range(n_columns)], [str(k + 1) for k in range(n_columns)])
    return numbered and not any(cell.lstrip("+-").isdigit() for row in body[1:] for cell in row[:n_columns])


def _check_count(line: str, above: Sequence[str], separator: str | None, n_columns: int) -> None:
    """Refuse a header that names too few or too many columns; a title of one word is none.

    Raises:
        TableError: If the line names several columns, or one and the numbers have two, as with a decimal comma.
    """
    cells = split(line, separator)
    if len(cells) > 1 or n_columns == 2:
        number = len(above) + 1
        comma = " If the comma is a decimal sign, export the file with points." if separator == "," else ""
        raise TableError(
            f"Line {number}: expected {len(cells)} values as in the header, got {n_columns}. Correct it.{comma}",
            "value_count",
            line=number,
            expected=len(cells),
            got=n_columns,
        )
