"""The flasher's end: a bundle goes across in pieces, damaged ones again, and goes on after a cut where it stopped."""

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
)
from firmware_bridge.sources.byte_link import ByteLink
from firmware_bridge.wire.frames import DELIMITER, FrameSplitter, FrameWriter, decode_frame

TRIES = 12
"""Of each request and piece on one connection, and of the connection itself without anything new coming across."""

_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_PASSING = ("TransferError", "StoreBusyError")
"""What an agent refuses that knows nothing of the flash that goes on, or that another agent still holds."""

Progress = Callable[[int, int], object]
"""Given how many bytes of the bundle are across, and how many it has."""


class ClientLink(ByteLink, Protocol):
    """A way to a gateway, which is opened for one flash."""

    @property
    def patience_s(self) -> float:
        """How long an answer may take: the line's own time for the longest frames, both ways."""

    def close(self) -> None:
        """End the connection."""


@dataclass(frozen=True)
class Flashed:
    """How a flash went.

    Attributes:
        slot: What the gateway says of the bundle.
        trial: Whether it has still to prove itself.
        changed: Whether anything is different now.
        bytes_sent: Of the bundle, those sent again included.
        bytes_again: Those sent more than once.
        resumed_at: Bytes that were there already at the beginning.
        connections: How many it took.
        seconds: All in all.
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
    """A gateway that can be asked."""

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Have something done there; RefusedError, or what the store raises, where it is not."""

    def flash(self, data: bytes, *, dry_run: bool, new_contract: bool, progress: Progress) -> Flashed:
        """Bring a bundle across and have it installed."""

    def close(self) -> None:
        """End it."""


class RemoteGateway:
    """A gateway behind a link, which is opened again when it is lost."""

    def __init__(self, open_link: Callable[[], ClientLink], tries: int = TRIES) -> None:
        """Prepare; nothing is opened yet.

        Args:
            open_link: Opens a connection; PortError where it cannot.
            tries: See `TRIES`.
        """
        self._open_link, self._tries = open_link, tries
        self._link: ClientLink | None = None
        self._session, self._number = secrets.token_hex(4), 0
        self.connections, self._heard = 0, False
        self._begin()

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Have something done there, asking again over lost frames and lost links.

        Raises:
            RefusedError: If the gateway says no.
            TransferError: If it does not answer.
        """
        request = self._request(op, fields)
        failing = _Failing()
        while True:
            try:
                return self._asked(request)
            except (PortError, _SilenceError) as exc:
                self._reconnect_after(exc, failing)

    def flash(self, data: bytes, *, dry_run: bool, new_contract: bool, progress: Progress) -> Flashed:
        """Bring a bundle across and have it installed.

        Raises:
            RefusedError: If the gateway says no.
            TransferError: If it does not come across.
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
                # After a cut on its side the agent is a new one, and after one on ours the old one may be at it still.
                if isinstance(exc, RefusedError) and not (account.sent and exc.kind in _PASSING):
                    raise
                self._reconnect_after(exc, account)
        took, first = time.monotonic() - began, account.first or 0
        again = account.sent - (account.farthest - first)
        used = self.connections - connections
        return Flashed(done["slot"], done["trial"], done["changed"], account.sent, again, first, used, took)

    def close(self) -> None:
        """End the connection."""
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
            self._link.write(DELIMITER)  # ends what somebody else may have begun
        return self._link

    def _reconnect_after(self, exc: Exception, failing: _Failing) -> None:
        """Open another connection after one was lost, unless nothing was ever heard or nothing new comes any more.

        Raises:
            PortError: If there has never been an answer.
            TransferError: If there was, and there have been too many failures in a row.
        """
        failing.failures += 1
        if not self._heard and isinstance(exc, PortError):
            raise exc
        if not self._heard or failing.failures >= self._tries:
            raise TransferError(
                f"Expected to reach the gateway, {failing.failures} connections brought nothing new: {exc}"
            ) from exc
        with suppress(PortError):
            self.close()
        self._link = None
        time.sleep(min(_PAUSE_S * 2**failing.failures, _LONGEST_PAUSE_S))

    def _request(self, op: str, fields: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        return {"id": f"{self._session}-{self._number}", "op": op, **fields}

    def _bring(self, account: _Account) -> None:
        """Send what the gateway has not of a bundle."""
        data = account.data
        have = self._offered(account.digest, data)
        account.reached(have)
        while have < len(data):
            piece = data[have : have + DATA_BYTES]
            account.sent += len(piece)
            have = self._sent(have, piece)
            account.reached(have)

    def _offered(self, digest: str, data: bytes) -> int:
        """Return how much of the bundle is there; what is not the bundle's is thrown away."""
        fields = {"sha256": digest, "size": len(data)}
        offer = self._asked(self._request("offer", fields))
        have = offer["have"]
        if hashlib.sha256(data[:have]).hexdigest() == offer["sha256"]:
            return int(have)
        self._asked(self._request("discard", {}))
        if self._asked(self._request("offer", fields))["have"]:
            raise TransferError("Expected the gateway to begin anew, it keeps what is not of this bundle.")
        return 0

    def _asked(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = self._exchange(lambda: encode_request(self._writer, request), request["id"])
        if not answer.get("ok"):
            raise RefusedError(str(answer.get("error")), str(answer.get("message")))
        check_answer(request["op"], answer)
        return {key: value for key, value in answer.items() if key not in ("id", "ok")}

    def _sent(self, offset: int, piece: bytes) -> int:
        """Send a piece, and return how much the gateway has."""
        answer = self._exchange(lambda: encode_data(self._writer, offset, piece), DATA_ID)
        if "have" not in answer:
            raise RefusedError(str(answer.get("error")), str(answer.get("message")))
        check_answer("offer", {"sha256": "", **answer})
        return int(answer["have"])

    def _exchange(self, frame: Callable[[], bytes], answer_id: str) -> dict[str, Any]:
        """Send until an answer with this id comes."""
        for _ in range(self._tries):
            link = self._connected()
            link.write(frame())
            answer = self._answer(link, answer_id)
            if answer is not None:
                self._heard = True
                return answer
        raise _SilenceError("it is silent. Does `drsn-edge agent` run there?")

    def _answer(self, link: ClientLink, answer_id: str) -> dict[str, Any] | None:
        """Return the answer with this id; None if it does not come."""
        until_s = time.monotonic() + link.patience_s
        while time.monotonic() < until_s:
            data = link.read().data
            for piece in self._splitter.feed(data):
                answer = self._understood(piece)
                if answer is None or answer.get("id") != answer_id:
                    continue  # damaged, or the answer to what was asked before
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
    """A connection is there, and nobody answers."""


@dataclass
class _Failing:
    """How many times in a row it did not work."""

    failures: int = 0


class _Account(_Failing):
    """What a bundle's way across has cost so far."""

    def __init__(self, digest: str, data: bytes, progress: Progress) -> None:
        super().__init__()
        self.digest, self.data, self._progress = digest, data, progress
        self.sent, self.farthest = 0, 0
        self.first: int | None = None

    def reached(self, have: int) -> None:
        """The gateway has so many bytes."""
        if self.first is None:
            self.first = self.farthest = have
        if have > self.farthest:
            self.farthest, self.failures = have, 0
        self._progress(have, len(self.data))


class LocalGateway:
    """The gateway whose store is in reach of this process."""

    def __init__(self, agent: Agent) -> None:
        """Take an agent that does all at once."""
        self._agent = agent

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Have something done; what store, verifier and gate raise comes out."""
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
        """Let go of what is held."""
        self._agent.close()
