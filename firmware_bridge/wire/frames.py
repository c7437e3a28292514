"""Frames, the packets between two delimiters: bytes to frames, and back. PROTOCOL.md shows their layout."""

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

_RESIDUE = crc32(_CRC.pack(crc32(b"")))
"""CRC of any bytes followed by their own CRC."""

MAX_PAYLOAD = 2048
"""Most payload bytes in one frame; a small microcontroller can buffer two such frames."""

MIN_DECODED = _HEADER.size + _CRC.size
MAX_DECODED = MIN_DECODED + MAX_PAYLOAD
MAX_ENCODED = cobs.max_encoded_size(MAX_DECODED)

SEQUENCE_MODULUS = 1 << 16


class Frame(NamedTuple):
    """One frame with a correct CRC. `sequence` counts every frame of its sender, modulo 65536."""

    type: int
    sequence: int
    payload: bytes


def encode_frame(frame: Frame) -> bytes:
    """Return a frame as bytes on the wire, delimiter included.

    Raises:
        ProtocolError: If the payload is longer than `MAX_PAYLOAD`.
    """
    if len(frame.payload) > MAX_PAYLOAD:
        raise ProtocolError(
            f"A frame holds at most {MAX_PAYLOAD} bytes of payload, got {len(frame.payload)}.",
            "payload_too_long",
            limit=MAX_PAYLOAD,
            got=len(frame.payload),
        )
    body = _HEADER.pack(frame.type, frame.sequence, len(frame.payload)) + frame.payload
    return cobs.encode(body + _CRC.pack(crc32(body))) + DELIMITER


def decode_frame(encoded: bytes) -> Frame:
    """Decode the bytes between two delimiters.

    Raises:
        FrameError: If the size, the COBS code or the CRC is wrong: the bytes were damaged or are foreign.
        ProtocolError: If the CRC is correct but the length field is wrong: the sender has a bug.
    """
    if len(encoded) > MAX_ENCODED:
        raise _too_long(MAX_ENCODED, len(encoded))
    decoded = cobs.decode(encoded)
    if len(decoded) < MIN_DECODED:
        raise FrameError(
            f"A frame has at least {MIN_DECODED} bytes, got {len(decoded)}.",
            "too_short",
            limit=MIN_DECODED,
            got=len(decoded),
        )
    if len(decoded) > MAX_DECODED:
        raise _too_long(MAX_DECODED, len(decoded))
    if crc32(decoded) != _RESIDUE:
        (expected,) = _CRC.unpack_from(decoded, len(decoded) - _CRC.size)
        actual = crc32(decoded[: -_CRC.size])
        raise FrameError(
            f"The frame was sent with CRC {expected:08x}, but its bytes have CRC {actual:08x}.",
            "wrong_crc",
            expected=expected,
            got=actual,
        )
    kind, sequence, length = _HEADER.unpack_from(decoded)
    payload = decoded[_HEADER.size : -_CRC.size]
    if length != len(payload):
        raise ProtocolError(
            f"The length field of the frame says {length} bytes of payload, but there are {len(payload)}.",
            "wrong_length",
            expected=length,
            got=len(payload),
        )
    return Frame(kind, sequence, payload)


def _too_long(limit: int, got: int) -> FrameError:
    return FrameError(f"A frame has at most {limit} bytes, got {got}.", "too_long", limit=limit, got=got)


class FrameWriter:
    """Numbers the frames of one sender."""

    def __init__(self) -> None:
        """Start with sequence 0."""
        self._sequence = 0

    def encode(self, kind: int, payload: bytes) -> bytes:
        """Return the next frame as bytes on the wire, delimiter included; raises as `encode_frame` does."""
        encoded = encode_frame(Frame(kind, self._sequence, payload))
        self._sequence = (self._sequence + 1) % SEQUENCE_MODULUS
        return encoded


class FrameSplitter:
    """Cuts a byte stream at its delimiters, in bounded memory."""

    def __init__(self) -> None:
        """Start with an empty stream."""
        self._partial = b""
        self.bytes_dropped = 0
        """Bytes discarded because no delimiter came within the length of the longest frame."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the pieces that the delimiters in `data` complete, empty ones included, without the delimiters.

        A piece that is too long for a frame is cut to a length that `decode_frame` still refuses.
        """
        *pieces, partial = (self._partial + data).split(DELIMITER)
        self._partial = partial[: MAX_ENCODED + 1]
        self.bytes_dropped += len(partial) - len(self._partial)
        return pieces

    def reset(self) -> int:
        """Discard the incomplete piece, and return its number of bytes."""
        forgotten = len(self._partial)
        self._partial = b""
        return forgotten
