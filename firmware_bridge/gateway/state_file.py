"""The store's state on the disk: one small file, replaced whole by one rename."""

from __future__ import annotations

from dataclasses import replace

from firmware_bridge.errors import StoreError
from firmware_bridge.gateway.disk import Disk
from firmware_bridge.gateway.state import MAX_STATE_BYTES, State, state_from_bytes, state_to_bytes

_NAME, _NEW = "state.json", "state.json.new"


class StateFile:
    """Reads and replaces the state."""

    def __init__(self, disk: Disk) -> None:
        """Take the one in a folder, whether it is there or not."""
        self._disk = disk

    def read(self) -> State:
        """Return the state as it is written, an empty one where there is no file.

        Raises:
            StoreError: If it cannot be read.
        """
        data = self._bytes()
        try:
            return State() if data is None else state_from_bytes(data)
        except ValueError as exc:
            raise StoreError(
                f"The state of this gateway's bundles is damaged: {exc}. The next start of the monitor mends it."
            ) from exc

    def save(self, state: State) -> State:
        """Put a state in place of the one before, and return it with the number of this change.

        Raises:
            OSError: If that fails; the state before is still there, or this one is.
        """
        state = replace(state, sequence=state.sequence + 1)
        if _NEW in self._disk.names():
            self._disk.unlink(_NEW)
        descriptor = self._disk.create(_NEW)
        try:
            self._disk.write(descriptor, state_to_bytes(state))
            self._disk.sync(descriptor)
        finally:
            self._disk.close(descriptor)
        self._disk.rename(_NEW, _NAME)
        self._disk.sync_folder()
        return state

    def _bytes(self) -> bytes | None:
        try:
            return self._disk.read(_NAME, MAX_STATE_BYTES)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise StoreError(f"The state of this gateway's bundles cannot be read: {exc}.") from exc
