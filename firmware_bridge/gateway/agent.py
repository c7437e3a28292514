"""The gateway's end of a flash: takes a bundle in pieces, and has the store do what it is asked.

An `Agent` turns bytes into bytes and does no I/O but the store's; `serve` connects it to a link. What takes long (the
gate) runs in a thread, while the flasher is told to wait.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import Any, Protocol

from firmware_bridge.errors import FrameError, GatewayError, PortLostError, ProtocolError, StoreError, TransferError
from firmware_bridge.gateway.disk import Disk
from firmware_bridge.gateway.protocol import (
    AGENT_VERSION,
    DATA_ID,
    AgentFrame,
    decode_data,
    decode_request,
    encode_answer,
)
from firmware_bridge.gateway.store import MAX_BUNDLE_BYTES, SlotStore
from firmware_bridge.support.shown import printable
from firmware_bridge.wire.frames import FrameSplitter, FrameWriter, decode_frame

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOG_ENTRIES = 20
_WHY_CHARACTERS = 400
_WORKING_EVERY_S = 1.0
IDLE_S = 60.0
"""Without a frame of ours on a connection, until it has to make room for the next."""

_UPLOAD_LOCK = "upload"
_PART_SUFFIX = ".drsn.part"

StoreOf = Callable[[bool], SlotStore]
"""Returns the store; the argument is whether a bundle for another sensor may come."""


class AgentLink(Protocol):
    """What bytes come and go by."""

    def read(self) -> tuple[bytes, bool]:
        """Return what came within some 50 ms, and whether there is more; PortLostError when the other end is gone."""

    def write(self, data: bytes) -> None:
        """Send all of it."""


class _Upload:
    """A bundle that comes in pieces, in a file that is named by what it will be."""

    def __init__(self, disk: Disk, sha256: str, size: int, stack: ExitStack) -> None:
        """Begin it, or go on where an earlier one stopped; nobody else may meanwhile."""
        self.sha256, self.size = sha256, size
        self._disk, self._name = disk, sha256 + _PART_SUFFIX
        for other in disk.names():
            if other.endswith(_PART_SUFFIX) and other != self._name:
                disk.unlink(other)
        there = self._name in disk.names()
        self._file = disk.open_end(self._name) if there else disk.create(self._name)
        stack.callback(disk.close, self._file)
        before = self.content()
        self._digest, self.have = hashlib.sha256(before), len(before)

    @property
    def path_name(self) -> str:
        """Name of its file."""
        return self._name

    def content(self) -> bytes:
        """Return what has come."""
        return self._disk.read(self._name, MAX_BUNDLE_BYTES)

    def prefix_sha256(self) -> str:
        """Return the digest of what has come: whoever sends compares it with what was sent."""
        return self._digest.hexdigest()

    def take(self, offset: int, data: bytes) -> None:
        """Take the piece that comes next; any other is one that came already, or will come again."""
        if offset == self.have and self.have + len(data) <= self.size:
            self._disk.write(self._file, data)
            self._digest.update(data)
            self.have += len(data)


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
        self._store_of, self._disk, self._about, self._in_thread = store_of, disk, dict(about), in_thread
        self._splitter, self._writer = FrameSplitter(), FrameWriter()
        self._upload: _Upload | None = None
        self._holding = ExitStack()
        self._worker: threading.Thread | None = None
        self._working_id: str | None = None
        self._done: list[dict[str, Any]] = []
        self._answered: dict[str, dict[str, Any]] = {}
        self._said_s, self._heard_s = 0.0, time.monotonic()
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "status": self._status,
            "offer": self._offer,
            "discard": self._discard,
            "install": self._install,
            "confirm": self._confirm,
            "rollback": self._roll_back,
        }

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
        return self._operations[op](fields)

    def take(self, offset: int, data: bytes) -> int:
        """Take a piece of a bundle from somebody in this process; return how much has come."""
        if self._upload is None:
            raise TransferError("Expected the offer of a bundle before its pieces.")
        self._upload.take(offset, data)
        return self._upload.have

    def close(self) -> None:
        """Let go of what is held; what has come of a bundle stays, to go on later."""
        if self._worker is not None:
            self._worker.join()
        self._end_upload()
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
        operation = self._operations.get(request["op"])
        try:
            if operation is None:
                raise ProtocolError(f"Expected one of {', '.join(self._operations)}, got {request['op']!r}. Update it.")
            return {**operation(request), "id": request["id"], "ok": True}
        except Exception as exc:  # the flasher is told all of it
            return _failure(request["id"], exc)

    # --- Operations --------------------------------------------------------------------------------------------

    def _status(self, request: dict[str, Any]) -> dict[str, Any]:
        store = self._store_of(False)
        entries = [
            {
                key: printable(value, _WHY_CHARACTERS) if isinstance(value, str) else value
                for key, value in entry.items()
            }
            for entry in store.log()[-_LOG_ENTRIES:]
        ]
        return {"agent": AGENT_VERSION, **self._about, "state": asdict(store.state()), "log": entries}

    def _offer(self, request: dict[str, Any]) -> dict[str, Any]:
        sha256, size = request.get("sha256"), request.get("size")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256) or type(size) is not int:
            raise ProtocolError("Expected the SHA-256 and the size of a bundle, got something else.")
        if not 0 < size <= MAX_BUNDLE_BYTES:
            raise TransferError(f"Expected a bundle of at most {MAX_BUNDLE_BYTES} bytes, got {size}.")
        if self._upload is None or self._upload.sha256 != sha256:
            self._end_upload()
            running = self._store_of(False).state().running
            if running is not None and running.sha256 == sha256:
                return {"have": size, "sha256": sha256, "running": True}
            free = self._disk.free_bytes()
            if free < 2 * size:
                raise StoreError(f"Expected {2 * size} bytes free on the gateway, there are {free}. Make room there.")
            self._holding.enter_context(self._disk.locked("a transfer", 0.0, _UPLOAD_LOCK))
            self._upload = _Upload(self._disk, sha256, size, self._holding)
        return {"have": self._upload.have, "sha256": self._upload.prefix_sha256()}

    def _discard(self, request: dict[str, Any]) -> dict[str, Any]:
        """Forget what has come."""
        if self._upload is not None:
            name = self._upload.path_name
            self._end_upload()
            self._disk.unlink(name)
        return {}

    def _install(self, request: dict[str, Any]) -> dict[str, Any]:
        store = self._store_of(request.get("new_contract") is True)
        state, upload = store.state(), self._upload
        if state.running is not None and request.get("sha256") == state.running.sha256:
            self._discard({})
            return {"slot": asdict(state.running), "trial": state.trial is not None, "changed": False}
        if upload is None or request.get("sha256") != upload.sha256:
            raise TransferError("Expected the offer of that bundle first.")
        data = upload.content()
        if hashlib.sha256(data).hexdigest() != upload.sha256:
            raise TransferError(f"Expected {upload.size} bytes with the SHA-256 of the offer, got {len(data)} others.")
        try:
            if request.get("dry_run") is True:
                described = store.rehearse(data, self._disk.path(upload.path_name))
                return {"slot": asdict(described), "trial": True, "changed": False}
            return {"slot": asdict(store.install(data)), "trial": True, "changed": True}
        finally:
            with suppress(OSError):
                self._discard({})

    def _confirm(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"slot": asdict(self._store_of(False).confirm(_digest_of(request)))}

    def _roll_back(self, request: dict[str, Any]) -> dict[str, Any]:
        why = request.get("why")
        reason = printable(why, _WHY_CHARACTERS) if isinstance(why, str) else "asked to"
        slot = self._store_of(False).roll_back(reason, _digest_of(request))
        return {"slot": None if slot is None else asdict(slot)}

    def _end_upload(self) -> None:
        self._upload = None
        self._holding.close()


def _digest_of(request: dict[str, Any]) -> str | None:
    value = request.get("sha256")
    if value is not None and not (isinstance(value, str) and _SHA256.fullmatch(value)):
        raise ProtocolError("Expected a SHA-256, got something else.")
    return value


def _failure(request_id: str, exc: Exception) -> dict[str, Any]:
    return {"id": request_id, "ok": False, "error": type(exc).__name__, "message": str(exc) or type(exc).__name__}


def serve(
    agent: Agent, link: AgentLink, stop: Callable[[], bool] = lambda: False, idle_s: float = IDLE_S, stays: bool = False
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
            data, _ = link.read()
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
