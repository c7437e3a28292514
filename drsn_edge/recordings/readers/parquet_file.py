"""Parquet and Feather tables (.parquet, .pq, .feather, .arrow): each column of numbers is an axis.

Names, units and clocks are understood as in tables of text. Columns of text and dictionaries are left out and named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.recordings.raw import RawRecording, Request, opened, reading
from drsn_edge.recordings.readers.channels import Channel, choose_channels, is_clock_name
from drsn_edge.recordings.readers.packages import package_for

_KIND = "a Parquet file"
_NUMBERS = frozenset(
    (*(f"{sign}int{width}" for sign in ("", "u") for width in (8, 16, 32, 64)), "halffloat", "float", "double")
)


def read_parquet(path: Path, request: Request) -> list[RawRecording]:
    """Read the one recording of a table in Parquet.

    Raises:
        RecordingError: If pyarrow is not installed, the file is damaged, or no column can be an axis.
    """
    parquet = package_for(path, "Parquet files", "pyarrow", "pyarrow.parquet")
    with opened(path) as file, reading(path, _KIND):
        content = parquet.ParquetFile(file, thrift_string_size_limit=1 << 24, thrift_container_size_limit=1 << 20)
        n_samples = content.metadata.num_rows
        channels = [_channel(number, field, n_samples) for number, field in enumerate(content.schema_arrow)]
    chosen = choose_channels(channels, request.values, path)
    samples = Rows(path, tuple(each.path for each in chosen.channels), n_samples)
    return [RawRecording(samples, chosen.stated, remarks=chosen.remarks)]


def _channel(number: int, field: Any, n_samples: int) -> Channel:
    kind, why_not = str(field.type), ""
    if kind.startswith(("timestamp", "time", "date", "duration")) or is_clock_name(field.name):
        why_not = "it is a clock"
    elif kind not in _NUMBERS:
        why_not = "it holds no numbers"
    return Channel(number, field.name, field.name, None, n_samples, None, why_not)


@dataclass(frozen=True)
class Rows:
    """Rows of chosen columns, read from the file when they are asked for."""

    path: Path
    columns: tuple[str, ...]
    n_samples: int

    @property
    def n_channels(self) -> int:
        """Number of columns."""
        return len(self.columns)

    def pieces(self, most_samples: int) -> Iterator[NDArray[Any]]:
        """Yield the samples, see `Samples.pieces`."""
        parquet = package_for(self.path, "Parquet files", "pyarrow", "pyarrow.parquet")
        with opened(self.path) as file, reading(self.path, _KIND):
            content = parquet.ParquetFile(file)
            for batch in content.iter_batches(most_samples, columns=list(self.columns), use_threads=False):
                yield np.stack([batch.column(name).to_numpy(zero_copy_only=False) for name in self.columns], axis=1)
