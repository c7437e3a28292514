from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import firmware_bridge
from firmware_bridge import cobs
from firmware_bridge.errors import ProtocolError
from firmware_bridge.frames import Frame, decode_frame
from firmware_bridge.messages import (
    DeviceState,
    Hello,
    MessageType,
    Opcode,
    SamplesPayload,
    StatusPayload,
    decode_command,
    decode_device_message,
    decode_hello,
    decode_samples,
    decode_status,
    encode_command,
    encode_hello,
    encode_samples,
    encode_status,
    max_block_samples,
)

HELLO = Hello(
    session=7,
    device_id="bench-1",
    firmware_version="0.1.0",
    sensor_model="ADXL355",
    axes=("x", "y", "z"),
    unit="g",
    scale=1 / 2048,
    full_scale=16.0,
    sample_rate_hz=4000.0,
    samples_produced=2**40,
    device_time_us=2**50,
)
SAMPLES = SamplesPayload(0x1234ABCD, 160, 40_000, np.array([[0, 1, -1], [2048, 0, -32768]], np.int16))


def same(one: SamplesPayload, other: SamplesPayload) -> bool:
    return one[:3] == other[:3] and np.array_equal(one.samples, other.samples)


def tags(payload: bytes) -> list[bytes]:
    """Split a HELLO into its fields."""
    found = []
    while payload:
        end = 2 + payload[1]
        found.append(payload[:end])
        payload = payload[end:]
    return found


# --- PROTOCOL.md ---------------------------------------------------------------------------------------------------


def worked_frames() -> list[bytes]:
    text = (Path(firmware_bridge.__file__).parent / "PROTOCOL.md").read_text()
    lines = [line.strip() for line in text.partition("## Worked frames")[2].splitlines() if line.startswith("    ")]
    command, samples, *fields = lines
    return [
        bytes.fromhex(command),
        bytes.fromhex(samples),
        bytes.fromhex(" ".join(row.split("  ")[0] for row in fields)),
    ]


def test_the_worked_command_of_the_protocol() -> None:
    frame = decode_frame(worked_frames()[0].removesuffix(b"\0"))
    assert frame == Frame(MessageType.COMMAND, 1, encode_command(Opcode.START))


def test_the_worked_samples_of_the_protocol() -> None:
    _, wire, decoded = worked_frames()
    assert cobs.decode(wire.removesuffix(b"\0")) == decoded
    frame = decode_frame(wire.removesuffix(b"\0"))
    assert (frame.type, frame.sequence, frame.payload) == (MessageType.SAMPLES, 7, encode_samples(SAMPLES))
    message = decode_device_message(frame)
    assert isinstance(message, SamplesPayload) and same(message, SAMPLES)


# --- HELLO ---------------------------------------------------------------------------------------------------------


def test_hello_round_trip() -> None:
    back = decode_hello(encode_hello(HELLO))
    assert back == HELLO
    assert (back.samples_produced, back.device_time_us) == (2**40, 2**50)


def test_hello_fields_come_in_any_order_and_unknown_ones_are_skipped() -> None:
    shuffled = [b"\xc8\x02hi", *reversed(tags(encode_hello(HELLO))), b"\xc8\x00"]
    assert decode_hello(b"".join(shuffled)) == HELLO


def test_every_truncation_of_hello_is_refused() -> None:
    payload = encode_hello(HELLO)
    for length in range(len(payload)):
        with pytest.raises(ProtocolError):
            decode_hello(payload[:length])


@pytest.mark.parametrize("index", range(12))
def test_a_missing_and_a_repeated_field_are_refused(index: int) -> None:
    fields = tags(encode_hello(HELLO))
    with pytest.raises(ProtocolError, match="lacks"):
        decode_hello(b"".join(fields[:index] + fields[index + 1 :]))
    with pytest.raises(ProtocolError, match="repeats"):
        decode_hello(b"".join([*fields, fields[index]]))


