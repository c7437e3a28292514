"""Reader of the part of the MATLAB 5 file format that recordings need: matrices of real numbers.

SciPy's reader is not used because it ends the whole process on some damaged files (seen with SciPy 1.17.1), and because
the gateway has no SciPy.

Source: The MathWorks, "MAT-File Format", the part on level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.support.invalid import InvalidValueError

_HEADER_BYTES = 128
_ENDIAN_OFFSET = 126
_BYTE_ORDER = {b"IM": "<", b"MI": ">"}

_MATRIX, _COMPRESSED = 14, 15
_STORED_TYPE = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASS_TYPE = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_CLASSES_WITH_NAME = range(1, 16)  # classes above are opaque and have another layout
_CLASS_MASK, _COMPLEX_OR_LOGICAL = 0xFF, 0x0A00

Variables = dict[str, NDArray[Any] | None]


def read_matlab5(data: bytes, most_bytes: int = 4 << 30) -> Variables:
    """Return the variables by name; None stands for text, structures and anything else that is not real numbers.

    MATLAB stores whole numbers in fewer bytes than their class has; they are returned in the type of the class.

    Args:
        data: The file.
        most_bytes: Limit for all variables together, unpacked.

    Raises:
        ValueError, struct.error, zlib.error: If the bytes are damaged or of another format.
    """
    order = _BYTE_ORDER.get(data[_ENDIAN_OFFSET:_HEADER_BYTES])
    if order is None:
        raise InvalidValueError("no MATLAB 5 header", "no_header")
    variables: Variables = {}
    for kind, content in _elements(data[_HEADER_BYTES:], order):
        if kind == _COMPRESSED:
            content = _unpacked(content, most_bytes)
            most_bytes -= len(content)
            kind, content = next(_elements(content, order), (0, b""))
        if kind != _MATRIX:
            raise InvalidValueError(f"an element of type {kind} instead of a matrix", "not_a_matrix", got=kind)
        variables.update(_variable(content, order))
    return variables


def _unpacked(content: bytes, most_bytes: int) -> bytes:
    """Return decompressed bytes, at most `most_bytes`: one compressed megabyte may hold a thousand."""
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(content, most_bytes + 1)
    if len(unpacked) > most_bytes:
        raise InvalidValueError(f"its variables need more than {most_bytes} bytes", "too_large", limit=most_bytes)
    if not unpacking.eof:
        raise InvalidValueError("a compressed variable is cut short", "cut_short")
    return unpacked


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
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


def _variable(matrix: bytes, order: str) -> Variables:
    parts = _elements(matrix, order)
    (flags,) = struct.unpack_from(f"{order}I", next(parts, (0, b""))[1])
    if flags & _CLASS_MASK not in _CLASSES_WITH_NAME:
        return {}
    shape = np.frombuffer(next(parts, (0, b""))[1], f"{order}i4").tolist()
    name = next(parts, (0, b""))[1].decode("ascii")
    if flags & _CLASS_MASK not in _CLASS_TYPE or flags & _COMPLEX_OR_LOGICAL:
        return {name: None}
    stored, content = next(parts, (0, b""))
    if stored not in _STORED_TYPE:
        raise InvalidValueError(f"{name} has values of type {stored}", "unknown_type", name=name, got=stored)
    values = np.frombuffer(content, order + _STORED_TYPE[stored])
    if not shape or min(shape) < 0 or math.prod(shape) != len(values):
        words = f"{name} has the shape {shape} and {len(values)} values"
        raise InvalidValueError(words, "wrong_shape", name=name, shape=shape, values=len(values))
    return {name: values.astype(_CLASS_TYPE[flags & _CLASS_MASK]).reshape(shape, order="F")}
