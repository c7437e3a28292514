"""What stands above the numbers of a table: names of columns, a line of units, and remarks of an instrument."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from firmware_bridge.errors import TableError
from firmware_bridge.tables.cells import is_comment, is_number, split, uncommented
from firmware_bridge.tables.names import CLOCKS, PERHAPS, is_unit, name_of

_MOST_REMARKS = 200
_AXIS = re.compile(r"[A-Za-z]{0,12}[_.-]?[xyzXYZ0-9](?:[_(\[].{0,12})?,?")
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
    is_remark = is_comment(line)
    text = uncommented(line) if is_remark or not separator else line.strip(" ")
    for each in dict.fromkeys((separator, *(_OTHERS if is_remark or separator is None else ()))):
        cells = _filled_up(split(text, each), n_columns, body)
        if len(cells) != n_columns or not _can_be_names(cells):
            continue
        if is_remark and not _are_likely(cells, each is None):
            continue
        return tuple(cell.lstrip("#%").strip().strip("'").rstrip(",;").strip() for cell in cells)
    return ()


def _filled_up(cells: list[str], n_columns: int, body: Sequence[list[str]]) -> list[str]:
    """Return cells of a header as many as there are columns, where a program is known to write others."""
    if len(cells) > n_columns and not cells[-1]:
        cells = cells[:-1]
    if len(cells) == n_columns + 1 and cells[-1].lower() in ("comment", "kommentar"):
        cells = cells[:-1]  # LabVIEW names a column that most lines do not have
    if len(cells) == n_columns - 1 and _are_row_names(body):
        cells = ["", *cells]  # R does not name the column of row names
    return cells


def _can_be_names(cells: Sequence[str]) -> bool:
    """Tell names from numbers; pandas writes `,0,1` for an index and columns without names."""
    if not any(cells):
        return False
    is_numbered = not cells[0] and list(cells[1:]) == [str(k) for k in range(len(cells) - 1)]
    return is_numbered or 2 * sum(is_number(cell, ".") for cell in cells) <= len(cells)


def _are_likely(cells: Sequence[str], is_by_spaces: bool) -> bool:
    """Tell names in a comment from words: no values are among them, and of words one names a clock or an axis."""
    if any("=" in cell or ": " in cell or cell.endswith(":") for cell in cells):
        return False
    return not is_by_spaces or any(_AXIS.fullmatch(cell) or name_of(cell).is_only(CLOCKS | PERHAPS) for cell in cells)


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
