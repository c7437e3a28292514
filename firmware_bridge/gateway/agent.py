"""The gateway's end of a flash: takes a bundle in pieces, and has the store do what it is asked.

An `Agent` turns bytes into bytes and does no I/O but the store's; `serve` connects it to a link. What takes long (the
gate) runs in a thread, while the flasher is told to wait.
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
"""Without a frame of ours on a connection, until it has to make room for the next."""


class Agent:
    """Answers one flasher."""

    def __init__(self, store_of: StoreOf, disk: Disk, about: Mapping[str, Any], in_thread: bool = True) -> None:
        """Prepare.

        Args:
            store_of: See `StoreOf`.
            disk: The store's folder, where bundles are kept until they are whole.
            about: What this gateway says of itself: versions, machine.
            in_thread: Whether to do what takes long in a thread, and say so meanwhile.
        """
        self._operations, self._in_thread = Operations(store_of, disk, about), in_thread
        self._splitter, self._writer = FrameSplitter(), FrameWriter()
        self._worker: threading.Thread | None = None
        self._working_id: str | None = None
        self._done: list[dict[str, Any]] = []
        self._answered: dict[str, dict[str, Any]] = {}
        self._said_s, self._heard_s = 0.0, time.monotonic()

    def feed(self, data: bytes) -> bytes:
        """Take in what came, and return what to send."""
        answers = []
        for piece in self._splitter.feed(data):
            with suppress(FrameError, ProtocolError):  # damaged, or no frame of ours: it will come again
                frame = decode_frame(piece)
                if frame.type == AgentFrame.DATA:
                    answers.append(self._take_data(frame.payload))
                    self._heard_s = time.monotonic()
                elif frame.type == AgentFrame.REQUEST:
                    answers.append(self._take_request(decode_request(frame.payload)))
                    self._heard_s = time.monotonic()
        return b"".join(encode_answer(self._writer, answer) for answer in answers) + self.idle()

    def idle(self) -> bytes:
        """Return what there is to send without being asked: the end of what took long, or that it still goes on."""
        if self._done:
            answer = self._done.pop()
            self._answered, self._working_id, self._worker = {answer["id"]: answer}, None, None
            return encode_answer(self._writer, answer)
        if self._working_id is not None and time.monotonic() - self._said_s > _WORKING_EVERY_S:
            return encode_answer(self._writer, self._still_working())
        return b""

    @property
    def idle_s(self) -> float:
        """Seconds since it was asked something, 0 while it works."""
        return 0.0 if self._working_id is not None else time.monotonic() - self._heard_s

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Do one thing for somebody in this process.

        Raises:
            Exception: Whatever store, verifier and gate raise.
        """
        return self._operations.do(op, fields)

    def take(self, offset: int, data: bytes) -> int:
        """Take a piece of a bundle from somebody in this process; return how much has come."""
        return self._operations.take(offset, data)

    def close(self) -> None:
        """Let go of what is held; what has come of a bundle stays, to go on later."""
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
            return _failure(request["id"], TransferError("Expected to be asked one thing at a time. Try again later."))
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
        except Exception as exc:  # the flasher is told all of it
            return _failure(request["id"], exc)


def _failure(request_id: str, exc: Exception) -> dict[str, Any]:
    return {"id": request_id, "ok": False, "error": type(exc).__name__, "message": str(exc) or type(exc).__name__}


def serve(
    agent: Agent, link: ByteLink, stop: Callable[[], bool] = lambda: False, idle_s: float = IDLE_S, stays: bool = False
) -> None:
    """Answer on a link until its other end is gone, has been idle for too long, or `stop` says so.

    Args:
        agent: That answers.
        link: What bytes come and go by.
        stop: Asked at every turn.
        idle_s: Without a frame of ours, however many other bytes come.
        stays: Whether an idle link goes on, as a line that nobody else could have; only what is held is let go.
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
