"""Catalogues that are CSV tables, `catalogue.csv`: one line per recording or glob, as spreadsheets write them.

    file,sample_rate_hz,unit,axes,label,group,rpm
    *,3200,g,x y z,,,
    pump1_*.wav,,,,healthy,pump1,
    pump1_worn.wav,,,,worn,pump1,1480

The column `file` holds a file name, a path below the catalogue's folder, or a glob; every other column is a key of
`drsn_edge.recordings.metadata` or a free field. An empty cell states nothing. Later lines override earlier lines. Names
of axes are separated by spaces or `;`. Numbers have a decimal point. Cells are separated by commas or semicolons,
whichever the header line has. The text is UTF-8, with or without a byte order mark. Conditions (`where`), patterns and
`confirmed` need a `catalogue.toml`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import Catalogue, Entry, number_or_text
from drsn_edge.recordings.metadata import NUMBER_KEYS, RESERVED_KEYS, checked
from drsn_edge.recordings.readers.table_file import INDEX_COLUMN
from drsn_edge.support.text_file import read_text

CSV_CATALOGUE_NAME = "catalogue.csv"

_SEPARATORS = (",", ";")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_TRUTH = {"true": True, "false": False}


def read_csv_catalogue(path: Path) -> Catalogue:
    """Read a catalogue file that is a CSV table.

    Raises:
        RecordingError: If the file is missing, unreadable, not such a table, or has an invalid value.
    """
    return parse_csv_catalogue(read_text(path, "a catalogue", RecordingError), str(path))


def parse_csv_catalogue(text: str, source: str) -> Catalogue:
    """Parse a table that errors call `source`. Raises RecordingError as `read_csv_catalogue` does."""
    text = text.removeprefix("\ufeff")
    rows = _rows(text, _separator(text, source), source)
    _, header = next(rows)
    _check_header(header, source)
    return Catalogue(source, tuple(_entry(header, cells, where) for where, cells in rows if any(cells)))


def _separator(text: str, source: str) -> str:
    """Return the separator that gives the header line a column `file`."""
    header = text.split("\n", 1)[0].strip()
    for separator in _SEPARATORS:
        if any(cell.strip().strip('"') == INDEX_COLUMN for cell in header.split(separator)):
            return separator
    raise RecordingError(
        f"{source}: the header line {header!r} has no column {INDEX_COLUMN!r}. Add the column, and separate columns by "
        "commas or semicolons.",
        "no_file_column",
        place=source,
        got=header,
    )


def _rows(text: str, separator: str, source: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the place of each row, for errors, and its cells."""
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    try:
        for row in reader:
            yield f"{source}, line {reader.line_num}", [cell.strip() for cell in row]
    except csv.Error as exc:
        place = f"{source}, line {reader.line_num}"
        raise RecordingError(f"{place} is not valid CSV: {exc}. Correct that line.", "not_csv", place=place) from exc


def _check_header(header: Sequence[str], source: str) -> None:
    names = [name for name in header if name]
    if len(set(names)) < len(names):
        raise RecordingError(
            f"{source}: two columns have the same name: {', '.join(names)}. Rename one.",
            "column_twice",
            place=source,
            columns=tuple(names),
        )
    conditions = {"where", "pattern", "confirmed"} & set(names)
    if conditions:
        key = min(conditions)
        raise RecordingError(
            f"{source}: a table cannot have a column {key!r}. Write a catalogue.toml instead, which can have {key}.",
            "condition_column",
            place=source,
            key=key,
        )


def _entry(header: Sequence[str], cells: Sequence[str], source: str) -> Entry:
    row = _by_column(header, cells, source)
    if INDEX_COLUMN not in row:
        raise RecordingError(
            f"{source} does not say which file it is for. Fill in the column {INDEX_COLUMN}: a file name, a glob, or * "
            "for every recording.",
            "no_condition",
            place=source,
        )
    values = {key: checked(key, _value(key, text, source), source) for key, text in row.items() if key != INDEX_COLUMN}
    file = row[INDEX_COLUMN]
    return Entry(source, values, tuple(dict.fromkeys((file, file.replace("\\", "/")))))  # Windows writes \ in paths


def _by_column(header: Sequence[str], cells: Sequence[str], source: str) -> Mapping[str, str]:
    """Return the cells that are not empty; spreadsheets add empty columns and leave out empty cells at the end."""
    named = len(header)
    if any(cells[named:]) or any(cell and not name for name, cell in zip(header, cells, strict=False)):
        raise RecordingError(
            f"{source} has a value in a column without a name. Name the column, or put quotes around a value that "
            "contains the separator.",
            "unnamed_column",
            place=source,
        )
    return {name: cell for name, cell in zip(header, cells, strict=False) if cell}


def _value(key: str, text: str, source: str) -> object:
    if key == "axes":
        return tuple(text.replace(";", " ").split())
    if key in RESERVED_KEYS - NUMBER_KEYS:
        return text
    if _DECIMAL_COMMA.fullmatch(text):
        raise RecordingError(
            f"{source}: {key} must have a decimal point, got {text!r}. Correct it there.",
            "decimal_comma",
            place=source,
            key=key,
            got=text,
        )
    return _TRUTH.get(text.lower(), number_or_text(key, text))
