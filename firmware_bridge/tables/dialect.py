"""The dialect of a table by its first lines: separator, decimal sign, where the numbers begin, names and units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from firmware_bridge.errors import TableError
from firmware_bridge.support.shown import printable
from firmware_bridge.tables.cells import has_thousands, is_comment, is_number, split
from firmware_bridge.tables.encoding import Encoding, encoding_of
from firmware_bridge.tables.header import Header, header_above
from firmware_bridge.tables.lines import LONGEST_LINE
from firmware_bridge.tables.serial_log import cut, is_stamped, without_stamps
from firmware_bridge.tables.stamps import is_date, is_time

HEAD_BYTES = LONGEST_LINE
"""Bytes by which a dialect is decided."""
_MOST_LINES = 2000
_SAMPLE = 64
_MOST_HEADER_LINES = 1000
_CANDIDATES: tuple[tuple[str | None, str], ...] = (
    ("\t", "."), (";", "."), ("\t", ","), (";", ","), (",", "."), (None, "."), (None, ","), (",", ","),
)  # fmt: skip
_AGREEING = 0.6
_TINY = 3
_MOST_JUDGED = 512
"""Columns by which a way to read lines is judged."""
_JUDGED_TEXT = 4096
"""Characters of a line in which thousands separators are looked for."""
_LEAST_TOLD = 0.5
"""Least share of numbers and times among cells that spaces separate; with less, the text is prose."""


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes:
        encoding: Its characters.
        separator: The character between cells; None for runs of spaces and tabs.
        decimal: Decimal sign, "." or ",".
        n_columns: Columns, without an empty one behind a separator at the ends of lines.
        first_line: Number of the first line of numbers, from 1.
        header: Names and units of the columns, and the lines above.
        numeric: Columns of which most cells are numbers.
        times: Columns of which most cells are times or dates.
        end: Byte of the file behind the last line of numbers; None if that is the end of the file.
        has_arrows: Whether an arrow stands behind the time of each line, see `serial_log`.
    """

    encoding: Encoding
    separator: str | None
    decimal: str
    n_columns: int
    first_line: int
    header: Header
    numeric: tuple[int, ...] = ()
    times: tuple[int, ...] = ()
    end: int | None = None
    has_arrows: bool = False

    def cells(self, line: str) -> list[str]:
        """Return the cells of a line, without an empty one behind the last separator."""
        cells = split(cut(line, self.separator) if self.has_arrows else line, self.separator)
        return cells[:-1] if len(cells) == self.n_columns + 1 and not cells[-1] else cells


def dialect_of(head: bytes, is_all: bool) -> Dialect:
    """Decide the dialect of a table by the first bytes of its file.

    Args:
        head: The first `HEAD_BYTES` of the file, or all.
        is_all: Whether that is the whole file.

    Raises:
        TableError: If there is no table of numbers in these bytes.
    """
    encoding = encoding_of(head)
    lines = _lines(head, encoding, is_all)
    told = _told(lines)
    if is_stamped(told[-_SAMPLE:]) and told:
        bare = without_stamps(told)
        separator = _form(bare[1:] or bare, bare).separator
        dialect = _dialect(encoding, [cut(line, separator) for line in lines])
        return replace(dialect, header=_with_time(dialect.header), has_arrows=True)
    return _dialect(encoding, lines)


def _told(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.strip() and not is_comment(line)]


def _with_time(header: Header) -> Header:
    """Return a header whose first name is no time of day, which stands before every line of a serial log."""
    if not header.names or not is_time(header.names[0]):
        return header
    return replace(header, names=("time", *header.names[1:]))


def _dialect(encoding: Encoding, lines: Sequence[str]) -> Dialect:
    told = _told(lines)
    form = _form(told[1:] or told or lines, lines)  # the first line may be a header
    start = _first(lines, form)
    body = [split(line, form.separator) for line in lines[start : start + _SAMPLE] if line.strip()]
    header = header_above(lines[:start], body, form.separator, form.n_columns)
    start += header.lines_of_numbers
    how = form.separator, form.decimal, form.n_columns
    return Dialect(encoding, *how, start + 1, header, form.numeric, form.times)


