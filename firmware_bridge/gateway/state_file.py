"""The store's state on the disk: one small file, replaced as a whole by one rename."""

from __future__ import annotations

from dataclasses import replace

from firmware_bridge.errors import StoreError
from firmware_bridge.gateway.disk import Disk, UnsafeFileError
from firmware_bridge.gateway.state import MAX_STATE_BYTES, State, state_from_bytes, state_to_bytes

_NAME, _NEW = "state.json", "state.json.new"


class StateFile:
    """Reads and replaces the state."""

    def __init__(self, disk: Disk) -> None:
        """Use the state file on a disk; it need not exist yet."""
        self._disk = disk

    def read(self) -> State:
        """Return the state as it is on the disk; an empty state if there is no file.

        Raises:
            StoreError: If the file cannot be read or is damaged.
        """
        data = self._bytes()
        try:
            return State() if data is None else state_from_bytes(data)
        except ValueError as exc:
            raise StoreError(
                f"The state of this gateway's bundles is damaged: {exc}. The next start of the monitor repairs it.",
                "damaged_state",
                reason=str(exc),
            ) from exc

    def save(self, state: State) -> State:
        """Replace the state on the disk, and return the new one with its sequence number increased.

        Raises:
            OSError: If writing fails; the disk then holds the old state or the new one, whole.
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
        except UnsafeFileError as exc:
            raise StoreError(
                f"Could not use the state of this gateway's bundles: {exc}", exc.problem, path=exc.path
            ) from exc
        except OSError as exc:
            raise StoreError(
                f"Could not read the state of this gateway's bundles: {exc}.", "unreadable_state", reason=str(exc)
            ) from exc
