"""Change a real store and print every change as the store makes it, for a test that compares it with strace's account.

python recorded_run.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from crash_run import bundle, verify

from firmware_bridge.gateway.disk import Disk
from firmware_bridge.gateway.store import SlotStore


class RecordingDisk(Disk):
    """Prints each change of the real folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.calls: list[str] = []

    def _tell(self, call: str, *details: Any) -> None:
        self.calls.append(" ".join(map(str, (call, *details))))

    def create(self, name: str) -> int:
        self._tell("create", name)
        return super().create(name)

    def open_end(self, name: str) -> int:
        self._tell("open_end", name)
        return super().open_end(name)

    def write(self, descriptor: int, data: bytes) -> None:
        self._tell("write", len(data))
        super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._tell("sync")
        super().sync(descriptor)

    def rename(self, old: str, new: str) -> None:
        self._tell("rename", old, new)
        super().rename(old, new)

    def unlink(self, name: str) -> None:
        self._tell("unlink", name)
        super().unlink(name)

    def sync_folder(self) -> None:
        self._tell("sync")
        super().sync_folder()


def main() -> None:
    disk = RecordingDisk(Path(sys.argv[1]))
    store = SlotStore(disk, lambda: disk.locked("a recording", 0.0), verify, lambda _: None)
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        store.install(bundle(version, 100_000))
        store.start()
        store.confirm()
    store.install(bundle("1.3.0"))
    store.roll_back("asked")
    sys.stdout.write("\n".join(disk.calls) + "\n")


if __name__ == "__main__":
    main()
