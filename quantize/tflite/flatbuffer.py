"""The layer below a .tflite file: FlatBuffer tables and vectors, every offset checked. No FlatBuffers library.

A table points to a vtable of field offsets; fields are identified by their number in the schema. Damaged or hostile
bytes raise only IndexError, struct.error or UnicodeDecodeError, which `quantize.tflite.file` turns into ModelFileError.

Source: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAX_ITEMS = 100_000
"""Highest number of tensors, operators or indices: far more than any network for a gateway has."""


class File:
    """The bytes of a file, and how many of them its vectors may still claim.

    In a valid file no two vectors share bytes. In a hostile file a thousand operators can point to the same thousand
    indices. The vectors together may therefore claim no more bytes than the file has, which bounds the work.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._unclaimed = len(data)

    def unpack(self, kind: str, position: int) -> int:
        """Return the number at a byte position; `kind` is a format of `struct`."""
        if position < 0:
            raise IndexError(f"an offset to byte {position}")
        value: int = struct.unpack_from(kind, self.data, position)[0]
        return value

    def claim(self, start: int, size: int) -> None:
        """Raise IndexError unless a vector of `size` bytes can begin at byte `start`."""
        if start + size > len(self.data) or size > self._unclaimed:
            raise IndexError(f"a vector of {size} bytes at byte {start}")
        self._unclaimed -= size

    def bytes(self, start: int, size: int) -> bytes:
        """Return a copy of `size` bytes; no other vector may claim them afterwards."""
        self.claim(start, size)
        return self.data[start : start + size]


@dataclass(frozen=True)
class Table:
    """A FlatBuffer table at `position`; fields by their number in the schema."""

    file: File
    position: int

    def offset(self, field: int) -> int | None:
        """Return the position of a field's value; None if the field is absent and has its default value."""
        vtable = self.position - self.file.unpack("<i", self.position)
        size = self.file.unpack("<H", vtable)
        if 4 + 2 * field >= size:
            return None
        relative = self.file.unpack("<H", vtable + 4 + 2 * field)
        return self.position + relative if relative else None

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """Return a field's number; `kind` is a format of `struct`."""
        position = self.offset(field)
        return default if position is None else self.file.unpack("<" + kind, position)

    def table(self, field: int) -> Table | None:
        """Return the table that a field points to; None if the field is absent."""
        position = self.offset(field)
        return None if position is None else Table(self.file, position + self.file.unpack("<I", position))

    def _vector(self, field: int) -> tuple[int, int]:
        """Return (position of the first item, number of items), not yet checked against the file."""
        position = self.offset(field)
        if position is None:
            return 0, 0
        start = position + self.file.unpack("<I", position) + 4
        return start, self.file.unpack("<I", start - 4)

    def _items(self, field: int, item_size: int) -> tuple[int, int]:
        start, count = self._vector(field)
        if count > MAX_ITEMS:
            raise IndexError(f"a vector of {count} items at byte {start}")
        self.file.claim(start, count * item_size)
        return start, count

    def numbers(self, field: int, kind: str) -> tuple[int, ...]:
        """Return a vector of numbers; `kind` is a format of `struct`."""
        start, count = self._items(field, struct.calcsize(kind))
        return struct.unpack_from(f"<{count}{kind}", self.file.data, start) if count else ()

    def tables(self, field: int) -> list[Table]:
        """Return the tables that a vector points to."""
        start, count = self._items(field, 4)
        positions = range(start, start + 4 * count, 4)
        return [Table(self.file, position + self.file.unpack("<I", position)) for position in positions]

    def bytes(self, field: int) -> bytes:
        """Return a vector of bytes of any length."""
        return self.file.bytes(*self._vector(field))

    def text(self, field: int) -> str:
        """Return a string."""
        start, count = self._items(field, 1)
        return self.file.data[start : start + count].decode()
