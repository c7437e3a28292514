"""What a flasher and an agent say to each other, in the frames of PROTOCOL.md. Values in, bytes out, and back.

    REQUEST  0x91  flasher -> agent  JSON: {"id": ..., "op": ..., ...}
    DATA     0x92  flasher -> agent  offset of the bundle (u32), then bytes of it
    ANSWER   0x11  agent -> flasher  part, parts (u16 each), then that part of a JSON text:
                                     {"id": ..., "ok": true, ...}      done
                                     {"id": ..., "ok": false, "error": NAME, "message": TEXT}
                                     {"id": ..., "working": true}      not yet: go on waiting
                                     {"id": "data", "have": BYTES}     of the bundle, after each DATA

A frame that is damaged is not there: whoever asked asks again. Each request may come twice without harm; an agent that
has answered an id answers it again in the same words.
"""

from __future__ import annotations

import json
import re
import reprlib
import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from firmware_bridge.errors import ProtocolError, TransferError
from firmware_bridge.wire.frames import MAX_PAYLOAD, FrameWriter

AGENT_VERSION = 1


class AgentFrame(IntEnum):
    """Frame types; those of the flasher have the high bit set, so that an echo is never taken for an answer."""

    ANSWER = 0x11
    REQUEST = 0x91
    DATA = 0x92


_OFFSET = struct.Struct("<I")
assert _OFFSET.size == 4
_PART = struct.Struct("<HH")
assert _PART.size == 4

DATA_BYTES = MAX_PAYLOAD - _OFFSET.size
_PART_BYTES = MAX_PAYLOAD - _PART.size
_MOST_PARTS = 64
DATA_ID = "data"
_WORD = re.compile(r"[!-~]{1,64}")


def encode_request(writer: FrameWriter, values: Mapping[str, Any]) -> bytes:
    """Return the frame of a request.

    Raises:
        ProtocolError: If it is too long.
    """
    return writer.encode(AgentFrame.REQUEST, json.dumps(values).encode())


def decode_request(payload: bytes) -> dict[str, Any]:
    """Return a request.

    Raises:
        ProtocolError: If it is none.
    """
    values = _json(payload)
    named = all(isinstance(values.get(key), str) and _WORD.fullmatch(values[key]) for key in ("id", "op"))
    if not named:
        raise ProtocolError("Expected a request with an id and an op of at most 64 plain letters, got another.")
    return values


def encode_data(writer: FrameWriter, offset: int, data: bytes) -> bytes:
    """Return the frame of a piece of a bundle, at most `DATA_BYTES` long."""
    return writer.encode(AgentFrame.DATA, _OFFSET.pack(offset) + data)


def decode_data(payload: bytes) -> tuple[int, bytes]:
    """Return offset and bytes of a piece.

    Raises:
        ProtocolError: If it is cut short.
    """
    if len(payload) < _OFFSET.size:
        raise ProtocolError("Expected a piece of a bundle with its offset, got less.")
    return _OFFSET.unpack_from(payload)[0], payload[_OFFSET.size :]


def encode_answer(writer: FrameWriter, values: Mapping[str, Any]) -> bytes:
    """Return the frames of an answer, one after the other.

    Raises:
        ProtocolError: If it is too long for `_MOST_PARTS` of them.
    """
    text = json.dumps(values).encode()
    parts = [text[start : start + _PART_BYTES] for start in range(0, len(text), _PART_BYTES)]
    if len(parts) > _MOST_PARTS:
        raise ProtocolError(f"Expected an answer of at most {_MOST_PARTS * _PART_BYTES} bytes, got {len(text)}.")
    return b"".join(
        writer.encode(AgentFrame.ANSWER, _PART.pack(number, len(parts)) + part) for number, part in enumerate(parts)
    )


def check_answer(op: str, answer: Mapping[str, Any]) -> None:
    """Refuse an answer that lacks what its question asks for, or holds something else there.

    Raises:
        TransferError: Saying so: whoever is at the other end, it is no agent of this version.
    """
    try:
        _ANSWERS.get(op, _check_nothing)(answer)
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        raise TransferError(
            f"Expected what `drsn-edge agent` answers to {op!r}, got something else ({type(exc).__name__}: {exc}). "
            "Update drsn-edge there and here to one version."
        ) from exc


def _check_status(answer: Mapping[str, Any]) -> None:
    state = answer["state"]
    for slot in state["slots"].values():
        _check_slot(slot)
    for chosen in (state["trial"], state["confirmed"]):
        if chosen is not None:
            state["slots"][chosen]
    _expect(state["trial_starts"], int)
    for text in (*state["floors"], *state["floors"].values()):
        _expect(text, str)
    for entry in answer["log"]:
        _expect(entry, dict)


def _check_slot(slot: Mapping[str, Any]) -> None:
    _check_described(slot)
    _expect(slot["sha256"], str)
    _expect(slot["size"], int)


def _check_described(slot: Mapping[str, Any]) -> None:
    for key in ("name", "version", "floor"):
        _expect(slot[key], str)


def _check_rolled_back(answer: Mapping[str, Any]) -> None:
    if answer["slot"] is not None:
        _check_slot(answer["slot"])


def _check_nothing(answer: Mapping[str, Any]) -> None:
    pass


def _check_offer(answer: Mapping[str, Any]) -> None:
    _expect(answer["sha256"], str)
    if _expect(answer["have"], int) < 0:
        raise ValueError("less than nothing")


def _check_installed(answer: Mapping[str, Any]) -> None:
    _check_described(answer["slot"])
    _expect(answer["trial"], bool)
    _expect(answer["changed"], bool)


def _expect(value: Any, kind: type[Any]) -> Any:
    if type(value) is not kind or (kind is str and len(value) > _LONGEST_TEXT):
        raise TypeError(f"{reprlib.repr(value)} where {kind.__name__} belongs")
    return value


_LONGEST_TEXT = 1000
_ANSWERS: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "status": _check_status,
    "offer": _check_offer,
    "install": _check_installed,
    "confirm": lambda answer: _check_slot(answer["slot"]),
    "rollback": _check_rolled_back,
}


class AnswerReader:
    """Puts the parts of answers together."""

    def __init__(self) -> None:
        """Begin with none."""
        self._parts: list[bytes] = []

    def take(self, payload: bytes) -> dict[str, Any] | None:
        """Return the answer that a part completes; None if it does not, or if one before it is missing.

        Raises:
            ProtocolError: If it is no part of an answer.
        """
        if len(payload) < _PART.size:
            raise ProtocolError("Expected a part of an answer, got less.")
        number, count = _PART.unpack_from(payload)
        if not number < count <= _MOST_PARTS:
            raise ProtocolError(f"Expected at most {_MOST_PARTS} parts of an answer, got number {number} of {count}.")
        if number != len(self._parts):
            self._parts = []
            if number:
                return None
        self._parts.append(payload[_PART.size :])
        if number + 1 < count:
            return None
        text, self._parts = b"".join(self._parts), []
        return _json(text)


def _json(text: bytes) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ProtocolError(f"Expected JSON, got something else: {exc}.") from exc
    if not isinstance(values, dict):
        raise ProtocolError("Expected a JSON object, got something else.")
    return values
