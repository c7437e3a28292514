"""Reader of the MATLAB 5 file format: arrays of numbers and of text, structs and cell arrays.

SciPy's reader is not used because it ends the whole process on some damaged files (seen with SciPy 1.17.1), takes as
much memory as a compressed variable claims, and because the gateway has no SciPy.

Source: The MathWorks, "MAT-File Format", the part on level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.recordings.readers.variables import MOST_DEPTH, MOST_NODES, Closed, Group, Items, Leaf, Node, Texts
from drsn_edge.support.invalid import InvalidValueError

_HEADER_BYTES = 128
_ENDIAN_OFFSET = 126
_BYTE_ORDER = {b"IM": "<", b"MI": ">"}

_MATRIX, _COMPRESSED = 14, 15
_STORED_TYPE = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASS_TYPE = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_CELL, _STRUCT, _OBJECT, _CHAR = 1, 2, 3, 4
_CLOSED = {
    5: "a sparse matrix", 16: "a function handle", 17: "an object that only MATLAB reads", 18: "an object that only "
    "MATLAB reads",
}  # fmt: skip
_CLASS_MASK, _COMPLEX, _LOGICAL = 0xFF, 0x0800, 0x0200
_ENCODING = {1: "latin-1", 2: "latin-1", 16: "utf-8"}
_WIDE_ENCODING = {3: "utf-16", 4: "utf-16", 17: "utf-16", 18: "utf-32"}
_MOST_ROWS_OF_TEXT = 256
_LONGEST_FIELD_NAME = 64
_FIRST_BYTES = 8


class Converted:
    """An array that is stored in a narrower type than it has; slices have the right type.

    MATLAB stores whole numbers in as few bytes as they need. Converting slices keeps the file's size in memory.
    """

    def __init__(self, stored: NDArray[Any], dtype: np.dtype[Any]) -> None:
        """Keep the array as stored, and its type."""
        self._stored, self.shape, self.dtype = stored, stored.shape, dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return a slice."""
        return np.asarray(self._stored[key]).astype(self.dtype, copy=False)


def unpacked_bytes(data: bytes) -> int:
    """Return how many bytes the compressed variables of a file take once unpacked, as they claim themselves.

    Raises:
        ValueError, struct.error, zlib.error: If the bytes are damaged or of another format.
    """
    order, total = _order(data), 0
    for kind, content in _elements(memoryview(data)[_HEADER_BYTES:], order):
        if kind == _COMPRESSED:
            first = zlib.decompressobj().decompress(content, _FIRST_BYTES)
            total += _FIRST_BYTES + struct.unpack(f"{order}II", first)[1]
    return total


def read_matlab5(data: bytes, most_bytes: int = 4 << 30) -> dict[str, Node]:
    """Return the variables by name.

    Args:
        data: The file.
        most_bytes: Limit for all compressed variables together, unpacked.

    Raises:
        ValueError, struct.error, zlib.error: If the bytes are damaged or of another format.
    """
    order = _order(data)
    builder = _Builder(order)
    variables: dict[str, Node] = {}
    for kind, content in _elements(memoryview(data)[_HEADER_BYTES:], order):
        if kind == _COMPRESSED:
            content = memoryview(_unpacked(content, most_bytes))
            most_bytes -= len(content)
            kind, content = next(_elements(content, order), (0, memoryview(b"")))
        if kind != _MATRIX:
            raise InvalidValueError(f"an element of type {kind} instead of a matrix", "not_a_matrix", got=kind)
        name, node = builder.variable(content)
        if name:  # MATLAB's own tables for objects have no name
            variables[name] = node
    return variables


def _order(data: bytes) -> str:
    order = _BYTE_ORDER.get(data[_ENDIAN_OFFSET:_HEADER_BYTES])
    if order is None:
        raise InvalidValueError("no MATLAB 5 header", "no_header")
    return order


