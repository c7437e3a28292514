"""Parquet tables (.parquet, .pq), as pandas, Spark and DuckDB write them: each column of numbers is an axis.

Names, units and clocks are understood as in tables of text; columns of time stamps are clocks. Text, dictionaries and
nested columns are left out and named. A column's pages are read one after the other, so that a row group may be as
large as the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import Metadata, MetadataValue, checked
from drsn_edge.recordings.raw import MAX_RECORDING_BYTES, RawRecording, Request, file_size, opened, reading
from drsn_edge.recordings.readers.channels import quantum_of
from drsn_edge.recordings.readers.packages import package_for
from drsn_edge.recordings.readers.table_axes import Axes, axes_of
from drsn_edge.recordings.readers.table_clock import NO_CLOCK, Clock, Reading, clock_of
from drsn_edge.recordings.readers.table_counters import Counters, counters_of
from drsn_edge.recordings.readers.table_file import left_out
from drsn_edge.support.memory_limit import at_most
from firmware_bridge.support.shown import printable
from firmware_bridge.tables.columns import Column, Kind, column_of
from firmware_bridge.tables.names import Name, name_of

_KIND = "a Parquet file"
_INTEGERS = frozenset(f"{sign}int{width}" for sign in ("", "u") for width in (8, 16, 32, 64))
_FLOATS = frozenset(("halffloat", "float", "double"))
_TEXTS = frozenset(("string", "large_string", "string_view"))
_COUNTS_PER_S = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_PANDAS_INDEX = "__index_level_"
_LOOKED_AT = 4096
_PIECE = 1 << 16
_BUFFER_BYTES = 1 << 20
_MOST_COLUMNS = 4096
_MOST_SWELLING = 1000
"""A dead sensor's column of one value may be packed more than that, but is short then."""


@dataclass(frozen=True)
class Field:
    """A column as the file states it.

    Attributes:
        index: Its position.
        name: Its name.
        kind: Its type in Arrow's words.
        per_s: Counts in a second of a time stamp; 0 for other columns.
    """

    index: int
    name: str
    kind: str
    per_s: int

    @property
    def is_read(self) -> bool:
        """Whether it holds numbers or times."""
        return bool(self.per_s) or self.kind in _INTEGERS or self.kind in _FLOATS


def read_parquet(path: Path, request: Request) -> list[RawRecording]:
    """Read the one recording of a table in Parquet.

    Raises:
        RecordingError: If pyarrow is not installed, the file is damaged or swells, or no column can be an axis.
    """
    with opened(path) as file, reading(path, _KIND):
        content = _content(file, path)
        n_samples, fields = content.metadata.num_rows, list(content.schema_arrow)
        _check_size(n_samples, len(fields), file_size(file), path)
        names = Counter(field.name for field in fields)
        found = [_field(number, field) for number, field in enumerate(fields) if names[field.name] == 1]
        columns = _columns(content, found, request.memory_bytes)
    values = _values(request.values, found)
    axes = axes_of(columns, values, path)
    others = [column for column in columns if column.index not in axes.columns]
    clock = clock_of(others, values, path)
    said = NO_CLOCK if clock is None else _reading(clock, found, path, request)
    used = () if clock is None else clock.columns
    counters = counters_of([column for column in others if column.index not in used], values)
    counts = _counts(counters, found, path, request)
    remarks = (*axes.remarks, *said.remarks, *left_out(others, clock), *_not_numbers(fields, names, columns), *counts)
    names_of_axes = tuple(fields[number].name for number in axes.columns)
    samples = Table(path, names_of_axes, n_samples, request.memory_bytes)
    return [RawRecording(samples, _stated(axes, said, path), remarks=remarks, rate_spread=said.spread)]


def _content(file: BinaryIO, path: Path) -> Any:
    """Return pyarrow's view of a file, of which little is in memory at a time."""
    parquet = package_for(path, "Parquet files", "pyarrow", "pyarrow.parquet")
    return parquet.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES)