def text_of(head: bytes, encoding: Encoding) -> str:
    r"""Return the text of a file's first bytes, every line ending with `\n`."""
    decoded = head[encoding.mark_bytes :].decode(encoding.name, "replace")
    return decoded.replace("\r\n", "\n").replace("\r", "\n")


def _lines(head: bytes, encoding: Encoding, is_all: bool) -> list[str]:
    text = text_of(head, encoding)
    if not text.strip():
        raise TableError("It holds no text.", "no_samples")
    lines = text.split("\n", _MOST_LINES)
    if len(lines) > 1 and (not is_all or not lines[-1] or len(lines) > _MOST_LINES):
        lines.pop()
    elif not is_all:
        raise TableError(
            f"Line 1 is longer than {LONGEST_LINE} bytes, which no table of one line per sample has. Write one sample "
            "on each line.",
            "line_too_long",
            line=1,
        )
    return lines


# --- separator and decimal sign ----------------------------------------------------------------------------------


class _Form(NamedTuple):
    """A way to read lines.

    Attributes:
        separator: The character between cells; None for runs of spaces and tabs.
        decimal: Decimal sign.
        n_columns: Number of cells of most lines.
        numeric: Columns that are numbers in most of these lines.
        times: Columns that are times or dates in most of these lines.
    """

    separator: str | None
    decimal: str
    n_columns: int
    numeric: tuple[int, ...]
    times: tuple[int, ...] = ()

    @property
    def score(self) -> tuple[float, int]:
        """The share of columns that are numbers or times, and how many these are."""
        n_told = len(self.numeric) + len(self.times)
        return n_told / min(self.n_columns, _MOST_JUDGED), n_told

    def is_numbers(self, line: str) -> bool:
        """Tell whether a line has numbers where the table has them."""
        row = _without_end(split(line, self.separator), self.n_columns)
        return len(row) == self.n_columns and all(is_number(row[column], self.decimal) for column in self.numeric)


