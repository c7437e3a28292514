"""Messages between a flasher and the agent of a gateway, in the frames of PROTOCOL.md: values to bytes, and back.

    REQUEST  0x91  flasher -> agent  JSON: {"id": ..., "op": ..., ...}
    DATA     0x92  flasher -> agent  offset in the bundle (u32), then bytes of the bundle
    ANSWER   0x11  agent -> flasher  part, parts (u16 each), then that part of a JSON text:
                                     {"id": ..., "ok": true, ...}      done
                                     {"id": ..., "ok": false, "error": CLASS, "problem": NAME, "message": TEXT}
                                     {"id": ..., "working": true}      not finished: keep waiting
                                     {"id": "data", "have": BYTES}     bytes of the bundle received, after each DATA

A damaged frame is ignored, and the sender repeats it. Each request may be repeated without harm: an agent that has
answered an id sends the same answer again.
"""

from __future__ import annotations

import json
import re
import reprlib
import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from firmware_bridge.errors import ProtocolError, RefusedError, TransferError
from firmware_bridge.wire.frames import MAX_PAYLOAD, FrameWriter

AGENT_VERSION = 1


class AgentFrame(IntEnum):
    """Frame types. Those of the flasher have the high bit set, so that an echo is never taken for an answer."""

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
_PROBLEM = re.compile(r"[a-z0-9_]{1,64}")


def encode_request(writer: FrameWriter, values: Mapping[str, Any]) -> bytes:
    """Return the frame of a request.

    Raises:
        ProtocolError: If the request is longer than one frame.
    """
    return writer.encode(AgentFrame.REQUEST, json.dumps(values).encode())


def decode_request(payload: bytes) -> dict[str, Any]:
    """Return the request in a payload.

    Raises:
        ProtocolError: If the payload is not a request.
    """
    values = _json(payload)
    named = all(isinstance(values.get(key), str) and _WORD.fullmatch(values[key]) for key in ("id", "op"))
    if not named:
        raise ProtocolError(
            "A request needs the texts id and op, each of 1 to 64 printable ASCII characters without spaces.",
            "bad_request",
        )
    return values


def encode_data(writer: FrameWriter, offset: int, data: bytes) -> bytes:
    """Return the DATA frame of a piece of a bundle, which is at most `DATA_BYTES` long."""
    return writer.encode(AgentFrame.DATA, _OFFSET.pack(offset) + data)


def decode_data(payload: bytes) -> tuple[int, bytes]:
    """Return offset and bytes of a piece of a bundle.

    Raises:
        ProtocolError: If the payload is too short to hold an offset.
    """
    if len(payload) < _OFFSET.size:
        raise ProtocolError(
            f"DATA begins with an offset of {_OFFSET.size} bytes, got {len(payload)}.",
            "cut_short",
            message="DATA",
            limit=_OFFSET.size,
            got=len(payload),
        )
    return _OFFSET.unpack_from(payload)[0], payload[_OFFSET.size :]


def encode_answer(writer: FrameWriter, values: Mapping[str, Any]) -> bytes:
    """Return the frames of an answer, joined.

    Raises:
        ProtocolError: If the answer needs more than `_MOST_PARTS` frames.
    """
    text = json.dumps(values).encode()
    parts = [text[start : start + _PART_BYTES] for start in range(0, len(text), _PART_BYTES)]
    if len(parts) > _MOST_PARTS:
        limit = _MOST_PARTS * _PART_BYTES
        raise ProtocolError(
            f"The answer has {len(text)} bytes, at most {limit} can be sent.", "long_answer", limit=limit, got=len(text)
        )
    return b"".join(
        writer.encode(AgentFrame.ANSWER, _PART.pack(number, len(parts)) + part) for number, part in enumerate(parts)
    )


def refusal(answer: Mapping[str, Any]) -> RefusedError:
    """Return the error that an answer with "ok": false tells; a problem that is not a plain name is left out."""
    told = answer.get("problem")
    problem = told if isinstance(told, str) and _PROBLEM.fullmatch(told) else ""
    return RefusedError(str(answer.get("message")), problem, kind=str(answer.get("error")))


def check_answer(op: str, answer: Mapping[str, Any]) -> None:
    """Refuse an answer whose fields are missing or have a wrong type.

    Raises:
        TransferError: If the answer is not one that an agent of this version gives to `op`.
    """
    try:
        _ANSWERS.get(op, _check_nothing)(answer)
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        raise TransferError(
            f"The gateway's answer to {op!r} is not one that this version of `drsn-edge agent` gives "
            f"({type(exc).__name__}: {exc}). Update drsn-edge on both machines to the same version.",
            "bad_answer",
            op=op,
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
        raise ValueError("have is negative")


def _check_installed(answer: Mapping[str, Any]) -> None:
    _check_described(answer["slot"])
    _expect(answer["trial"], bool)
    _expect(answer["changed"], bool)


def _expect(value: Any, kind: type[Any]) -> Any:
    if type(value) is not kind or (kind is str and len(value) > _LONGEST_TEXT):
        raise TypeError(f"{reprlib.repr(value)} in place of {kind.__name__}")
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
    """Joins the parts of answers."""

    def __init__(self) -> None:
        """Start without any part."""
        self._parts: list[bytes] = []

    def take(self, payload: bytes) -> dict[str, Any] | None:
        """Return the answer that a part completes; None if parts are still to come, or an earlier part is missing.

        Raises:
            ProtocolError: If the payload is not a part of an answer.
        """
        if len(payload) < _PART.size:
            raise ProtocolError(
                f"ANSWER begins with {_PART.size} bytes of part numbers, got {len(payload)}.",
                "cut_short",
                message="ANSWER",
                limit=_PART.size,
                got=len(payload),
            )
        number, count = _PART.unpack_from(payload)
        if not number < count <= _MOST_PARTS:
            raise ProtocolError(
                f"ANSWER has part {number} of {count}; an answer has at most {_MOST_PARTS} parts, numbered from 0.",
                "bad_part",
                number=number,
                count=count,
            )
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
        raise ProtocolError(f"The message is not JSON: {exc}.", "not_json", reason=str(exc)) from exc
    if not isinstance(values, dict):
        raise ProtocolError("The message is JSON, but not an object.", "not_an_object")
    return values