def _check_size(n_samples: int, n_columns: int, packed_bytes: int, path: Path) -> None:
    """Refuse a file that unpacks to far more than its size, or has more columns than a sensor has axes."""
    if n_columns > _MOST_COLUMNS:
        words = f"{path} has {n_columns} columns, at most {_MOST_COLUMNS} are read. Split it."
        raise RecordingError(words, "too_many_columns", path=path, got=n_columns, limit=_MOST_COLUMNS)
    unpacked, limit = 8 * n_samples, max(MAX_RECORDING_BYTES, _MOST_SWELLING * packed_bytes)
    if unpacked > limit:
        words = (
            f"{path} states {n_samples} rows in {packed_bytes} bytes, which no recording has. Export it again, or "
            "split it."
        )
        raise RecordingError(words, "swells", path=path, rows=n_samples, size=packed_bytes)


def _field(index: int, field: Any) -> Field:
    kind = str(field.type)
    is_time = kind.startswith(("timestamp[", "duration[", "time32[", "time64["))
    return Field(index, field.name, kind, _COUNTS_PER_S[field.type.unit] if is_time else 0)


def _values(values: Metadata, fields: Sequence[Field]) -> Metadata:
    """Return what catalogues state, as it is for a table: `variable` chooses columns; time stamps state their unit."""
    known = dict(values)
    variable = known.get("variable")
    if variable is not None:
        known["axes"] = (variable,) if isinstance(variable, str) else variable
    if any(field.per_s for field in fields):
        known.pop("time_unit", None)
    return known


# --- what the columns are ----------------------------------------------------------------------------------------


def _columns(content: Any, fields: Sequence[Field], memory_bytes: int) -> list[Column]:
    """Return what each column is that holds numbers, times or text."""
    read = [field for field in fields if field.is_read]
    batches = _batches(content, [field.name for field in read], _LOOKED_AT, memory_bytes)
    batch = next(batches, None) if read else None
    columns = []
    for field in fields:
        if field.kind in _TEXTS or field.kind.startswith("date"):
            kind = Kind.DATE if field.kind.startswith("date") else Kind.TEXT
            columns.append(Column(field.index, name_of(field.name), kind, True))
        elif field.is_read and batch is not None:
            columns.append(_column(field, batch.column(field.name)))
    return columns


def _column(field: Field, stored: Any) -> Column:
    if field.per_s:
        values = _seconds(stored, field, _first(stored, field))
        return Column(field.index, Name(name_of(field.name).text, "s"), Kind.CLOCK, False, None, values)
    values = stored.to_numpy(zero_copy_only=False)
    quantum = max(1.0, quantum_of(values)) if field.kind in _INTEGERS else quantum_of(values)  # nulls make floats
    column = column_of(field.index, name_of(field.name), values.astype(np.float64), quantum)
    if field.name.startswith(_PANDAS_INDEX) and column.kind is Kind.NUMBERS:
        return Column(field.index, column.name, Kind.COUNTER, False, column.constant, column.values)
    return column


def _first(stored: Any, field: Field) -> int:
    """Return the first time stamp in counts; 0 if it is missing, and for numbers."""
    return int(stored[0].value) if field.per_s and len(stored) and stored[0].is_valid else 0


def _seconds(stored: Any, field: Field, first: int) -> NDArray[np.float64]:
    """Return time stamps in seconds since the first one; NaN for missing ones."""
    width = 32 if field.kind.startswith("time32") else 64
    counts = stored.cast(f"int{width}")
    missing = np.asarray(counts.is_null().to_numpy(zero_copy_only=False))
    whole = counts.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.where(missing, np.nan, (whole - first) / field.per_s)


def _not_numbers(fields: Sequence[Any], names: Counter[str], columns: Sequence[Column]) -> list[str]:
    """Return sentences on columns of types that are neither numbers nor times nor text, and of names that are twice."""
    known = {column.index for column in columns}
    left = [(number, field) for number, field in enumerate(fields) if number not in known]
    said = [
        f"Column {printable(field.name, 40)} "
        + ("has the name of another one" if names[field.name] > 1 else f"holds {printable(field.type, 40)}")
        + " and is no axis."
        for number, field in left
    ]
    return said[:8]


