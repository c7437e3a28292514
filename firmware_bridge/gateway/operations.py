"""The operations that a flasher may request of a gateway: status, upload of a bundle, install, confirm, roll back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import Any

from firmware_bridge.errors import ProtocolError, StoreError, TransferError
from firmware_bridge.gateway.bundle_files import MAX_BUNDLE_BYTES
from firmware_bridge.gateway.disk import Disk
from firmware_bridge.gateway.protocol import AGENT_VERSION
from firmware_bridge.gateway.state import Slot
from firmware_bridge.gateway.store import SlotStore
from firmware_bridge.support.shown import printable

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOG_ENTRIES = 20
_WHY_CHARACTERS = 400
_UPLOAD_LOCK = "upload"
_PART_SUFFIX = ".drsn.part"

StoreOf = Callable[[bool], SlotStore]
"""Returns the store; the argument is whether a bundle for another sensor is accepted."""


class _Upload:
    """A bundle that arrives in pieces, in a file that is named after the SHA-256 of the whole."""

    def __init__(self, disk: Disk, sha256: str, size: int, stack: ExitStack) -> None:
        """Begin an upload, or resume an earlier one of the same bundle; the caller holds the upload lock."""
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
        """Name of the file in the store's folder."""
        return self._name

    def content(self) -> bytes:
        """Return the bytes received so far."""
        return self._disk.read(self._name, MAX_BUNDLE_BYTES)

    def prefix_sha256(self) -> str:
        """Return the SHA-256 of the bytes received so far, which the sender compares with its own."""
        return self._digest.hexdigest()

    def take(self, offset: int, data: bytes) -> None:
        """Append a piece if it is the next one; any other is a repetition, or will be sent again."""
        if offset == self.have and self.have + len(data) <= self.size:
            self._disk.write(self._file, data)
            self._digest.update(data)
            self.have += len(data)


class Operations:
    """Carries out the requests of one flasher, one at a time, and holds its upload in between."""

    def __init__(self, store_of: StoreOf, disk: Disk, about: Mapping[str, Any]) -> None:
        """Prepare; see `Agent`."""
        self._store_of, self._disk, self._about = store_of, disk, dict(about)
        self._upload: _Upload | None = None
        self._holding = ExitStack()
        self._by_name: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "status": self._status,
            "offer": self._offer,
            "discard": self._discard,
            "install": self._install,
            "confirm": self._confirm,
            "rollback": self._roll_back,
        }

    def do(self, op: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Carry out one operation, and return the fields of its answer.

        Raises:
            ProtocolError: If there is no such operation.
            Exception: Any error of the store, the verifier and the gate.
        """
        operation = self._by_name.get(op)
        if operation is None:
            raise ProtocolError(
                f"This agent does not know the operation {op!r}, only {', '.join(self._by_name)}. "
                "Update drsn-edge on the gateway.",
                "unknown_operation",
                op=op,
            )
        return operation(fields)

    def take(self, offset: int, data: bytes) -> int:
        """Take a piece of the bundle that was offered; return the bytes received so far.

        Raises:
            TransferError: If no bundle was offered.
        """
        if self._upload is None:
            raise TransferError(
                "A piece of a bundle came, but no bundle was offered on this connection. Flash again.", "no_offer"
            )
        self._upload.take(offset, data)
        return self._upload.have

    def end_upload(self) -> None:
        """Release the upload; the bytes received stay on the disk, so that a later flash resumes there."""
        self._upload = None
        self._holding.close()

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
            raise ProtocolError("An offer needs the SHA-256 and the size in bytes of a bundle.", "bad_offer")
        if not 0 < size <= MAX_BUNDLE_BYTES:
            raise TransferError(
                f"The bundle has {size} bytes; a gateway takes 1 to {MAX_BUNDLE_BYTES}. "
                "Check that the file is a bundle.",
                "bad_size",
                limit=MAX_BUNDLE_BYTES,
                got=size,
            )
        if self._upload is None or self._upload.sha256 != sha256:
            self.end_upload()
            running = self._store_of(False).state().running
            if running is not None and running.sha256 == sha256:
                return {"have": size, "sha256": sha256, "running": True}
            free = self._disk.free_bytes()
            if free < 2 * size:
                raise StoreError(
                    f"The bundle needs {2 * size} bytes of free disk space on the gateway, but only {free} are free. "
                    "Free some space there, then flash again.",
                    "no_space",
                    needed=2 * size,
                    free=free,
                )
            self._holding.enter_context(self._disk.locked("a transfer", 0.0, _UPLOAD_LOCK))
            self._upload = _Upload(self._disk, sha256, size, self._holding)
        return {"have": self._upload.have, "sha256": self._upload.prefix_sha256()}

    def _discard(self, request: dict[str, Any]) -> dict[str, Any]:
        """Remove the upload and the bytes received."""
        if self._upload is not None:
            name = self._upload.path_name
            self.end_upload()
            self._disk.unlink(name)
        return {}

    def _install(self, request: dict[str, Any]) -> dict[str, Any]:
        store = self._store_of(request.get("new_contract") is True)
        state, upload = store.state(), self._upload
        if state.running is not None and request.get("sha256") == state.running.sha256:
            self._discard({})
            return {"slot": asdict(state.running), "trial": state.trial is not None, "changed": False}
        if upload is None or request.get("sha256") != upload.sha256:
            raise TransferError("The bundle to install was not offered on this connection. Flash again.", "no_offer")
        data = upload.content()
        if hashlib.sha256(data).hexdigest() != upload.sha256:
            raise TransferError(
                f"The {len(data)} bytes that arrived are not the {upload.size} bytes that were offered: their SHA-256 "
                "differs. Flash again.",
                "wrong_content",
                expected=upload.size,
                got=len(data),
            )
        try:
            if request.get("dry_run") is True:
                described = store.rehearse(data, self._disk.path(upload.path_name))
                slot = Slot(upload.sha256, upload.size, described.name, described.version, described.floor)
                return {"slot": asdict(slot), "trial": True, "changed": False}
            return {"slot": asdict(store.install(data)), "trial": True, "changed": True}
        finally:
            with suppress(OSError):
                self._discard({})

    def _confirm(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"slot": asdict(self._store_of(False).confirm(_digest_of(request)))}

    def _roll_back(self, request: dict[str, Any]) -> dict[str, Any]:
        why = request.get("why")
        reason = printable(why, _WHY_CHARACTERS) if isinstance(why, str) else "requested"
        slot = self._store_of(False).roll_back(reason, _digest_of(request))
        return {"slot": None if slot is None else asdict(slot)}


def _digest_of(request: dict[str, Any]) -> str | None:
    value = request.get("sha256")
    if value is not None and not (isinstance(value, str) and _SHA256.fullmatch(value)):
        raise ProtocolError("The field sha256 of the request is not a SHA-256.", "bad_digest")
    return value
