"""Frames: what travels between two delimiters. Bytes in, frames out, and back; PROTOCOL.md draws them."""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

from firmware_bridge.errors import FrameError, ProtocolError
from firmware_bridge.wire import cobs

DELIMITER = b"\0"

_HEADER = struct.Struct("<BHH")  # type, sequence, length of the payload
assert _HEADER.size == 5

_CRC = struct.Struct("<I")  # over header and payload
assert _CRC.size == 4

MAX_PAYLOAD = 2048
"""Most payload bytes in one frame: what a small MCU can buffer twice."""

MIN_DECODED = _HEADER.size + _CRC.size
MAX_DECODED = MIN_DECODED + MAX_PAYLOAD
MAX_ENCODED = cobs.max_encoded_size(MAX_DECODED)

SEQUENCE_MODULUS = 1 << 16


class Frame(NamedTuple):
    """One frame whose CRC was right. `sequence` counts every frame of its sender, modulo 65536."""

    type: int
    sequence: int
    payload: bytes


def encode_frame(frame: Frame) -> bytes:
    """Return the bytes on the wire, delimiter included.

    Raises:
        ProtocolError: If the payload is longer than `MAX_PAYLOAD`.
    """
    if len(frame.payload) > MAX_PAYLOAD:
        raise ProtocolError(f"Expected a payload of at most {MAX_PAYLOAD} bytes, got {len(frame.payload)}.")
    body = _HEADER.pack(frame.type, frame.sequence, len(frame.payload)) + frame.payload
    return cobs.encode(body + _CRC.pack(crc32(body))) + DELIMITER


def decode_frame(encoded: bytes) -> Frame:
    """Decode what lies between two delimiters.

    Raises:
        FrameError: If the size, the COBS code or the CRC is wrong: the bytes were damaged or are foreign.
        ProtocolError: If the CRC is right but the length field lies: the sender is wrong.
    """
    if len(encoded) > MAX_ENCODED:
        raise FrameError(f"Expected a frame of at most {MAX_ENCODED} encoded bytes, got {len(encoded)}.")
    decoded = cobs.decode(encoded)
    if len(decoded) < MIN_DECODED:
        raise FrameError(f"Expected a frame of at least {MIN_DECODED} bytes, got {len(decoded)}.")
    if len(decoded) > MAX_DECODED:
        raise FrameError(f"Expected a frame of at most {MAX_DECODED} bytes, got {len(decoded)}.")
    body = decoded[: -_CRC.size]
    (expected,) = _CRC.unpack_from(decoded, len(body))
    actual = crc32(body)
    if actual != expected:
        raise FrameError(f"Expected CRC {expected:08x} as sent, got {actual:08x} from the bytes.")
    kind, sequence, length = _HEADER.unpack_from(body)
    payload = body[_HEADER.size :]
    if length != len(payload):
        raise ProtocolError(f"Expected {length} payload bytes as the length field says, got {len(payload)}.")
    return Frame(kind, sequence, payload)


class FrameWriter:
    """Numbers the frames of one sender."""

    def __init__(self) -> None:
        """Start with sequence 0."""
        self._sequence = 0

    def encode(self, kind: int, payload: bytes) -> bytes:
        """Return the next frame as bytes on the wire, delimiter included; errors as in `encode_frame`."""
        encoded = encode_frame(Frame(kind, self._sequence, payload))
        self._sequence = (self._sequence + 1) % SEQUENCE_MODULUS
        return encoded


class FrameSplitter:
    """Cuts a byte stream at its delimiters, in bounded memory."""

    def __init__(self) -> None:
        """Start with an empty stream."""
        self._partial = b""
        self.bytes_dropped = 0
        """Bytes thrown away because no delimiter came for longer than any frame is."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return what the delimiters in `data` completed, empty pieces included, without the delimiters.

        A piece that is too long for a frame is cut, but comes out still too long: `decode_frame` refuses it.
        """
        *pieces, partial = (self._partial + data).split(DELIMITER)
        self._partial = partial[: MAX_ENCODED + 1]
        self.bytes_dropped += len(partial) - len(self._partial)
        return pieces

    def reset(self) -> int:
        """Forget the piece that is not complete and return how many bytes it had."""
        forgotten = len(self._partial)
        self._partial = b""
        return forgotten
