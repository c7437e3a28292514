"""Reader of the MATLAB 4 file format: matrices of numbers and of text.

Source: The MathWorks, "MAT-File Format", the part on level 4.
"""

from __future__ import annotations

import struct

import numpy as np

from drsn_edge.recordings.readers.variables import MOST_NODES, Closed, Node, Texts, leaf_of
from drsn_edge.support.invalid import InvalidValueError

_HEADER = "iiiii"
_HEADER_BYTES = struct.calcsize("<" + _HEADER)
_STORED_TYPE = ("f8", "f4", "i4", "i2", "u2", "u1")
_FULL, _TEXT, _SPARSE = range(3)
_LONGEST_NAME = 256
_MOST_ROWS_OF_TEXT = 256


def order_of(data: bytes) -> str | None:
    """Return the byte order of a MATLAB 4 file, `<` or `>`; None if it is none."""
    if len(data) < _HEADER_BYTES:
        return None
    for machine, order in enumerate("<>"):
        kind, rows, columns, _, name_bytes = struct.unpack_from(order + _HEADER, data)
        is_kind = kind // 1000 == machine and kind // 100 % 10 == 0 and kind % 10 <= _SPARSE
        if 0 <= kind < 2000 and is_kind and min(rows, columns) >= 0 and 0 < name_bytes <= _LONGEST_NAME:
            return order
    return None


def read_matlab4(data: bytes) -> dict[str, Node]:
    """Return the variables by name.

    Raises:
        ValueError, struct.error: If the bytes are damaged or of another format.
    """
    order, at = order_of(data), 0
    if order is None:
        raise InvalidValueError("no MATLAB 4 header", "no_header")
    variables: dict[str, Node] = {}
    while at < len(data):
        if len(variables) >= MOST_NODES:
            raise InvalidValueError(f"more than {MOST_NODES} variables", "too_many_variables", most=MOST_NODES)
        kind, rows, columns, is_complex, name_bytes = struct.unpack_from(order + _HEADER, data, at)
        stored, content = kind // 10 % 10, kind % 10
        if stored >= len(_STORED_TYPE) or min(rows, columns) < 0 or not 0 < name_bytes <= _LONGEST_NAME:
            raise InvalidValueError("the header of a variable is damaged", "damaged_header", at=at)
        dtype = np.dtype(order + _STORED_TYPE[stored])
        start = at + _HEADER_BYTES + name_bytes
        size = rows * columns * dtype.itemsize
        at = start + size * (2 if is_complex else 1)
        if at > len(data):
            raise InvalidValueError(
                f"a variable of {size} bytes with {len(data) - start} left", "element_size", got=size
            )
        name = data[start - name_bytes : start].rstrip(b"\0").decode("ascii")
        values = np.frombuffer(data, dtype, rows * columns, start).reshape((rows, columns), order="F")
        variables[name] = Closed("complex numbers") if is_complex else _node(content, values)
    return variables


def _node(content: int, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Node:
    if content == _SPARSE:
        return Closed("a sparse matrix")
    if content == _FULL:
        return leaf_of(values)
    if len(values) > _MOST_ROWS_OF_TEXT:
        return Closed("text")
    return Texts(tuple(bytes(row.astype(np.uint8)).decode("latin-1").rstrip() for row in values))
