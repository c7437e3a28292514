"""The flasher's end: sends a bundle in pieces, repeats damaged ones, and resumes after a lost connection."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from firmware_bridge.errors import FrameError, PortError, ProtocolError, RefusedError, TransferError
from firmware_bridge.gateway.agent import Agent
from firmware_bridge.gateway.protocol import (
    DATA_BYTES,
    DATA_ID,
    AgentFrame,
    AnswerReader,
    check_answer,
    encode_data,
    encode_request,
    refusal,
)
from firmware_bridge.sources.byte_link import ByteLink
from firmware_bridge.wire.frames import DELIMITER, FrameSplitter, FrameWriter, decode_frame

TRIES = 12
"""Attempts for each request and piece on one connection; also connections in a row without progress."""

_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_PASSING = ("TransferError", "StoreBusyError")
"""Errors of an agent that pass: it is a new agent without the offer, or another agent still holds the upload."""

Progress = Callable[[int, int], object]
"""Called with the bytes of the bundle that the gateway has, and the size of the bundle."""


class ClientLink(ByteLink, Protocol):
    """A connection to a gateway, opened for one flash."""

    @property
    def patience_s(self) -> float:
        """Seconds to wait for an answer; at least what the line needs for the longest frames, both ways."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True)
class Flashed:
    """Result of a flash.

    Attributes:
        slot: The gateway's description of the bundle.
        trial: Whether the bundle is on trial.
        changed: Whether the flash changed anything on the gateway.
        bytes_sent: Bytes of the bundle sent, repetitions included.
        bytes_again: Bytes of the bundle sent more than once.
        resumed_at: Bytes that the gateway already had from an earlier flash.
        connections: Connections that the flash took.
        seconds: Duration of the flash.
    """

    slot: dict[str, Any]
    trial: bool
    changed: bool
    bytes_sent: int
    bytes_again: int
    resumed_at: int
    connections: int
    seconds: float


