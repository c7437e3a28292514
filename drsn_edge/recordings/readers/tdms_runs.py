"""Where the numbers of a TDMS file lie, so that pieces of them are read in little memory.

npTDMS reads the description of a file, but it reads numbers by chunks, and a chunk may be the whole file. Here a file
is a list of runs: chunks of one form that follow each other, in each of which every channel has a stretch of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import file_size, opened

_BLOCK_BYTES = 1 << 20
_LEAD_IN_BYTES = 28
_MOST_SEGMENTS = 1_000_000
_MOST_KEPT = 4_000_000
_HAS_DATA, _INTERLEAVED, _BIG_ENDIAN = 1 << 3, 1 << 5, 1 << 6
"""Bits of a segment's table of contents."""


class Stretch(NamedTuple):
    """The numbers of one channel in a chunk: bytes before them, how many they are, and their type."""

    offset: int
    n_values: int
    dtype: np.dtype[Any]


class Run(NamedTuple):
    """Chunks of the same form: where the first begins, the bytes of each, how many they are, and what they hold."""

    start: int
    chunk_bytes: int
    n_chunks: int
    stretches: Mapping[str, Stretch]


@dataclass(frozen=True)
class Stored:
    """Samples of channels of the same length.

    Attributes:
        path: The file.
        channels: Paths of the channels in npTDMS.
        scales: Turn the stored numbers of each channel into values of its unit.
        runs: Where the numbers lie.
        n_samples: Length of each channel.
    """

    path: Path
    channels: tuple[str, ...]
    scales: tuple[Callable[[NDArray[Any]], NDArray[Any]], ...]
    runs: Sequence[Run]
    n_samples: int

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.channels)

    def pieces(self, most_samples: int) -> Iterator[NDArray[Any]]:
        """Yield the samples, see `Samples.pieces`.

        Raises:
            RecordingError: If the file has become shorter, or cannot be read any more.
        """
        with opened(self.path) as file:
            streams = [_Stream(_numbers(file, self.runs, channel, self.path)) for channel in self.channels]
            for first in range(0, self.n_samples, most_samples):
                n = min(most_samples, self.n_samples - first)
                taken = [scale(stream.take(n)) for scale, stream in zip(self.scales, streams, strict=True)]
                if min(map(len, taken)) < n:
                    raise _shorter(self.path)
                yield np.stack(taken, axis=1)


class _Stream:
    """Numbers that come in blocks and are taken in other portions."""

    def __init__(self, blocks: Iterator[NDArray[Any]]) -> None:
        self._blocks = blocks
        self._rest: list[NDArray[Any]] = []

    def take(self, n: int) -> NDArray[Any]:
        """Return the next n numbers, fewer at the end."""
        have = sum(map(len, self._rest))
        while have < n and (block := next(self._blocks, None)) is not None:
            self._rest.append(block)
            have += len(block)
        joined = np.concatenate(self._rest) if self._rest else np.empty(0)
        self._rest = [joined[n:]]
        return joined[:n]


def _numbers(file: BinaryIO, runs: Sequence[Run], channel: str, path: Path) -> Iterator[NDArray[Any]]:
    """Yield the numbers of one channel in blocks."""
    for run in runs:
        stretch = run.stretches.get(channel)
        if stretch is None or not stretch.n_values:
            continue
        if run.chunk_bytes > _BLOCK_BYTES:
            for chunk in range(run.n_chunks):
                yield from _of_one_chunk(file, run.start + chunk * run.chunk_bytes, stretch, path)
            continue
        together = _BLOCK_BYTES // run.chunk_bytes
        for first in range(0, run.n_chunks, together):
            n = min(together, run.n_chunks - first)
            data = _read(file, run.start + first * run.chunk_bytes, n * run.chunk_bytes, path)
            end = stretch.offset + stretch.n_values * stretch.dtype.itemsize
            columns = np.ascontiguousarray(data.reshape(n, run.chunk_bytes)[:, stretch.offset : end])
            yield columns.reshape(-1).view(stretch.dtype)


