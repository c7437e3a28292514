"""The character encoding of a table, by its first bytes: UTF-8, UTF-16 and Windows-1252 (which has all of Latin-1)."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from firmware_bridge.errors import TableError

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_ENOUGH_NULS = 0.7
"""Share of NUL bytes at even or odd places from which text counts as UTF-16; numbers in UTF-16 have all there."""
_CONTROLS = frozenset(range(32)) - {9, 10, 11, 12, 13, 26, 27}


@dataclass(frozen=True)
class Encoding:
    """How bytes stand for characters.

    Attributes:
        name: Python's name of the encoding.
        mark_bytes: Length of the byte order mark at the start of the file.
    """

    name: str
    mark_bytes: int = 0

    @property
    def is_wide(self) -> bool:
        """Whether ASCII characters take two bytes."""
        return self.name.startswith("utf-16")


def encoding_of(head: bytes) -> Encoding:
    """Return the encoding of a text by its first bytes.

    Raises:
        TableError: If the bytes are no text.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Encoding(name, len(mark))
    sample = head[:4096]
    for name, first in (("utf-16-le", 1), ("utf-16-be", 0)):
        nuls = sample[first::2]
        other = sample[1 - first :: 2]
        if nuls and nuls.count(0) > _ENOUGH_NULS * len(nuls) and not any(byte in _CONTROLS for byte in other):
            return Encoding(name)
    if any(byte in _CONTROLS for byte in set(head)):
        raise TableError("It holds binary data and no text.", "not_text")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return Encoding("cp1252")
    return Encoding("utf-8")
