from __future__ import annotations

import math
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

import firmware_bridge
from firmware_bridge.errors import DescriptionError, ProtocolError, UnknownCommandError
from firmware_bridge.wire import cobs
from firmware_bridge.wire.frames import Frame, decode_frame
from firmware_bridge.wire.messages import (
    Command,
    DeviceState,
    Encoding,
    Hello,
    LogLevel,
    LogPayload,
    MessageType,
    Opcode,
    ReplyPayload,
    Result,
    SamplesPayload,
    StatusPayload,
    decode_command,
    decode_device_message,
    decode_hello,
    decode_log,
    decode_reply,
    decode_samples,
    decode_status,
    encode_command,
    encode_hello,
    encode_log,
    encode_reply,
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
    assert frame == Frame(MessageType.COMMAND, 1, encode_command(Command(Opcode.START)))


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


def field_of(tag: int, code: str, value: float) -> bytes:
    data = struct.pack(code, value)
    return bytes([tag, len(data)]) + data


@pytest.mark.parametrize(
    ("tag", "code", "value"),
    [
        *[
            (tag, "<d", value)
            for tag in (8, 9, 10)
            for value in (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e36, 1e-300)
        ],
        *[(tag, "<Q", value) for tag in (11, 12) for value in (2**53, 2**63 - 1, 2**63, 2**64 - 1)],
    ],
)
def test_numbers_that_no_device_has_are_refused(tag: int, code: str, value: float) -> None:
    fields = tags(encode_hello(HELLO))
    fields[tag - 1] = field_of(tag, code, value)
    with refused(DescriptionError, "out_of_bounds"):
        decode_hello(b"".join(fields))


def test_the_largest_numbers_are_taken() -> None:
    hello = replace(HELLO, scale=1e9 / 2**23, full_scale=1e9, sample_rate_hz=1e7, samples_produced=2**53 - 1)
    assert decode_hello(encode_hello(hello)) == hello


@pytest.mark.parametrize("field", ["samples_produced", "device_time_us"])
@pytest.mark.parametrize("value", [2**53, 2**63, 2**64 - 60_000])
def test_a_status_with_a_counter_that_no_device_reaches_is_refused(field: str, value: int) -> None:
    values = {"samples_produced": 7, "device_time_us": 9, field: value}
    payload = struct.pack("<IQQBIIHHh", 1, values["samples_produced"], values["device_time_us"], 1, 0, 0, 0, 0, 0)
    with refused(DescriptionError, "out_of_bounds", field=f"{field} of STATUS", got=value):
        decode_status(payload)


@pytest.mark.parametrize("text", ["\x1b[2J", "a\x07", "\x9b31m", "\u202e", "line\nline"])
@pytest.mark.parametrize("name", ["device_id", "firmware_version", "sensor_model", "unit", "axes"])
def test_what_a_terminal_would_act_on_is_refused_and_said_in_escapes(name: str, text: str) -> None:
    fields = tags(encode_hello(HELLO))
    tag = 3 + ["device_id", "firmware_version", "sensor_model", "axes", "unit"].index(name)
    data = text.encode()
    fields[tag - 1] = bytes([tag, len(data)]) + data
    with pytest.raises(DescriptionError) as caught:
        decode_hello(b"".join(fields))
    assert str(caught.value).isprintable()
    with pytest.raises(ProtocolError):
        decode_log(b"\1" + data)


def test_every_truncation_of_hello_is_refused() -> None:
    payload = encode_hello(HELLO)
    for length in range(len(payload)):
        with pytest.raises(ProtocolError):
            decode_hello(payload[:length])


@pytest.mark.parametrize("index", range(12))
def test_a_missing_and_a_repeated_field_are_refused(index: int) -> None:
    fields = tags(encode_hello(HELLO))
    with refused(ProtocolError, "missing_fields"):
        decode_hello(b"".join(fields[:index] + fields[index + 1 :]))
    with refused(ProtocolError, "repeated_field"):
        decode_hello(b"".join([*fields, fields[index]]))


@pytest.mark.parametrize(("version", "older"), [(2, "host"), (0, "device")])
def test_another_version_says_what_to_update(version: int, older: str) -> None:
    only_the_version = bytes([1, 1, version])
    with refused(ProtocolError, "protocol_version", expected=1, got=version, older=older):
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
    with refused(DescriptionError, "out_of_bounds", field=name, got=value):
        replace(HELLO, **{name: value})  # type: ignore[arg-type]


def test_what_does_not_fit_a_hello_is_refused() -> None:
    with refused(ProtocolError, "field_too_long", field="device_id", limit=255, got=256):
        encode_hello(replace(HELLO, device_id="x" * 256))
    with refused(ProtocolError, "does_not_fit", field="session", got=2**32):
        encode_hello(replace(HELLO, session=2**32))


def test_mounting_signs_and_lists_travel() -> None:
    hello = replace(HELLO, signs=(1, -1, 1), sample_rates_hz=(0.001, 3200.0, 4e6), full_scales=(2.0, 16.0))
    payload = encode_hello(hello)
    assert b"x,-y,z" in payload
    back = decode_hello(payload)
    assert back == hello and back.axes == ("x", "y", "z")
    np.testing.assert_array_equal(back.scales, [1 / 2048, -1 / 2048, 1 / 2048])
    assert decode_hello(encode_hello(HELLO)).sample_rates_hz == ()


@pytest.mark.parametrize(
    "bad",
    [b"\x06\x04x,--", b"\x06\x05-x,x,", b"\x0d\x03abc", b"\x0d\x04\0\0\0\0", b"\x0e\x08\2\0\0\0\2\0\0\0"],
)
def test_signs_and_lists_that_cannot_be_are_refused(bad: bytes) -> None:
    fields = [field for field in tags(encode_hello(HELLO)) if field[0] != bad[0]]
    with pytest.raises(ProtocolError):
        decode_hello(b"".join([*fields, bad]))


def test_a_repeated_list_is_refused() -> None:
    fields = tags(encode_hello(replace(HELLO, full_scales=(2.0,))))
    with refused(ProtocolError, "repeated_field", field="full_scales"):
        decode_hello(b"".join([*fields, fields[-1]]))


@pytest.mark.parametrize(
    "change",
    [{"axes": ("-x", "y", "z")}, {"axes": ("x,y", "y", "z")}, {"signs": (1, 1)}, {"signs": (1, 2, 1)},
     {"full_scales": (4.0, 2.0)}],
)  # fmt: skip
def test_a_hello_that_cannot_be_is_not_made(change: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        replace(HELLO, **change)


# --- SAMPLES -------------------------------------------------------------------------------------------------------

BITS = {Encoding.INT16: 16, Encoding.INT20: 20, Encoding.INT24: 24}


def packed_by_hand(counts: list[int], bits: int) -> bytes:
    """Put each count behind the one before, lowest bit first."""
    number = sum((count & (1 << bits) - 1) << bits * k for k, count in enumerate(counts))
    return number.to_bytes(-(-bits * len(counts) // 8), "little")


@pytest.mark.parametrize("encoding", Encoding)
@given(data=st.data())
def test_each_encoding_is_what_the_text_says(encoding: Encoding, data: st.DataObject) -> None:
    limit = 1 << BITS[encoding] - 1
    shape = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 4)))
    counts = data.draw(hnp.arrays(np.int32, shape, elements=st.integers(-limit, limit - 1)))
    overrun = data.draw(st.booleans())
    payload = encode_samples(SAMPLES._replace(samples=counts, encoding=encoding, overrun=overrun))
    assert payload[16:] == packed_by_hand(counts.ravel().tolist(), BITS[encoding])
    assert payload[15] == encoding + 128 * overrun
    back = decode_samples(payload)
    np.testing.assert_array_equal(back.samples, counts)
    assert (back.encoding, back.overrun) == (encoding, overrun)
    assert back.samples.dtype == (np.int16 if encoding is Encoding.INT16 else np.int32)
    assert not back.samples.flags.writeable


@pytest.mark.parametrize("encoding", Encoding)
def test_a_count_that_does_not_fit_is_refused(encoding: Encoding) -> None:
    limit = 1 << BITS[encoding] - 1
    for count in (limit, -limit - 1):
        with refused(ProtocolError, "counts_too_large", bits=BITS[encoding], lowest=count, highest=count):
            encode_samples(SAMPLES._replace(samples=np.array([[count]], np.int32), encoding=encoding))


def test_samples_keep_the_low_bits_of_both_counters() -> None:
    long = SAMPLES._replace(first_sample=2**32 + 160, device_time_us=2**35 + 40_000)
    assert same(decode_samples(encode_samples(long)), SAMPLES)


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("n_axes", [1, 3])
def test_the_largest_block_fits(n_axes: int, encoding: Encoding) -> None:
    most = max_block_samples(n_axes, encoding)
    message = SAMPLES._replace(samples=np.ones((most, n_axes), np.int16), encoding=encoding)
    assert 2048 - BITS[encoding] * n_axes / 8 < len(encode_samples(message)) <= 2048
    assert same(decode_samples(encode_samples(message)), message)


def test_every_truncation_and_excess_of_samples_is_refused() -> None:
    payload = encode_samples(SAMPLES)
    for bad in [payload[:length] for length in range(len(payload))] + [payload + b"\0"]:
        with pytest.raises(ProtocolError):
            decode_samples(bad)


@pytest.mark.parametrize(
    ("n_samples", "n_axes", "encoding"), [(3, 3, 0), (2, 2, 0), (0, 3, 0), (2, 0, 0), (2, 3, 1), (2, 3, 3), (2, 3, 16)]
)
def test_a_samples_head_that_lies_is_refused(n_samples: int, n_axes: int, encoding: int) -> None:
    payload = encode_samples(SAMPLES)
    with pytest.raises(ProtocolError):
        decode_samples(payload[:12] + struct.pack("<HBB", n_samples, n_axes, encoding) + payload[16:])
    if 0 in (n_samples, n_axes):
        with pytest.raises(ProtocolError):
            decode_samples(payload[:12] + struct.pack("<HBB", n_samples, n_axes, encoding))


# --- STATUS, REPLY, LOG, COMMAND -----------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature_c", [None, -40.25, 0.0, 85.0])
def test_status_round_trip_and_bad_sizes(temperature_c: float | None) -> None:
    status = StatusPayload(7, 2**40, 2**50, DeviceState.ENDED, 3, 640, 100, 2048, temperature_c)
    payload = encode_status(status)
    assert decode_status(payload) == decode_status(payload + b"of a later version") == status
    for bad in [payload[:length] for length in range(len(payload))] + [payload[:20] + b"\3" + payload[21:]]:
        with pytest.raises(ProtocolError):
            decode_status(bad)


def test_replies() -> None:
    reply = ReplyPayload(7, 65535, 99, Result.UNKNOWN_COMMAND, "what is 99?")
    payload = encode_reply(reply)
    assert decode_device_message(Frame(MessageType.REPLY, 0, payload)) == reply
    assert decode_reply(payload[:8]).text == ""
    for bad in [payload[:length] for length in range(8)] + [payload[:7] + b"\5", payload + b"\xff", payload + b"\n"]:
        with pytest.raises(ProtocolError):
            decode_reply(bad)


def test_logs() -> None:
    log = LogPayload(LogLevel.WARNING, "sensor says 0x00, not 0xE5: check the wire to CS")
    assert decode_device_message(Frame(MessageType.LOG, 0, encode_log(log))) == log
    for bad in (b"", b"\1", b"\4text", b"\1\xff", b"\1a\tb"):
        with pytest.raises(ProtocolError):
            decode_log(bad)


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        (Command(Opcode.IDENTIFY, 1), "01 01"),
        (Command(Opcode.START), "02"),
        (Command(Opcode.STOP), "03"),
        (Command(Opcode.SET_RATE, 3_200_000), "04 00 d4 30 00"),
        (Command(Opcode.SET_RANGE, 16_000), "05 80 3e 00 00"),
        (Command(Opcode.SELF_TEST), "06"),
        (Command(Opcode.RESET), "07"),
    ],
)
def test_commands(command: Command, payload: str) -> None:
    data = bytes.fromhex(payload)
    assert encode_command(command) == data
    assert decode_command(data) == decode_command(data + b"of a later version") == command
    if command.opcode in (Opcode.SET_RATE, Opcode.SET_RANGE):
        with refused(ProtocolError, "cut_short", message=command.opcode.name, limit=4, got=3):
            decode_command(data[:-1])


def test_commands_that_cannot_be() -> None:
    with refused(ProtocolError, "cut_short", message="IDENTIFY", limit=1, got=0):
        decode_command(b"\1")
    with refused(ProtocolError, "cut_short", message="COMMAND"):
        decode_command(b"")
    for unknown in (b"\0", b"\x63"):
        with pytest.raises(UnknownCommandError):
            decode_command(unknown)
    with refused(ProtocolError, "does_not_fit", field="SET_RATE", got=4294967296):
        encode_command(Command(Opcode.SET_RATE, 2**32))


def test_unknown_types_and_our_own_echo_are_no_device_message() -> None:
    assert decode_device_message(Frame(0x42, 0, b"anything")) is None
    assert decode_device_message(Frame(MessageType.COMMAND, 0, b"\1")) is None