@pytest.mark.parametrize(("version", "update"), [(2, "drsn-edge on this host"), (0, "firmware")])
def test_another_version_says_what_to_update(version: int, update: str) -> None:
    only_the_version = bytes([1, 1, version])
    with pytest.raises(ProtocolError, match=rf"speaks protocol {version}, this host speaks 1. Update .*{update}"):
        decode_hello(only_the_version)


def test_fields_of_a_wrong_size_or_text_are_refused() -> None:
    fields = tags(encode_hello(HELLO))
    for bad in (
        b"\x02\x03abc",
        b"\x08\x00",
        b"\x03\x01\xff",
        b"\x03\x00",
        b"\x03\x03\x1b[m",
        b"\x06\x03x,x",
        b"\x06\x02x,",
    ):
        changed = [bad if field[0] == bad[0] else field for field in fields]
        with pytest.raises(ProtocolError):
            decode_hello(b"".join(changed))


@pytest.mark.parametrize("name", ["scale", "full_scale", "sample_rate_hz"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_numbers_are_refused(name: str, value: float) -> None:
    with pytest.raises(ProtocolError, match=name):
        replace(HELLO, **{name: value})


def test_what_does_not_fit_a_hello_is_refused() -> None:
    with pytest.raises(ProtocolError, match="255"):
        encode_hello(replace(HELLO, device_id="x" * 256))
    with pytest.raises(ProtocolError, match="session"):
        encode_hello(replace(HELLO, session=2**32))


# --- SAMPLES, STATUS, COMMAND ----------------------------------------------------------------------------------------


def test_samples_keep_the_low_bits_of_both_counters() -> None:
    long = SAMPLES._replace(first_sample=2**32 + 160, device_time_us=2**35 + 40_000)
    assert same(decode_samples(encode_samples(long)), SAMPLES)


def test_the_largest_block_fits() -> None:
    for n_axes in (1, 3):
        most = max_block_samples(n_axes)
        message = SAMPLES._replace(samples=np.ones((most, n_axes), np.int16))
        assert 2048 - 2 * n_axes < len(encode_samples(message)) <= 2048
        assert same(decode_samples(encode_samples(message)), message)


def test_every_truncation_and_excess_of_samples_is_refused() -> None:
    payload = encode_samples(SAMPLES)
    for bad in [payload[:length] for length in range(len(payload))] + [payload + b"\0"]:
        with pytest.raises(ProtocolError):
            decode_samples(bad)


@pytest.mark.parametrize(("n_samples", "n_axes", "encoding"), [(3, 3, 0), (2, 2, 0), (0, 3, 0), (2, 0, 0), (2, 3, 1)])
def test_a_samples_head_that_lies_is_refused(n_samples: int, n_axes: int, encoding: int) -> None:
    payload = encode_samples(SAMPLES)
    with pytest.raises(ProtocolError):
        decode_samples(payload[:12] + struct.pack("<HBB", n_samples, n_axes, encoding) + payload[16:])
    if 0 in (n_samples, n_axes):
        with pytest.raises(ProtocolError):
            decode_samples(payload[:12] + struct.pack("<HBB", n_samples, n_axes, encoding))


def test_status_round_trip_and_bad_sizes() -> None:
    status = StatusPayload(7, 2**40, 2**50, DeviceState.ENDED)
    payload = encode_status(status)
    assert decode_status(payload) == status
    for bad in [payload[:length] for length in range(len(payload))] + [payload + b"\0", payload[:-1] + b"\3"]:
        with pytest.raises(ProtocolError):
            decode_status(bad)


def test_commands() -> None:
    assert decode_command(encode_command(Opcode.STOP) + b"of a later version") is Opcode.STOP
    for bad in (b"", b"\0", b"\x63"):
        with pytest.raises(ProtocolError):
            decode_command(bad)


def test_unknown_types_and_our_own_echo_are_no_device_message() -> None:
    assert decode_device_message(Frame(0x42, 0, b"anything")) is None
    assert decode_device_message(Frame(MessageType.COMMAND, 0, b"\1")) is None