# --- the clock ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Batch:
    """Rows of the columns of a clock, or of counters."""

    stored: Any
    fields: dict[int, Field]
    first: int

    def __len__(self) -> int:
        return int(self.stored.num_rows)

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64]:
        return np.stack([self._numbers(self.fields[number]) for number in columns], axis=1)

    def texts(self, column: int) -> list[bytes]:
        return [str(each).encode() for each in self.stored.column(self.fields[column].name).to_pylist()]

    def _numbers(self, field: Field) -> NDArray[np.float64]:
        stored = self.stored.column(field.name)
        if field.per_s:
            return _seconds(stored, field, self.first)
        return cast("NDArray[np.float64]", stored.to_numpy(zero_copy_only=False).astype(np.float64))


def _reading(clock: Clock, fields: Sequence[Field], path: Path, request: Request) -> Reading:
    """Return what the clock's columns say over the whole file."""
    chosen = {field.index: field for field in fields if field.index in clock.columns}
    names, one = [field.name for field in chosen.values()], next(iter(chosen.values()))
    with opened(path) as file, reading(path, _KIND):
        first: int | None = None
        for stored in _batches(_content(file, path), names, _PIECE, request.memory_bytes):
            first = _first(stored.column(one.name), one) if first is None else first
            clock.add(_Batch(stored, chosen, first))
    return clock.reading(path, cast("float | None", request.values.get("sample_rate_hz")))


def _counts(counters: Counters, fields: Sequence[Field], path: Path, request: Request) -> tuple[str, ...]:
    """Return what the counters say over the whole file."""
    chosen = {field.index: field for field in fields if field.index in counters.columns}
    if not chosen:
        return ()
    with opened(path) as file, reading(path, _KIND):
        names = [field.name for field in chosen.values()]
        for stored in _batches(_content(file, path), names, _PIECE, request.memory_bytes):
            counters.add(_Batch(stored, chosen, 0))
    return counters.remarks(path)


def _stated(axes: Axes, said: Reading, path: Path) -> Metadata:
    stated: dict[str, MetadataValue | None] = {
        "axes": axes.names or None,
        "unit": axes.unit or None,
        "sample_rate_hz": None if said.rate_hz is None else checked("sample_rate_hz", said.rate_hz, str(path)),
    }
    return {key: value for key, value in stated.items() if value is not None}


# --- the samples -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """Rows of chosen columns, read from the file when they are asked for.

    Attributes:
        path: The file.
        columns: Names of the columns.
        n_samples: Rows that the file states.
        memory_bytes: Most memory that a page of the file may take.
    """

    path: Path
    columns: tuple[str, ...]
    n_samples: int
    memory_bytes: int

    @property
    def n_channels(self) -> int:
        """Number of columns."""
        return len(self.columns)

    def pieces(self, most_samples: int) -> Iterator[NDArray[Any]]:
        """Yield the samples, see `Samples.pieces`."""
        with opened(self.path) as file, reading(self.path, _KIND):
            read = 0
            for batch in _batches(_content(file, self.path), self.columns, most_samples, self.memory_bytes):
                columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in self.columns]
                piece = np.stack(columns, axis=1)
                read += len(piece)
                yield piece
            if read != self.n_samples:
                raise ValueError(f"{read} of {self.n_samples} rows are there")


def _batches(content: Any, columns: Sequence[str], most_rows: int, memory_bytes: int) -> Iterator[Any]:
    """Yield rows of some columns; pyarrow unpacks whole pages, which may be far larger than what is asked for."""
    batches = content.iter_batches(most_rows, columns=list(columns), use_threads=False)
    while True:
        with at_most(memory_bytes):
            batch = next(batches, None)
        if batch is None:
            return
        if batch.num_rows:
            yield batch
