"""The wire read byte by byte and as plainly as can be, sharing no code with the project: both are to agree."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field


@dataclass
class Heard:
    """What a parser that believes nothing found.

    Attributes:
        frames: Whole frames, decoded, without their CRC.
        bad: Pieces between two delimiters that are no frame.
        resyncs: Whole frames right behind at least one bad piece.
    """

    frames: list[bytes] = field(default_factory=list)
    bad: int = 0
    resyncs: int = 0


class NaiveParser:
    """Takes one byte after the other; what comes before the first delimiter does not count."""

    def __init__(self) -> None:
        self.heard = Heard()
        self._piece = bytearray()
        self._in_step = False
        self._was_bad = False

    def feed(self, data: bytes) -> None:
        for byte in data:
            if byte != 0:
                self._piece.append(byte)
                continue
            if self._piece:
                self._judge(bytes(self._piece))
            self._piece.clear()
            self._in_step = True

    def _judge(self, piece: bytes) -> None:
        decoded = unstuff(piece)
        if decoded is not None and is_frame(decoded):
            self.heard.frames.append(decoded[:-4])
            self.heard.resyncs += self._was_bad
            self._was_bad = False
        elif self._in_step:
            self.heard.bad += 1
            self._was_bad = True


def unstuff(piece: bytes) -> bytes | None:
    out, at = bytearray(), 0
    while at < len(piece):
        code = piece[at]
        group = piece[at + 1 : at + code]
        if len(group) != code - 1:
            return None
        out += group
        at += code
        if code != 255 and at < len(piece):
            out.append(0)
    return bytes(out)


def is_frame(decoded: bytes) -> bool:
    if not 9 <= len(decoded) <= 2057:
        return False
    return zlib.crc32(decoded[:-4]) == int.from_bytes(decoded[-4:], "little")
