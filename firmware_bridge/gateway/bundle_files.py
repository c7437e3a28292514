"""The bundle files of a store: each is named after its content and never overwritten."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from firmware_bridge.errors import StoreError
from firmware_bridge.gateway.disk import Disk
from firmware_bridge.gateway.state import Slot, State, bundle_file

MAX_BUNDLE_BYTES = 32 << 20

_WRITE_BYTES = 65_536
_MARGIN_BYTES = 1 << 20
_SUFFIX = ".drsn"


class BundleFiles:
    """Reads, writes and removes bundle files."""

    def __init__(self, disk: Disk) -> None:
        """Use the bundle files on a disk."""
        self._disk = disk

    def path(self, slot: Slot) -> Path:
        """Return the path of a slot's bundle."""
        return self._disk.path(slot.file)

    def content(self, slot: Slot) -> bytes | None:
        """Return the bytes of a slot's bundle; None if it cannot be read."""
        return self._content(slot.file)

    def is_whole(self, slot: Slot) -> bool:
        """Return whether a slot's bundle exists and has the SHA-256 of the slot."""
        data = self.content(slot)
        return data is not None and hashlib.sha256(data).hexdigest() == slot.sha256

    def all_whole(self) -> Iterator[tuple[str, bytes]]:
        """Yield SHA-256 and content of each undamaged bundle in the folder, whether a slot holds it or not."""
        for name in sorted(self._disk.names()):
            data = self._content(name) if name.endswith(_SUFFIX) else None
            if data is not None and bundle_file(hashlib.sha256(data).hexdigest()) == name:
                yield name[: -len(_SUFFIX)], data

    def expect_room(self, size: int) -> None:
        """Raise an error if the disk has no room for a bundle of `size` bytes.

        Raises:
            StoreError: If the disk has no room.
        """
        free = self._disk.free_bytes()
        if free < size + _MARGIN_BYTES:
            raise StoreError(
                f"The bundle needs {size + _MARGIN_BYTES} bytes of free disk space, but only {free} are free. Nothing "
                "was changed. Free some space, then flash again.",
                "no_space",
                needed=size + _MARGIN_BYTES,
                free=free,
            )

    def write(self, digest: str, data: bytes, state: State, gate: Callable[[Path], object]) -> None:
        """Write a new bundle file, read it back, and run the gate on it; a bundle that fails is removed.

        Raises:
            StoreError: If the bytes read back differ from those written.
            OSError: If the disk takes no writes. The gate raises errors of its own.
        """
        name = bundle_file(digest)
        held = any(slot.file == name for slot in state.slots.values())
        if held and self._content(name) == data:  # the other slot holds it: a second trial of the same file
            gate(self._disk.path(name))
            return
        self._remove_beside(name)
        try:
            self._create(name, data)
            gate(self._disk.path(name))
        except BaseException:
            with suppress(OSError):
                self._remove_beside(name)
            raise

    def collect(self, state: State) -> None:
        """Remove bundle files that no slot holds, and files named after them; the new state must be on the disk."""
        held = {slot.file for slot in state.slots.values()}
        with suppress(OSError):  # a file that cannot be removed now is removed at the next change
            for name in self._disk.names():
                bundle = name[: name.find(_SUFFIX) + len(_SUFFIX)]
                if _SUFFIX in name and bundle not in held:
                    self._disk.unlink(name)

    def _create(self, name: str, data: bytes) -> None:
        descriptor = self._disk.create(name)
        try:
            for start in range(0, len(data), _WRITE_BYTES):
                self._disk.write(descriptor, data[start : start + _WRITE_BYTES])
            self._disk.sync(descriptor)
        finally:
            self._disk.close(descriptor)
        self._disk.sync_folder()
        if self._content(name) != data:
            raise StoreError(
                f"The disk returned other bytes for {name} than were written, so it is failing. Nothing was changed. "
                "Replace the disk, then flash again.",
                "bad_disk",
                file=name,
            )

    def _remove_beside(self, name: str) -> None:
        for each in self._disk.names():
            if each.startswith(name):
                self._disk.unlink(each)

    def _content(self, name: str) -> bytes | None:
        try:
            return self._disk.read(name, MAX_BUNDLE_BYTES)
        except OSError:
            return None
