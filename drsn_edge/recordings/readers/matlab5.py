"""The part of the MATLAB 5 file format that recordings need: matrices of real numbers.

Written here because SciPy's reader ends the whole process on some damaged files (seen with SciPy 1.17.1), and because
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

_HEADER_BYTES = 128
_ENDIAN_OFFSET = 126
_BYTE_ORDER = {b"IM": "<", b"MI": ">"}

_MATRIX, _COMPRESSED = 14, 15
_STORED_TYPE = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASS_TYPE = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_CLASSES_WITH_NAME = range(1, 16)  # above are opaque ones with a layout of their own
_CLASS_MASK, _COMPLEX_OR_LOGICAL = 0xFF, 0x0A00

Variables = dict[str, NDArray[Any] | None]


def read_matlab5(data: bytes, most_bytes: int = 4 << 30) -> Variables:
    """Return the variables by name; None stands for text, structures and all else but real numbers.

    MATLAB stores whole numbers in fewer bytes than their class has; they are returned in the class' type.

    Args:
        data: The file.
        most_bytes: Of all variables together, unpacked.

    Raises:
        ValueError, struct.error, zlib.error: If the bytes are damaged or of another format.
    """
    order = _BYTE_ORDER.get(data[_ENDIAN_OFFSET:_HEADER_BYTES])
    if order is None:
        raise ValueError("no MATLAB 5 header")
    variables: Variables = {}
    for kind, content in _elements(data[_HEADER_BYTES:], order):
        if kind == _COMPRESSED:
            content = _unpacked(content, most_bytes)
            most_bytes -= len(content)
            kind, content = next(_elements(content, order), (0, b""))
        if kind != _MATRIX:
            raise ValueError(f"element of type {kind} where a matrix belongs")
        variables.update(_variable(content, order))
    return variables


def _unpacked(content: bytes, most_bytes: int) -> bytes:
    """Return what was compressed: a megabyte may be a thousand."""
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(content, most_bytes + 1)
    if len(unpacked) > most_bytes:
        raise ValueError("its variables take more memory than they may")
    if not unpacking.eof:
        raise ValueError("a compressed variable is cut short")
    return unpacked


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Split data elements into type and content."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        is_small = kind >> 16 != 0  # up to 4 bytes stand in the tag itself
        start = at + 4 if is_small else at + 8
        size, kind = (kind >> 16, kind & 0xFFFF) if is_small else (size, kind)
        if start + size > len(data) or (is_small and size > 4):
            raise ValueError(f"element of {size} bytes where {len(data) - start} are left")
        yield kind, data[start : start + size]
        # Elements are padded to 8 bytes, but not compressed ones.
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
        raise ValueError(f"{name} with values of type {stored}")
    values = np.frombuffer(content, order + _STORED_TYPE[stored])
    if not shape or min(shape) < 0 or math.prod(shape) != len(values):
        raise ValueError(f"{name} of shape {shape} with {len(values)} values")
    return {name: values.astype(_CLASS_TYPE[flags & _CLASS_MASK]).reshape(shape, order="F")}