class Gateway(Protocol):
    """A gateway that answers requests."""

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Return the gateway's answer to a request; raise RefusedError, or the store's own error, if it refuses."""

    def flash(self, data: bytes, *, dry_run: bool, new_contract: bool, progress: Progress) -> Flashed:
        """Send a bundle and install it."""

    def close(self) -> None:
        """Close the connection."""


class RemoteGateway:
    """A gateway behind a link, which is opened again after it was lost."""

    def __init__(self, open_link: Callable[[], ClientLink], tries: int = TRIES) -> None:
        """Prepare; nothing is opened yet.

        Args:
            open_link: Opens a connection; raises PortError if it cannot.
            tries: See `TRIES`.
        """
        self._open_link, self._tries = open_link, tries
        self._link: ClientLink | None = None
        self._session, self._number = secrets.token_hex(4), 0
        self.connections, self._heard = 0, False
        self._begin()

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Return the gateway's answer to a request, which is repeated after lost frames and lost links.

        Raises:
            RefusedError: If the gateway refuses.
            TransferError: If the gateway does not answer.
        """
        request = self._request(op, fields)
        failing = _Failing()
        while True:
            try:
                return self._asked(request)
            except (PortError, _SilenceError) as exc:
                self._reconnect_after(exc, failing)

    def flash(self, data: bytes, *, dry_run: bool, new_contract: bool, progress: Progress) -> Flashed:
        """Send a bundle and install it.

        Raises:
            RefusedError: If the gateway refuses.
            TransferError: If the bundle does not arrive.
        """
        began, connections = time.monotonic(), self.connections
        account = _Account(hashlib.sha256(data).hexdigest(), data, progress)
        fields = {"sha256": account.digest, "dry_run": dry_run, "new_contract": new_contract}
        while True:
            try:
                self._bring(account)
                done = self._asked(self._request("install", fields))
                break
            except (PortError, RefusedError, _SilenceError) as exc:
                # After a cut on the gateway's side the agent is a new one; after one on ours the old one may still run.
                if isinstance(exc, RefusedError) and not (account.sent and exc.kind in _PASSING):
                    raise
                self._reconnect_after(exc, account)
        took, first = time.monotonic() - began, account.first or 0
        again = account.sent - (account.farthest - first)
        used = self.connections - connections
        return Flashed(done["slot"], done["trial"], done["changed"], account.sent, again, first, used, took)

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()
            self._link = None

    # --- One connection ----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._splitter, self._writer, self._answers = FrameSplitter(), FrameWriter(), AnswerReader()

    def _connected(self) -> ClientLink:
        if self._link is None:
            self._begin()
            self._link = self._open_link()
            self.connections += 1
            self._link.write(DELIMITER)  # ends a frame that an earlier sender may have left incomplete
        return self._link

    def _reconnect_after(self, exc: Exception, failing: _Failing) -> None:
        """Prepare another connection after one was lost, unless the gateway never answered or made no progress.

        Raises:
            PortError: If the link failed and the gateway has never answered.
            TransferError: If the gateway is silent, or too many connections in a row brought nothing new.
        """
        failing.failures += 1
        if not self._heard and isinstance(exc, PortError):
            raise exc
        if not self._heard or failing.failures >= self._tries:
            raise TransferError(
                f"Connections to the gateway that brought nothing new: {failing.failures}. The last one: {exc}",
                "no_answer" if isinstance(exc, _SilenceError) else "no_progress",
                connections=failing.failures,
            ) from exc
        with suppress(PortError):
            self.close()
        self._link = None
        time.sleep(min(_PAUSE_S * 2**failing.failures, _LONGEST_PAUSE_S))

    def _request(self, op: str, fields: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        return {"id": f"{self._session}-{self._number}", "op": op, **fields}

    def _bring(self, account: _Account) -> None:
        """Send the part of a bundle that the gateway does not have yet."""
        data = account.data
        have = self._offered(account.digest, data)
        account.reached(have)
        while have < len(data):
            piece = data[have : have + DATA_BYTES]
            account.sent += len(piece)
            have = self._sent(have, piece)
            account.reached(have)

    def _offered(self, digest: str, data: bytes) -> int:
        """Offer the bundle, and return how many of its bytes the gateway has; other content there is discarded."""
        fields = {"sha256": digest, "size": len(data)}
        offer = self._asked(self._request("offer", fields))
        have = offer["have"]
        if hashlib.sha256(data[:have]).hexdigest() == offer["sha256"]:
            return int(have)
        self._asked(self._request("discard", {}))
        if self._asked(self._request("offer", fields))["have"]:
            raise TransferError(
                "The gateway keeps bytes that do not belong to this bundle, although it was asked to discard them. "
                "Flash again.",
                "not_discarded",
            )
        return 0

    def _asked(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = self._exchange(lambda: encode_request(self._writer, request), request["id"])
        if not answer.get("ok"):
            raise refusal(answer)
        check_answer(request["op"], answer)
        return {key: value for key, value in answer.items() if key not in ("id", "ok")}

    def _sent(self, offset: int, piece: bytes) -> int:
        """Send a piece, and return how many bytes the gateway has now."""
        answer = self._exchange(lambda: encode_data(self._writer, offset, piece), DATA_ID)
        if "have" not in answer:
            raise refusal(answer)
        check_answer("offer", {"sha256": "", **answer})
        return int(answer["have"])

    def _exchange(self, frame: Callable[[], bytes], answer_id: str) -> dict[str, Any]:
        """Send a frame until an answer with this id comes."""
        for _ in range(self._tries):
            link = self._connected()
            link.write(frame())
            answer = self._answer(link, answer_id)
            if answer is not None:
                self._heard = True
                return answer
        raise _SilenceError("no answer came. Check that `drsn-edge agent` runs on the gateway.")

    def _answer(self, link: ClientLink, answer_id: str) -> dict[str, Any] | None:
        """Return the answer with this id; None if it does not come in time."""
        until_s = time.monotonic() + link.patience_s
        while time.monotonic() < until_s:
            data = link.read().data
            for piece in self._splitter.feed(data):
                answer = self._understood(piece)
                if answer is None or answer.get("id") != answer_id:
                    continue  # damaged, or the answer to an earlier request
                if not answer.get("working"):
                    return answer
                until_s = time.monotonic() + max(link.patience_s, 5.0)
        return None

    def _understood(self, piece: bytes) -> dict[str, Any] | None:
        with suppress(FrameError, ProtocolError):
            frame = decode_frame(piece)
            if frame.type == AgentFrame.ANSWER:
                return self._answers.take(frame.payload)
        return None


class _SilenceError(Exception):
    """The connection is open, but nothing answers."""


@dataclass
class _Failing:
    """Number of failures in a row."""

    failures: int = 0


class _Account(_Failing):
    """Progress of a bundle's transfer: bytes sent, bytes that arrived, failures in a row."""

    def __init__(self, digest: str, data: bytes, progress: Progress) -> None:
        super().__init__()
        self.digest, self.data, self._progress = digest, data, progress
        self.sent, self.farthest = 0, 0
        self.first: int | None = None

    def reached(self, have: int) -> None:
        """Note that the gateway has `have` bytes of the bundle; new bytes reset the count of failures."""
        if self.first is None:
            self.first = self.farthest = have
        if have > self.farthest:
            self.farthest, self.failures = have, 0
        self._progress(have, len(self.data))


class LocalGateway:
    """A gateway whose store this process can open itself."""

    def __init__(self, agent: Agent) -> None:
        """Use an agent in this process, made with `in_thread=False`."""
        self._agent = agent

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Return the answer to a request; errors of store, verifier and gate are raised as they are."""
        return self._agent.ask(op, **fields)

    def flash(self, data: bytes, *, dry_run: bool, new_contract: bool, progress: Progress) -> Flashed:
        """Install a bundle."""
        began_s = time.monotonic()
        digest = hashlib.sha256(data).hexdigest()
        offer = self.ask("offer", sha256=digest, size=len(data))
        if offer["sha256"] != digest and offer["have"]:
            self.ask("discard")
            offer = self.ask("offer", sha256=digest, size=len(data))
        have = offer["have"]
        while have < len(data):
            have = self._agent.take(have, data[have : have + (1 << 20)])
            progress(have, len(data))
        done = self.ask("install", sha256=digest, dry_run=dry_run, new_contract=new_contract)
        took_s = time.monotonic() - began_s
        return Flashed(done["slot"], done["trial"], done["changed"], len(data), 0, 0, 0, took_s)

    def close(self) -> None:
        """Release the upload, if there is one."""
        self._agent.close()
