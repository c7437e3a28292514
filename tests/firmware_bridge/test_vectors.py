"""The frames of tests/vectors/, which no code of the project made."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from refusals import refused

from firmware_bridge.errors import FrameError, ProtocolError
from firmware_bridge.wire.frames import DELIMITER, MAX_PAYLOAD, Frame, decode_frame, encode_frame
from firmware_bridge.wire.messages import (
    Command,
    Hello,
    LogPayload,
    MessageType,
    ReplyPayload,
    SamplesPayload,
    StatusPayload,
    decode_command,
    decode_device_message,
    encode_command,
    encode_hello,
    encode_log,
    encode_reply,
    encode_samples,
    encode_status,
)

VECTORS = Path(__file__).parents[1] / "vectors"
MADE_FOR_FRAMES = 0x7F
"""Type of those whose payload is no message."""

ENCODERS = {
    Hello: encode_hello,
    SamplesPayload: encode_samples,
    StatusPayload: encode_status,
    ReplyPayload: encode_reply,
    LogPayload: encode_log,
    Command: encode_command,
}


def rows(name: str) -> list[dict[str, str]]:
    with (VECTORS / name).open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


GOOD, BAD = rows("frames.tsv"), rows("bad.tsv")


def frame_of(row: dict[str, str]) -> Frame:
    return Frame(int(row["type"]), int(row["sequence"]), bytes.fromhex(row["payload"]))


@pytest.mark.parametrize("row", GOOD, ids=[row["name"] for row in GOOD])
def test_frames(row: dict[str, str]) -> None:
    wire = bytes.fromhex(row["wire"])
    assert decode_frame(wire) == frame_of(row)
    assert encode_frame(frame_of(row)) == wire + DELIMITER


@pytest.mark.parametrize("row", BAD, ids=[row["name"] for row in BAD])
def test_what_is_no_frame(row: dict[str, str]) -> None:
    problems = {
        "short": (FrameError, "too_short"),
        "long": (FrameError, "too_long"),
        "cobs": (FrameError, "code_past_end"),
        "crc": (FrameError, "wrong_crc"),
        "length": (ProtocolError, "wrong_length"),
    }
    with refused(*problems[row["wrong"]]):
        decode_frame(bytes.fromhex(row["wire"]))


MESSAGES = [row for row in GOOD if int(row["type"]) != MADE_FOR_FRAMES and "later version" not in row["name"]]


@pytest.mark.parametrize("row", MESSAGES, ids=[row["name"] for row in MESSAGES])
def test_messages_there_and_back(row: dict[str, str]) -> None:
    frame = frame_of(row)
    message = decode_command(frame.payload) if frame.type == MessageType.COMMAND else decode_device_message(frame)
    assert message is not None
    assert ENCODERS[type(message)](message) == frame.payload  # type: ignore[operator]


def test_every_message_is_among_them() -> None:
    types = {int(row["type"]) for row in GOOD}
    assert types == {*MessageType, MADE_FOR_FRAMES}
    assert max(len(row["payload"]) // 2 for row in GOOD) == MAX_PAYLOAD
