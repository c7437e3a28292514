"""The gateway's end of a flash: receives a bundle in pieces, and passes requests to the store.

An `Agent` turns bytes into bytes and does no I/O except the store's; `serve` connects it to a link. An installation,
which runs the slow health gate, runs in a thread while the agent tells the flasher to wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from firmware_bridge.errors import FrameError, GatewayError, PortLostError, ProtocolError, TransferError
from firmware_bridge.gateway.disk import Disk
from firmware_bridge.gateway.operations import Operations, StoreOf
from firmware_bridge.gateway.protocol import DATA_ID, AgentFrame, decode_data, decode_request, encode_answer
from firmware_bridge.sources.byte_link import ByteLink
from firmware_bridge.wire.frames import FrameSplitter, FrameWriter, decode_frame

_WORKING_EVERY_S = 1.0
IDLE_S = 60.0
"""Seconds without a valid frame after which a connection is closed, to make room for the next one."""


class Agent:
    """Answers the requests of one flasher."""

    def __init__(self, store_of: StoreOf, disk: Disk, about: Mapping[str, Any], in_thread: bool = True) -> None:
        """Prepare.

        Args:
            store_of: See `StoreOf`.
            disk: Folder of the store; incomplete uploads are kept there as well.
            about: The gateway's description of itself for the answer to "status": versions, machine.
            in_thread: Whether to install in a thread and send "working" meanwhile.
        """
        self._operations, self._in_thread = Operations(store_of, disk, about), in_thread
        self._splitter, self._writer = FrameSplitter(), FrameWriter()
        self._worker: threading.Thread | None = None
        self._working_id: str | None = None
        self._done: list[dict[str, Any]] = []
        self._answered: dict[str, dict[str, Any]] = {}
        self._said_s, self._heard_s = 0.0, time.monotonic()

    def feed(self, data: bytes) -> bytes:
        """Take in received bytes, and return the bytes to send."""
        answers = []
        for piece in self._splitter.feed(data):
            with suppress(FrameError, ProtocolError):  # damaged or foreign: the flasher repeats its own frames
                frame = decode_frame(piece)
                if frame.type == AgentFrame.DATA:
                    answers.append(self._take_data(frame.payload))
                    self._heard_s = time.monotonic()
                elif frame.type == AgentFrame.REQUEST:
                    answers.append(self._take_request(decode_request(frame.payload)))
                    self._heard_s = time.monotonic()
        return b"".join(encode_answer(self._writer, answer) for answer in answers) + self.idle()

    def idle(self) -> bytes:
        """Return the bytes to send without a request: the result of an installation, or that it still runs."""
        if self._done:
            answer = self._done.pop()
            self._answered, self._working_id, self._worker = {answer["id"]: answer}, None, None
            return encode_answer(self._writer, answer)
        if self._working_id is not None and time.monotonic() - self._said_s > _WORKING_EVERY_S:
            return encode_answer(self._writer, self._still_working())
        return b""

    @property
    def idle_s(self) -> float:
        """Seconds since the last valid frame; 0 during an installation."""
        return 0.0 if self._working_id is not None else time.monotonic() - self._heard_s

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Carry out a request from this process, and return the fields of its answer.

        Raises:
            Exception: Any error of the store, the verifier and the gate.
        """
        return self._operations.do(op, fields)

    def take(self, offset: int, data: bytes) -> int:
        """Take a piece of a bundle from this process; return the bytes received so far."""
        return self._operations.take(offset, data)

    def close(self) -> None:
        """Wait for a running installation, and release the upload; its bytes stay, so that a later flash resumes."""
        if self._worker is not None:
            self._worker.join()
        self._operations.end_upload()
        self._heard_s = time.monotonic()

    # --- Requests ----------------------------------------------------------------------------------------------

    def _take_data(self, payload: bytes) -> dict[str, Any]:
        offset, data = decode_data(payload)
        try:
            return {"id": DATA_ID, "have": self.take(offset, data)}
        except (GatewayError, OSError) as exc:
            return _failure(DATA_ID, exc)

    def _take_request(self, request: dict[str, Any]) -> dict[str, Any]:
        known = self._answered.get(request["id"])
        if known is not None:
            return known
        if self._working_id is not None:
            if request["id"] == self._working_id:
                return self._still_working()
            busy = TransferError("The gateway is still working on an earlier request. Try again later.", "busy")
            return _failure(request["id"], busy)
        if self._in_thread and request["op"] == "install":
            self._working_id = request["id"]
            self._worker = threading.Thread(target=lambda: self._done.append(self._answer(request)))
            self._worker.start()
            return self._still_working()
        answer = self._answer(request)
        self._answered = {request["id"]: answer}
        return answer

    def _still_working(self) -> dict[str, Any]:
        self._said_s = time.monotonic()
        return {"id": self._working_id, "working": True}

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return {**self._operations.do(request["op"], request), "id": request["id"], "ok": True}
        except Exception as exc:  # every error is reported to the flasher
            return _failure(request["id"], exc)


def _failure(request_id: str, exc: Exception) -> dict[str, Any]:
    kind, problem = type(exc).__name__, getattr(exc, "problem", "")
    return {"id": request_id, "ok": False, "error": kind, "problem": problem, "message": str(exc) or kind}


def serve(
    agent: Agent, link: ByteLink, stop: Callable[[], bool] = lambda: False, idle_s: float = IDLE_S, stays: bool = False
) -> None:
    """Answer on a link until its other end closes it, it was idle for too long, or `stop` returns True.

    Args:
        agent: The agent that answers.
        link: The link to the flasher.
        stop: Asked after each read, i.e. about every 50 ms.
        idle_s: Seconds without a valid frame after which the link counts as idle, whatever other bytes come.
        stays: Whether to keep an idle link open, such as a serial line; only the upload is released then.
    """
    try:
        while not stop():
            data = link.read().data
            answer = agent.feed(data) if data else agent.idle()
            if answer:
                link.write(answer)
            if agent.idle_s > idle_s:
                if not stays:
                    return
                agent.close()
    except PortLostError:
        return
    finally:
        agent.close()
