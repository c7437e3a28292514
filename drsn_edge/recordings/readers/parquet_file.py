"""Parquet tables (.parquet, .pq), as pandas, Spark and DuckDB write them: each column of numbers is an axis.

Names, units and clocks are understood as in tables of text. Text, dictionaries and nested columns are left out and
named. A column's pages are read one after the other, so that a row group may be as large as the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import MAX_RECORDING_BYTES, RawRecording, Request, file_size, opened, reading
from drsn_edge.recordings.readers.channels import Channel, choose_channels, is_clock_name
from drsn_edge.recordings.readers.packages import package_for

_KIND = "a Parquet file"
_NUMBERS = frozenset(
    (*(f"{sign}int{width}" for sign in ("", "u") for width in (8, 16, 32, 64)), "halffloat", "float", "double")
)
_BUFFER_BYTES = 1 << 20
_MOST_COLUMNS = 4096
_MOST_SWELLING = 1000
"""A dead sensor's column of one value may be packed more than that, but is short then."""


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
        channels = [_channel(number, field, n_samples, names[field.name] > 1) for number, field in enumerate(fields)]
    chosen = choose_channels(channels, request.values, path)
    samples = Rows(path, tuple(each.path for each in chosen.channels), n_samples)
    return [RawRecording(samples, chosen.stated, remarks=chosen.remarks)]


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


def _channel(number: int, field: Any, n_samples: int, is_twice: bool) -> Channel:
    kind, why_not = str(field.type), ""
    if kind.startswith(("timestamp", "time", "date", "duration")) or is_clock_name(field.name):
        why_not = "it is a clock"
    elif kind not in _NUMBERS:
        why_not = "it holds no numbers"
    elif is_twice:
        why_not = "another column has its name"
    return Channel(number, field.name, field.name, None, n_samples, None, why_not)


@dataclass(frozen=True)
class Rows:
    """Rows of chosen columns, read from the file when they are asked for.

    Attributes:
        path: The file.
        columns: Names of the columns.
        n_samples: Rows that the file states.
    """

    path: Path
    columns: tuple[str, ...]
    n_samples: int

    @property
    def n_channels(self) -> int:
        """Number of columns."""
        return len(self.columns)

    def pieces(self, most_samples: int) -> Iterator[NDArray[Any]]:
        """Yield the samples, see `Samples.pieces`."""
        with opened(self.path) as file, reading(self.path, _KIND):
            read = 0
            for piece in _pieces(_content(file, self.path), self.columns, most_samples):
                read += len(piece)
                yield piece
            if read != self.n_samples:
                raise ValueError(f"{read} of {self.n_samples} rows are there")


def _pieces(content: Any, columns: Sequence[str], most_samples: int) -> Iterator[NDArray[Any]]:
    for batch in content.iter_batches(most_samples, columns=list(columns), use_threads=False):
        if batch.num_rows:
            yield np.stack([batch.column(name).to_numpy(zero_copy_only=False) for name in columns], axis=1)
