"""Tables of numbers (.csv, and other text when asked for): one line for each sample, one column for each axis.

Separator, decimal sign, encoding, header and the lines above the numbers are found by `firmware_bridge.tables`. A
column that is a clock or a counter is never an axis; a clock gives the sampling rate.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import MetadataValue, checked
from drsn_edge.recordings.raw import RawRecording, Request, Samples, Whole, file_size, opened
from drsn_edge.recordings.readers.columns import MOST_CHANNELS
from drsn_edge.recordings.readers.table_axes import Axes, axes_of
from drsn_edge.recordings.readers.table_clock import NO_CLOCK, RATE_TOLERANCE, Clock, clock_of, is_likely
from drsn_edge.recordings.readers.table_counters import Counters, counters_of
from firmware_bridge.errors import TableError
from firmware_bridge.support.shown import printable
from firmware_bridge.tables.columns import MOST_COLUMNS, Column, Kind, columns_of
from firmware_bridge.tables.dialect import HEAD_BYTES, Dialect, dialect_of, text_of
from firmware_bridge.tables.ending import Ending, ending_of
from firmware_bridge.tables.grid import Grid, grid_of, grids_of
from firmware_bridge.tables.lines import unix
from firmware_bridge.tables.remarks import rates_in

INDEX_COLUMN = "file"

_KEPT_BYTES = 8 << 20
"""Files up to this size are kept in memory when they are read for their clock."""
_WIDE, _FEW = 256, 16
"""A table with more columns than `_WIDE`, and more than `_FEW` for each line, has its channels in lines."""
_ONE_LINE = 16


def read_table(path: Path, request: Request) -> list[RawRecording]:
    """Return the one recording of a table.

    Raises:
        RecordingError: If the file is no table, a line of it does not fit, or its axes or time stamps are unusable.
    """
    with _translated(path), opened(path) as file:
        head = file.read(HEAD_BYTES)
        is_all = len(head) == file_size(file)
        _check_no_index(head, path)
        dialect = dialect_of(head, is_all)
        _check_not_transposed(head, dialect, is_all, path)
        ending = ending_of(file, file_size(file), dialect)
        if ending is not None:
            dialect = replace(dialect, end=ending.end)
        grid = _first_rows(head, dialect, is_all)
        if is_all and _is_one_line(grid, dialect):
            return [_one_line(grid, dialect)]
        columns = columns_of(grid, dialect.n_columns)
        if "axes" not in request.values and sum(column.kind is Kind.NUMBERS for column in columns) > MOST_CHANNELS:
            raise _transposed(dialect.n_columns, path)
    axes = axes_of(columns, request.values, path)
    others = [column for column in columns if column.index not in axes.columns]
    clock = clock_of(others, request.values, path)
    raw = _recording(path, dialect, axes, clock, others, request)
    return [raw if ending is None else replace(raw, remarks=(*raw.remarks, _below(ending)))]


def is_index(first_line: bytes) -> bool:
    """Tell whether a CSV file with this first line is an index of files: it has a column `file`."""
    text = first_line.decode("utf-8-sig", "replace").replace("\0", "")  # Python 3.10's csv refuses NUL
    return any(
        cell.strip() == INDEX_COLUMN
        for line in text.splitlines()[:1]
        for separator in ",;\t"
        for row in csv.reader([line], delimiter=separator)
        for cell in row
    )


@dataclass(frozen=True)
class TableSamples:
    """The numbers of chosen columns, read from the file at each call.

    Attributes:
        path: The file.
        dialect: How it is written.
        columns: Columns in the order of the channels.
        n_samples: Lines of numbers; None if they were not counted.
    """

    path: Path
    dialect: Dialect
    columns: tuple[int, ...]
    n_samples: int | None = None

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.columns)

    def pieces(self, most_samples: int) -> Iterator[NDArray[Any]]:
        """Yield the numbers as float64, see `drsn_edge.recordings.raw.Samples.pieces`."""
        with _translated(self.path), opened(self.path) as file:
            for grid in grids_of(file, self.dialect, self.columns):
                numbers = grid.numbers(self.columns)
                for first in range(0, len(numbers), most_samples):
                    yield numbers[first : first + most_samples]


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except TableError as exc:
        raise RecordingError(f"{path}: {exc}", exc.problem, path=path, **exc.facts) from exc


def _check_no_index(head: bytes, path: Path) -> None:
    if is_index(head[:65536]):
        words = f"{path} is an index of files (it has a column {INDEX_COLUMN!r}), not a recording. Name a recording."
        raise RecordingError(words, "index", path=path)


def _first_rows(head: bytes, dialect: Dialect, is_all: bool) -> Grid:
    """Return the rows among the first bytes of a file."""
    encoding = dialect.encoding
    head = head[: dialect.end]
    text = text_of(head, encoding).encode() if encoding.is_wide else unix(head[encoding.mark_bytes :])
    lines = text.split(b"\n", dialect.first_line - 1)[-1]
    if not is_all:
        lines = lines[: lines.rfind(b"\n") + 1]
    elif not lines.endswith(b"\n"):
        lines += b"\n"
    return grid_of(lines, dialect, range(dialect.n_columns), dialect.first_line)


def _below(ending: Ending) -> str:
    """Return a sentence about what stands below the numbers."""
    if ending.is_cut:
        return f"The last line, behind line {ending.line}, is cut off and was left out."
    shown = printable(ending.shown, 40)
    if ending.n_lines == 1:
        return f"The line after line {ending.line}, {shown!r}, is no sample and was left out."
    return f"The {ending.n_lines} lines after line {ending.line}, such as {shown!r}, are no samples and were left out."


# --- samples in lines ---------------------------------------------------------------------------------------------


def _is_one_line(grid: Grid, dialect: Dialect) -> bool:
    return len(grid) == 1 and dialect.n_columns >= _ONE_LINE and not dialect.header.names


def _one_line(grid: Grid, dialect: Dialect) -> RawRecording:
    values = grid.numbers(range(dialect.n_columns)).T
    remark = f"The file has a single line of {len(values)} numbers, which were read as the samples of one axis."
    return RawRecording(Whole(values), {}, remarks=(remark,))


def _check_not_transposed(head: bytes, dialect: Dialect, is_all: bool, path: Path) -> None:
    n_lines = text_of(head, dialect.encoding).rstrip().count("\n") + 2 - dialect.first_line
    most = max(_WIDE, _FEW * n_lines) if is_all else MOST_COLUMNS
    if dialect.n_columns > most and (n_lines > 1 or not is_all):
        raise _transposed(dialect.n_columns, path)


def _transposed(n_columns: int, path: Path) -> RecordingError:
    return RecordingError(
        f"{path} has lines of {n_columns} numbers: each line seems to be a channel or a window. Transpose the table: "
        "each line is to be a sample. If the columns are axes, choose some by axes = [...] in a catalogue.",
        "transposed",
        path=path,
        columns=n_columns,
    )


# --- the recording -------------------------------------------------------------------------------------------------


def _recording(
    path: Path, dialect: Dialect, axes: Axes, clock: Clock | None, others: Sequence[Column], request: Request
) -> RawRecording:
    used = clock.columns if clock is not None else ()
    counters = counters_of([column for column in others if column.index not in used], request.values)
    samples = _samples(path, dialect, axes.columns, clock, counters)
    known_hz = cast("float | None", request.values.get("sample_rate_hz"))
    reading = NO_CLOCK if clock is None else clock.reading(path, known_hz)
    said = _rate_in_words(dialect, reading.rate_hz, known_hz)
    rate_hz = reading.rate_hz or said.rate_hz
    stated: dict[str, MetadataValue | None] = {
        "axes": axes.names or None,
        "unit": axes.unit or None,
        "sample_rate_hz": None if rate_hz is None else checked("sample_rate_hz", rate_hz, str(path)),
    }
    return RawRecording(
        samples,
        {key: value for key, value in stated.items() if value is not None},
        remarks=(*axes.remarks, *reading.remarks, *said.remarks, *left_out(others, clock), *counters.remarks(path)),
        rate_spread=reading.spread,
    )


def _samples(
    path: Path, dialect: Dialect, columns: tuple[int, ...], clock: Clock | None, counters: Counters
) -> Samples:
    """Read the clock and counters, and return the numbers of the axes, which are kept at once if the file is small."""
    pieces = [np.empty((0, len(columns)))]
    n_samples = 0
    with _translated(path), opened(path) as file:
        is_kept = file_size(file) <= _KEPT_BYTES
        read = (*counters.columns, *(() if clock is None else clock.columns))
        needed = (*(columns if is_kept else ()), *read)
        for grid in grids_of(file, dialect, needed) if needed else ():
            n_samples += len(grid)
            counters.add(grid)
            if clock is not None:
                clock.add(grid)
            if is_kept:
                pieces.append(grid.numbers(columns))
    if is_kept:
        return Whole(np.concatenate(pieces))
    return TableSamples(path, dialect, columns, n_samples if read else None)


@dataclass(frozen=True)
class _Said:
    """A sampling rate in the lines above the numbers, and remarks about it."""

    rate_hz: float | None = None
    remarks: tuple[str, ...] = ()


def _rate_in_words(dialect: Dialect, measured_hz: float | None, known_hz: float | None) -> _Said:
    named = sorted(rates_in(dialect.header.remarks))
    found = [rate for rate in named if is_likely(rate)]
    if named and not found:
        doubt = "which is unusual for vibration and was not taken"
        return _Said(remarks=(f"The lines above the numbers state {named[0]:g} Hz, {doubt}.",))
    if len(found) > 1:
        listed = ", ".join(f"{rate:g}" for rate in found)
        return _Said(remarks=(f"The lines above the numbers name several rates ({listed} Hz), so none was taken.",))
    if not found:
        return _Said()
    (rate_hz,) = found
    other = measured_hz or known_hz
    if other is None:
        return _Said(rate_hz, (f"The lines above the numbers state {rate_hz:g} Hz.",))
    if abs(rate_hz - other) > RATE_TOLERANCE * other:
        whose = "the time stamps state" if measured_hz else "the catalogue states"
        return _Said(remarks=(f"The lines above the numbers state {rate_hz:g} Hz, but {whose} {other:g} Hz.",))
    return _Said()


def left_out(others: Sequence[Column], clock: Clock | None) -> tuple[str, ...]:
    """Return sentences about the columns that are neither an axis nor the clock."""
    used = clock.columns if clock is not None else ()
    left = [column for column in others if column.index not in used]
    said = []
    for column in left:
        label = printable(column.label, 40)
        if column.kind is Kind.TEXT and column.constant is not None:
            said.append(f"Column {label} holds the text {printable(column.constant, 40)!r} throughout and is no axis.")
        elif column.kind is Kind.TEXT and column.sample:
            said.append(f"Column {label} is text, such as {printable(column.sample, 40)!r}, and no axis.")
        elif column.kind is not Kind.NUMBERS:
            said.append(
                f"Column {label} is {'not filled' if column.kind is Kind.EMPTY else column.kind.value} and no axis."
            )
    return tuple(said[:8])