def _form(told: Sequence[str], lines: Sequence[str]) -> _Form:
    """Return how to read the numbers, by the last lines, above which headers may stand."""
    for size in (_SAMPLE, _SAMPLE // 4, 4, 1):
        sample = told[-size:]
        forms = [form for candidate in _CANDIDATES if (form := _fit(sample, *candidate)) is not None]
        if forms:
            best = max(forms, key=lambda form: form.score)  # the first of equal ones
            if best.separator != "," or _is_named(lines, best.n_columns):
                return best
            if best.n_columns == 2 and _is_one_with_decimal_comma(sample):
                return _Form(";", ",", 1, (0,))
            _check_no_decimal_commas(sample, best.n_columns)
            return best
    raise _no_table(lines, told[-_SAMPLE:])


def _fit(sample: Sequence[str], separator: str | None, decimal: str) -> _Form | None:
    if separator == decimal and not all('"' in line for line in sample):
        return None
    rows = [split(line, separator) for line in sample]
    width, agreeing = Counter(map(len, rows)).most_common(1)[0]
    fitting = [row for row in rows if len(row) == width]
    n_columns = width - (width > 1 and 2 * sum(not row[-1] for row in fitting) > len(fitting))
    rows = [row for row in (_without_end(row, n_columns) for row in rows) if len(row) == n_columns]
    if separator in (",", None) and 2 * sum(any(map(_is_several, row[:_MOST_JUDGED])) for row in rows) > len(rows):
        return None
    if agreeing < (_AGREEING if len(sample) > _TINY else 1 / _TINY) * len(sample) or not n_columns:
        return None
    judged = range(min(n_columns, _MOST_JUDGED))
    numeric = tuple(_mostly(rows, judged, lambda cell: is_number(cell, decimal)))
    times = _mostly(rows, set(judged) - set(numeric), lambda cell: is_time(cell) or is_date(cell))
    form = _Form(separator, decimal, n_columns, numeric, tuple(times))
    is_prose = separator is None and form.score[0] < _LEAST_TOLD
    return form if numeric and not is_prose else None


def _mostly(rows: Sequence[list[str]], columns: Iterable[int], is_such: Callable[[str], bool]) -> list[int]:
    """Return the columns of which most cells are such."""
    return [column for column in columns if sum(is_such(row[column]) for row in rows) > _AGREEING * len(rows)]


def _is_several(cell: str) -> bool:
    """Tell whether a cell is several numbers with another separator, as where thousands are grouped by commas."""
    return any(
        len(pieces) > 1 and all(is_number(piece, ".") or is_number(piece, ",") for piece in pieces if piece)
        for pieces in (cell.split(";"), cell.split("\t"), cell.split())
    )


def _without_end(cells: list[str], n_columns: int) -> list[str]:
    """Return cells without an empty one behind a separator at the end of a line."""
    return cells[:-1] if len(cells) == n_columns + 1 > 1 and not cells[-1] else cells


def _is_one_with_decimal_comma(sample: Sequence[str]) -> bool:
    """Tell `0,05` from two columns."""
    return _are_halves([row for line in sample if len(row := split(line, ",")) == 2])


def _are_halves(rows: Sequence[list[str]]) -> bool:
    """Tell numbers that were cut at a decimal comma: the second halves have leading zeros, or the first ones are -0."""
    pairs = [(row[at], row[at + 1]) for row in rows for at in range(0, len(row) - 1, 2)]
    if not all(one.lstrip("+-\u2212").isdigit() and other.isdigit() for one, other in pairs):
        return False
    return any((len(other) > 1 and other[0] == "0") or one in ("-0", "\u22120") for one, other in pairs)


def _is_named(lines: Sequence[str], n_columns: int) -> bool:
    """Tell whether a line names as many columns as commas make."""
    rows = (split(line, ",") for line in lines[:_MOST_HEADER_LINES])
    return any(len(row) == n_columns and all(row) and not any(is_number(cell, ".") for cell in row) for row in rows)


def _check_no_decimal_commas(sample: Sequence[str], n_columns: int) -> None:
    """Refuse numbers with a decimal comma that commas separate: `0,104,-0,246`, with an integer before them or without.

    Raises:
        TableError: If that is what the lines show.
    """
    rows = [row for line in sample if len(row := split(line, ",")) == n_columns and '"' not in line]
    if n_columns > 2 and _are_halves([row[n_columns % 2 :] for row in rows]):
        got = printable(",".join(rows[0]), 40)
        words = f"The commas in {got} are decimal signs and separators at once. Export it with semicolons or points."
        raise TableError(words, "two_commas", got=got)


def _no_table(lines: Sequence[str], sample: Sequence[str]) -> TableError:
    separated = (split(line[:_JUDGED_TEXT], separator) for separator in ("\t", ";", None, ",") for line in sample)
    for cell in (cell for row in separated for cell in row):
        if has_thousands(cell):
            got = printable(cell, 40)
            words = f"It has thousands separators, such as in {got}, which may be read in two ways. Export it without "
            return TableError(f"{words}them.", "thousands_separators", got=got)
    if sum(bool(line.strip()) for line in lines) <= 1:
        return TableError("It holds a header and no numbers.", "no_samples")
    shown = printable(next(line for line in lines if line.strip()).strip(), 60)
    return TableError(
        f"There are no lines of numbers among the first {len(lines)} lines; it begins with {shown!r}. Name a file with "
        "a line of numbers for each sample.",
        "no_table",
        got=shown,
        lines=len(lines),
    )


def _first(lines: Sequence[str], form: _Form) -> int:
    """Return the position of the first line of numbers."""
    for at, line in enumerate(lines[:_MOST_HEADER_LINES]):
        if not is_comment(line) and form.is_numbers(line):
            return at
    most = min(len(lines), _MOST_HEADER_LINES)
    raise TableError(
        f"The numbers do not begin within the first {most} lines. Remove the lines above them.", "no_table", lines=most
    )
