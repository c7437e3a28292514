"""Blocks of whole lines, in bounded memory: any encoding and any end of line in, bytes with line feeds out."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from firmware_bridge.errors import TableError
from firmware_bridge.tables.encoding import Encoding

BLOCK_BYTES = 1 << 18
_LINE_FEED = 10
LONGEST_LINE = 1 << 20
"""Longest line in bytes: 50,000 columns, far more than a table of samples has."""


def blocks_of(
    file: BinaryIO, encoding: Encoding, block_bytes: int = BLOCK_BYTES, end: int | None = None
) -> Iterator[bytes]:
    r"""Yield the content of a file from its start, cut at ends of lines, which are all `\n`.

    Args:
        file: The file, open for reading bytes.
        encoding: Its encoding; UTF-16 becomes UTF-8, others stay as they are.
        block_bytes: Bytes that are read at once.
        end: Byte of the file behind the last line; None for all of the file.

    Raises:
        TableError: If a line is too long.
        OSError: If the file cannot be read.
    """
    file.seek(encoding.mark_bytes)
    decode = codecs.getincrementaldecoder(encoding.name)("replace").decode if encoding.is_wide else None
    rest = b""
    number = 1
    left = float("inf") if end is None else end - encoding.mark_bytes
    while read := file.read(int(min(block_bytes, left))):
        left -= len(read)
        data = rest + (read if decode is None else decode(read).encode())
        held = data.endswith(b"\r")  # its line feed may be the first byte of the next block
        data = data[:-1] if held else data
        data = unix(data)
        cut = data.rfind(b"\n") + 1
        rest = data[cut:] + (b"\r" if held else b"")
        if len(rest) > LONGEST_LINE:
            number += lines_in(data)
            raise TableError(
                f"Line {number} is longer than {LONGEST_LINE} bytes, which no table of one line per sample has. "
                "Write one sample on each line.",
                "line_too_long",
                line=number,
            )
        if cut:
            number += lines_in(data)
            yield data[:cut]
    if rest := unix(rest):
        yield rest if rest.endswith(b"\n") else rest + b"\n"


def lines_in(data: bytes) -> int:
    r"""Return the number of `\n`; NumPy counts frequent bytes ten times as fast as `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == _LINE_FEED))


def unix(data: bytes) -> bytes:
    r"""Return bytes with every end of line as `\n`."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data
