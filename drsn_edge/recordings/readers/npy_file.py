"""NumPy arrays (.npy), read in pieces and without pickle.

The array is [n], [n, axes], [axes, n] or [captures, axes, n]; the long dimension is time. A structured array has one
channel for each of its fields.
"""

from __future__ import annotations

import ast
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from drsn_edge.recordings.raw import RawRecording, Request, file_size, opened, reading
from drsn_edge.recordings.readers.choice import recordings_in
from drsn_edge.recordings.readers.found import File
from drsn_edge.recordings.readers.variables import Closed, Group, Leaf, Node
from drsn_edge.support.invalid import InvalidValueError

_EXPECTED = "a complete .npy file of numbers"
_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000
"""Longest header in bytes, as NumPy's own reader has it: parsing a long one could end the process."""
_MOST_DIMENSIONS = 8


def read_npy(path: Path, request: Request) -> list[RawRecording]:
    """Read the recordings of a .npy file: one, or one for each capture.

    Raises:
        RecordingError: If the file is damaged, holds anything but numbers, or does not say which dimension is time.
    """
    with opened(path) as file, reading(path, _EXPECTED):
        place = _place(file, path)
    with reading(path, _EXPECTED):
        return recordings_in(File(_tree(place), path, request, _EXPECTED))


def _tree(place: _Place) -> Group:
    if place.dtype.names is None:
        return Group({"": _leaf(place)})
    return Group({name: _leaf(replace(place, column=name)) for name in place.dtype.names})


@dataclass(frozen=True)
class _Place:
    """Where an array lies in the file.

    Attributes:
        path: The file.
        offset: Bytes before the first value.
        shape: Shape of the array.
        dtype: Type of its elements.
        is_turned: Whether the first dimension changes fastest (Fortran's order).
        column: Field of a structured array; empty: the whole elements.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_turned: bool
    column: str = ""

    @contextmanager
    def opened(self) -> Iterator[_Values]:
        """Open the file and give the array."""
        with opened(self.path) as file, reading(self.path, _EXPECTED):
            yield _Values(file, self)


def _leaf(place: _Place) -> Node:
    dtype = place.dtype if not place.column else place.dtype[place.column]
    if dtype.kind not in "biufc":
        return Closed(f"values of the type {dtype}")
    return Leaf(place.shape, dtype, place.opened)


class _Values:
    """Slices of an array in an open file, which are read, not mapped: a mapped file that shrinks ends the process."""

    def __init__(self, file: BinaryIO, place: _Place) -> None:
        self._file, self._place = file, place

    def __getitem__(self, key: Any) -> NDArray[Any]:
        place = self._place
        shape = place.shape[::-1] if place.is_turned else place.shape
        keys = list(key) if isinstance(key, tuple) else [slice(None)] * len(shape)
        found = self._read(keys[::-1] if place.is_turned else keys, list(shape), 0)
        found = found[place.column] if place.column else found
        return found.T if place.is_turned else found

    def _read(self, keys: list[Any], shape: list[int], first: int) -> NDArray[Any]:
        """Return a slice of the part of the array that begins at value `first`; rows that follow each other at once."""
        if not keys:
            return self._values(first, 1).reshape(())
        stride = math.prod(shape[1:])
        if isinstance(keys[0], int):
            return self._read(keys[1:], shape[1:], first + keys[0] * stride)
        start, stop, _ = keys[0].indices(shape[0])
        if all(size == 1 or key == slice(None) for key, size in zip(keys[1:], shape[1:], strict=True)):
            found = self._values(first + start * stride, (stop - start) * stride)
            return found.reshape(stop - start, *(n for n, each in zip(shape[1:], keys[1:], strict=True) if each != 0))
        rows = [self._read(keys[1:], shape[1:], first + row * stride) for row in range(start, stop)]
        return np.stack(rows)

    def _values(self, first: int, count: int) -> NDArray[Any]:
        place = self._place
        self._file.seek(place.offset + first * place.dtype.itemsize)
        data = self._file.read(count * place.dtype.itemsize)
        return np.frombuffer(data, place.dtype, count)


def _place(file: BinaryIO, path: Path) -> _Place:
    """Return where the array lies, from the file's header.

    Raises:
        InvalidValueError: If the header is damaged, or claims other bytes than the file holds.
    """
    start = file.read(12)
    if not start.startswith(_MAGIC) or len(start) < 12:
        raise InvalidValueError("no signature of NumPy", "no_header")
    is_short = start[6] == 1
    length = struct.unpack_from("<H" if is_short else "<I", start, 8)[0]
    offset = (10 if is_short else 12) + length
    if length > _LONGEST_HEADER or start[6] not in (1, 2, 3):
        raise InvalidValueError(f"a header of {length} bytes", "wrong_header", got=length)
    file.seek(offset - length)
    header = ast.literal_eval(file.read(length).decode("utf-8" if start[6] == 3 else "latin-1").strip())
    dtype = np.lib.format.descr_to_dtype(header["descr"])
    shape, is_turned = header["shape"], header["fortran_order"]
    if dtype.hasobject or dtype.itemsize == 0:
        raise InvalidValueError("it holds Python objects or nothing, no numbers", "no_numbers", got=str(dtype))
    is_shape = isinstance(shape, tuple) and len(shape) <= _MOST_DIMENSIONS
    if not is_shape or not all(type(size) is int and size >= 0 for size in shape) or not isinstance(is_turned, bool):
        raise InvalidValueError("a header without a shape", "wrong_header")
    needed, there = math.prod(shape) * dtype.itemsize, file_size(file) - offset
    if needed > there:
        raise InvalidValueError(f"it claims {needed} bytes and holds {there}", "wrong_size", got=there, claimed=needed)
    return _Place(path, offset, shape, dtype, is_turned)
