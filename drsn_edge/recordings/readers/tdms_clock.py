"""The clock of a group of TDMS channels that state no rate: a channel of time stamps or of seconds beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from drsn_edge.recordings.metadata import Metadata
from drsn_edge.recordings.raw import Samples
from drsn_edge.recordings.readers.channels import Channel, named, quantum_of
from drsn_edge.recordings.readers.table_clock import NO_CLOCK, Reading, clock_of
from firmware_bridge.tables.columns import Column, Kind, column_of

_LOOKED_AT = 4096
_PIECE = 1 << 16
_STAMP = np.dtype([("fraction", "<u8"), ("seconds", "<i8")])
"""A time stamp of LabVIEW, where the low byte is first: 2 ** -64 seconds, and seconds since 1904."""


def is_stamp(dtype: np.dtype[Any]) -> bool:
    """Tell whether numbers of this type are stored time stamps."""
    return dtype.kind == "V" and dtype.itemsize == _STAMP.itemsize


class Seconds:
    """Turns stored time stamps into seconds since the first one, which leaves digits for fractions of a microsecond."""

    def __init__(self) -> None:
        """Begin with the first stamps that come."""
        self._first: int | None = None

    def __call__(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        """Return seconds, shape (n,)."""
        stamps = np.frombuffer(stored.tobytes(), _STAMP)
        if self._first is None and len(stamps):
            self._first = int(stamps["seconds"][0])
        return (stamps["seconds"] - (self._first or 0)) + stamps["fraction"] * 2.0**-64


@dataclass(frozen=True)
class _Rows:
    """Rows of the clock's channels, by their numbers."""

    values: Mapping[int, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64]:
        return np.stack([self.values[number] for number in columns], axis=1)

    def texts(self, column: int) -> list[bytes]:
        return []


def reading_of(clocks: Mapping[int, tuple[Channel, Samples]], values: Metadata, path: Path) -> Reading:
    """Return what the clock among channels says.

    Args:
        clocks: Channels that are clocks, each with its numbers, by their numbers in the file.
        values: What catalogues state.
        path: The file, for errors.

    Raises:
        RecordingError: If samples are missing between the stamps.
    """
    columns = [_column(number, channel, stored) for number, (channel, stored) in clocks.items()]
    clock = clock_of(columns, values, path)
    if clock is None:
        return NO_CLOCK
    streams = [clocks[number][1].pieces(_PIECE) for number in clock.columns]
    for pieces in zip(*streams, strict=True):
        numbers = (piece[:, 0].astype(np.float64) for piece in pieces)
        clock.add(_Rows(dict(zip(clock.columns, numbers, strict=True))))
    return clock.reading(path, cast("float | None", values.get("sample_rate_hz")))


def _column(number: int, channel: Channel, stored: Samples) -> Column:
    head = next(stored.pieces(_LOOKED_AT), np.empty((0, 1)))[:, 0].astype(np.float64)
    found = column_of(number, named(channel.name, channel.unit), head, quantum_of(head))
    return Column(number, found.name, Kind.CLOCK, False, found.constant, head)
