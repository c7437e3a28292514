"""The bundles that lie in a store: each in a file that is named by its content and never written over."""

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
    """Reads, writes and removes bundles."""

    def __init__(self, disk: Disk) -> None:
        """Take those in a folder."""
        self._disk = disk

    def path(self, slot: Slot) -> Path:
        """Return where a slot's bundle lies."""
        return self._disk.path(slot.file)

    def content(self, slot: Slot) -> bytes | None:
        """Return a slot's bundle, None where it cannot be read."""
        return self._content(slot.file)

    def is_whole(self, slot: Slot) -> bool:
        """Tell whether a slot's bundle is there and is what it was."""
        data = self.content(slot)
        return data is not None and hashlib.sha256(data).hexdigest() == slot.sha256

    def all_whole(self) -> Iterator[tuple[str, bytes]]:
        """Yield digest and content of each whole bundle, whether a slot holds it or not."""
        for name in sorted(self._disk.names()):
            data = self._content(name) if name.endswith(_SUFFIX) else None
            if data is not None and bundle_file(hashlib.sha256(data).hexdigest()) == name:
                yield name[: -len(_SUFFIX)], data

    def expect_room(self, size: int) -> None:
        """Refuse a bundle of so many bytes if the disk has no room for it.

        Raises:
            StoreError: If it has not.
        """
        free = self._disk.free_bytes()
        if free < size + _MARGIN_BYTES:
            raise StoreError(
                f"Expected {size + _MARGIN_BYTES} bytes free for the bundle, there are {free}. Nothing was changed; "
                "make room and flash again."
            )

    def write(self, digest: str, data: bytes, state: State, gate: Callable[[Path], object]) -> None:
        """Write a bundle that no state names yet, read it back, and try it; one that fails is removed.

        Raises:
            StoreError: If what was read back is not what was written.
            OSError: If the disk takes it not. The gate raises errors of its own.
        """
        name = bundle_file(digest)
        held = any(slot.file == name for slot in state.slots.values())
        if held and self._content(name) == data:  # it lies in the other slot: once more on trial
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
        """Remove bundles that no slot holds, with what lies beside them; the state must be on the disk by now."""
        held = {slot.file for slot in state.slots.values()}
        with suppress(OSError):  # what cannot be removed now is removed at the next change
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
            raise StoreError("What was read back is not what was written: the disk is bad. Nothing was changed.")

    def _remove_beside(self, name: str) -> None:
        for each in self._disk.names():
            if each.startswith(name):
                self._disk.unlink(each)

    def _content(self, name: str) -> bytes | None:
        try:
            return self._disk.read(name, MAX_BUNDLE_BYTES)
        except OSError:
            return None