def _of_one_chunk(file: BinaryIO, start: int, stretch: Stretch, path: Path) -> Iterator[NDArray[Any]]:
    size = stretch.dtype.itemsize
    for first in range(0, stretch.n_values, _BLOCK_BYTES // size):
        n = min(_BLOCK_BYTES // size, stretch.n_values - first)
        yield _read(file, start + stretch.offset + first * size, n * size, path).view(stretch.dtype)


def _read(file: BinaryIO, start: int, n_bytes: int, path: Path) -> NDArray[np.uint8]:
    file.seek(start)
    data = file.read(n_bytes)
    if len(data) < n_bytes:
        raise _shorter(path)
    return np.frombuffer(data, np.uint8)


def _shorter(path: Path) -> RecordingError:
    words = f"{path} became shorter while it was read. Read it again when nothing writes to it."
    return RecordingError(words, "became_shorter", path=path)


# --- from npTDMS's description of a file -------------------------------------------------------------------------


class Watched:
    """A file that ends a description which would take too much time or memory.

    npTDMS keeps for each segment the list of all its channels. A small file can state very many of both.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Watch a file that is read from its start."""
        self._file, self._size = file, file_size(file)
        self._segments = self._kept = 0
        self.reader: Any = None

    def read(self, n_bytes: int = -1) -> bytes:
        """Return bytes of the file.

        Raises:
            ValueError: If they would begin one segment, or one list of channels, too many.
        """
        if n_bytes == _LEAD_IN_BYTES and self.reader is not None:
            self._segments += 1
            self._kept += len(self.reader._segments[-1].ordered_objects) if self.reader._segments else 0
            if self._segments > _MOST_SEGMENTS or self._kept > _MOST_KEPT:
                raise ValueError("it describes too many segments and channels")
        there = max(self._size - self._file.tell(), 0)  # a text may state any length, which would be allocated
        return self._file.read(there if n_bytes < 0 else min(n_bytes, there))

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place of the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()


def check_description(file: BinaryIO, reader_of: Callable[[Any], Any]) -> None:
    """Read the description of a file once under watch, and go back to its start.

    Args:
        file: The file.
        reader_of: npTDMS's class TdmsReader.

    Raises:
        ValueError: If it has too many segments and channels.
    """
    watched = Watched(file)
    watched.reader = reader_of(watched)
    watched.reader.read_metadata()
    file.seek(0)


def runs_of(segments: Sequence[Any]) -> list[Run] | None:
    """Return the runs of a file; None if DAQmx stored numbers in a form of its own.

    Args:
        segments: npTDMS's segments.
    """
    runs: list[Run] = []
    for segment in segments:
        objects = [each for each in segment.ordered_objects if each.has_data]
        if not segment.toc_mask & _HAS_DATA or not objects:
            continue
        if any(each.scaler_data_types is not None for each in objects):
            return None
        runs += _interleaved(segment, objects) if segment.toc_mask & _INTERLEAVED else _contiguous(segment, objects)
    return runs


def _type(segment: Any, each: Any) -> np.dtype[Any]:
    """Return the type of an object's numbers; raw bytes for what is no number."""
    if each.data_type.nptype is None:
        return np.dtype((np.void, each.data_type.size or 1))
    return np.dtype(each.data_type.nptype).newbyteorder(">" if segment.toc_mask & _BIG_ENDIAN else "<")


def _interleaved(segment: Any, objects: Sequence[Any]) -> list[Run]:
    """Return the run of a segment in which each sample of all channels is a chunk."""
    if len(objects) == 1 and objects[0].data_type.size is None:
        return []  # text
    if len({each.number_values for each in objects}) > 1 or any(each.data_type.size is None for each in objects):
        raise ValueError("interleaved channels of different length")
    stretches, width = {}, 0
    for each in objects:
        stretches[each.path] = Stretch(width, 1, _type(segment, each))
        width += each.data_type.size
    rows = (segment.next_segment_pos - segment.data_position) // width
    return [Run(segment.data_position, width, rows, stretches)]


def _contiguous(segment: Any, objects: Sequence[Any]) -> list[Run]:
    """Return the runs of a segment in whose chunks the numbers of a channel lie together: full ones, and a cut one."""
    chunk_bytes = sum(each.data_size for each in objects)
    cut = segment.final_chunk_lengths_override
    n_full = segment.num_chunks - (cut is not None)
    stretches, offset = {}, 0
    for each in objects:
        if each.data_type.size is not None:
            stretches[each.path] = Stretch(offset, each.number_values, _type(segment, each))
        offset += each.data_size
    runs = [Run(segment.data_position, chunk_bytes, n_full, stretches)]
    if cut:
        runs.append(_last(segment, objects, cut, segment.data_position + n_full * chunk_bytes))
    return runs


def _last(segment: Any, objects: Sequence[Any], cut: Mapping[str, int], start: int) -> Run:
    stretches, offset = {}, 0
    for each in objects:
        n_values = cut.get(each.path, 0)
        stretches[each.path] = Stretch(offset, n_values, _type(segment, each))
        offset += each.data_size if n_values == each.number_values else n_values * each.data_type.size
    return Run(start, max(offset, 1), 1, stretches)