def _unpacked(content: memoryview, most_bytes: int) -> bytes:
    """Return decompressed bytes, at most `most_bytes`: one compressed megabyte may hold a thousand."""
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(content, most_bytes + 1)
    if len(unpacked) > most_bytes:
        raise InvalidValueError(f"its variables need more than {most_bytes} bytes", "too_large", limit=most_bytes)
    if not unpacking.eof:
        raise InvalidValueError("a compressed variable is cut short", "cut_short")
    return unpacked


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Split data elements into type and content."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        is_small = kind >> 16 != 0  # the tag itself holds up to 4 bytes
        start = at + 4 if is_small else at + 8
        size, kind = (kind >> 16, kind & 0xFFFF) if is_small else (size, kind)
        if start + size > len(data) or (is_small and size > 4):
            left = len(data) - start
            raise InvalidValueError(f"an element of {size} bytes with {left} left", "element_size", got=size, left=left)
        yield kind, data[start : start + size]
        # Elements are padded to 8 bytes, except compressed ones.
        at = at + 8 if is_small else start + (size if kind == _COMPRESSED else -(-size // 8) * 8)


class _Builder:
    """Makes nodes of matrices, and counts them: an empty element takes 8 bytes, but a node takes hundreds."""

    def __init__(self, order: str) -> None:
        self._order = order
        self._nodes = 0

    def variable(self, matrix: memoryview, depth: int = 0) -> tuple[str, Node]:
        """Return the name of a matrix, empty inside others, and its content."""
        self._nodes += 1
        if self._nodes > MOST_NODES or depth > MOST_DEPTH:
            words = f"more than {MOST_NODES} variables and fields, or more than {MOST_DEPTH} inside each other"
            raise InvalidValueError(words, "too_many_variables", most=MOST_NODES, most_depth=MOST_DEPTH)
        if not len(matrix):
            return "", _numbers(np.empty((0, 0)), np.dtype("f8"))
        parts = _elements(matrix, self._order)
        (flags,) = struct.unpack_from(f"{self._order}I", _next(parts))
        kind = flags & _CLASS_MASK
        if kind in (17, 18):  # a name, but no shape
            return bytes(_next(parts)).decode("ascii"), Closed(_CLOSED[kind])
        shape = tuple(np.frombuffer(_next(parts), f"{self._order}i4").tolist())
        name = bytes(_next(parts)).decode("ascii")
        if not shape or min(shape) < 0:
            raise InvalidValueError(f"{name} has the shape {shape}", "wrong_shape", name=name, shape=shape)
        if kind in (_CELL, _STRUCT, _OBJECT):
            return name, self._container(kind, parts, shape, depth)
        if kind == _CHAR:
            return name, _text(next(parts, (16, memoryview(b""))), shape, self._order)
        if kind not in _CLASS_TYPE:
            return name, Closed(_CLOSED.get(kind, f"an array of the unknown class {kind}"))
        return name, _array(next(parts, (0, memoryview(b""))), flags, shape, name, self._order)

    def _container(
        self, kind: int, parts: Iterator[tuple[int, memoryview]], shape: tuple[int, ...], depth: int
    ) -> Node:
        count = math.prod(shape)
        if kind == _CELL:
            return Items(tuple(self._elements_of(parts, count, depth)))
        if kind == _OBJECT:
            _next(parts)  # the name of the class
        names = _field_names(parts, self._order)
        nodes = self._elements_of(parts, count * len(names), depth)
        structs = tuple(Group(dict(zip(names, nodes, strict=False))) for _ in range(count if names else 0))
        return structs[0] if count == 1 and structs else Items(structs)

    def _elements_of(self, parts: Iterator[tuple[int, memoryview]], count: int, depth: int) -> Iterator[Node]:
        for _ in range(count):
            kind, content = next(parts, (0, memoryview(b"")))
            if kind != _MATRIX:
                raise InvalidValueError(f"an element of type {kind} instead of a matrix", "not_a_matrix", got=kind)
            yield self.variable(content, depth + 1)[1]


def _next(parts: Iterator[tuple[int, memoryview]]) -> memoryview:
    return next(parts, (0, memoryview(b"")))[1]


def _field_names(parts: Iterator[tuple[int, memoryview]], order: str) -> list[str]:
    (length,) = struct.unpack_from(f"{order}i", _next(parts))
    packed = bytes(_next(parts))
    if not 0 < length <= _LONGEST_FIELD_NAME or len(packed) % length:
        words = f"field names of {length} bytes in {len(packed)} bytes"
        raise InvalidValueError(words, "field_names", got=length, size=len(packed))
    names = [packed[at : at + length].split(b"\0")[0].decode("ascii") for at in range(0, len(packed), length)]
    if len(set(names)) < len(names):
        raise InvalidValueError("two fields of one struct have the same name", "field_twice")
    return names


def _array(element: tuple[int, memoryview], flags: int, shape: tuple[int, ...], name: str, order: str) -> Node:
    stored, content = element
    if stored not in _STORED_TYPE:
        raise InvalidValueError(f"{name} has values of type {stored}", "unknown_type", name=name, got=stored)
    values = np.frombuffer(content, order + _STORED_TYPE[stored])
    if math.prod(shape) != len(values):
        words = f"{name} has the shape {list(shape)} and {len(values)} values"
        raise InvalidValueError(words, "wrong_shape", name=name, shape=list(shape), values=len(values))
    if flags & _COMPLEX:
        return Closed("complex numbers")
    dtype = np.dtype("?") if flags & _LOGICAL else np.dtype(_CLASS_TYPE[flags & _CLASS_MASK])
    return _numbers(values.reshape(shape, order="F"), dtype)


def _numbers(stored: NDArray[Any], dtype: np.dtype[Any]) -> Leaf:
    return Leaf(stored.shape, dtype, lambda: nullcontext(Converted(stored, dtype)))


def _text(element: tuple[int, memoryview], shape: tuple[int, ...], order: str) -> Node:
    """Return the rows of a matrix of characters, without the blanks that make them equally long."""
    stored, content = element
    if stored in _WIDE_ENCODING:
        text = bytes(content).decode(_WIDE_ENCODING[stored] + ("-le" if order == "<" else "-be"), "replace")
    else:
        text = bytes(content).decode(_ENCODING.get(stored, "latin-1"), "replace")
    rows = shape[0]
    if rows > _MOST_ROWS_OF_TEXT:
        return Closed("text")
    return Texts(tuple(text[row::rows].rstrip() for row in range(rows)))
