from __future__ import annotations

import struct
from zlib import crc32

import pytest
from refusals import refused

from firmware_bridge.errors import FrameError, ProtocolError
from firmware_bridge.wire import cobs
from firmware_bridge.wire.frames import (
    MAX_ENCODED,
    MAX_PAYLOAD,
    Frame,
    FrameSplitter,
    FrameWriter,
    decode_frame,
    encode_frame,
)

FRAME = Frame(2, 513, b"\0\1\2\0\0\xff")


def with_crc(body: bytes) -> bytes:
    return cobs.encode(body + struct.pack("<I", crc32(body)))


@pytest.mark.parametrize("size", [0, 1, 253, 254, 255, MAX_PAYLOAD])
def test_round_trip(size: int) -> None:
    frame = Frame(200, 65535, b"\7" * size)
    encoded = encode_frame(frame)
    assert encoded.count(0) == 1 and encoded.endswith(b"\0")
    assert len(encoded) - 1 <= MAX_ENCODED
    assert decode_frame(encoded[:-1]) == frame


def test_too_long_a_payload_is_refused() -> None:
    with refused(ProtocolError, "payload_too_long", limit=2048, got=MAX_PAYLOAD + 1):
        encode_frame(Frame(1, 0, bytes(MAX_PAYLOAD + 1)))


def test_every_truncation_is_refused() -> None:
    encoded = encode_frame(FRAME)[:-1]
    for length in range(len(encoded)):
        with pytest.raises(FrameError):
            decode_frame(encoded[:length])


def test_every_flipped_bit_is_refused() -> None:
    encoded = encode_frame(FRAME)[:-1]
    for bit in range(8 * len(encoded)):
        damaged = bytearray(encoded)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FrameError):
            decode_frame(bytes(damaged))


def test_every_flipped_bit_before_encoding_is_refused() -> None:
    decoded = cobs.decode(encode_frame(FRAME)[:-1])
    for bit in range(8 * len(decoded)):
        damaged = bytearray(decoded)
        damaged[bit // 8] ^= 1 << bit % 8
        with refused(FrameError, "wrong_crc"):
            decode_frame(cobs.encode(bytes(damaged)))


@pytest.mark.parametrize("length", [0, 5, 7, 65535])
def test_a_lying_length_with_a_right_crc_is_the_senders_fault(length: int) -> None:
    body = struct.pack("<BHH", 2, 0, length) + FRAME.payload
    with refused(ProtocolError, "wrong_length", expected=length, got=len(FRAME.payload)):
        decode_frame(with_crc(body))


def test_sizes_outside_the_limits_are_refused() -> None:
    with refused(FrameError, "too_short", limit=9, got=8):
        decode_frame(with_crc(b"\2\0\0\0"))
    with refused(FrameError, "too_long", limit=MAX_ENCODED, got=MAX_ENCODED + 1):
        decode_frame(b"\1" * (MAX_ENCODED + 1))


def test_the_sequence_wraps() -> None:
    writer = FrameWriter()
    sequences = [decode_frame(writer.encode(1, b"")[:-1]).sequence for _ in range(65538)]
    assert sequences[-3:] == [65535, 0, 1]


def test_a_stream_without_delimiters_is_kept_in_bounded_memory() -> None:
    splitter = FrameSplitter()
    for _ in range(100):
        assert splitter.feed(b"x" * 1000) == []
    (piece,) = splitter.feed(b"\0")
    assert len(piece) == MAX_ENCODED + 1
    assert splitter.bytes_dropped == 100_000 - len(piece)
