"""The log of a gateway's bundles: one JSON object per line, in two files of bounded size."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

from firmware_bridge.gateway.disk import Disk
from firmware_bridge.support.shown import printable

_LOG, _LOG_BEFORE = "log.jsonl", "log.jsonl.1"
_MAX_LOG_BYTES = 262_144


class StoreLog:
    """Appends entries, and returns those that are still in the log."""

    def __init__(self, disk: Disk, now_s: Callable[[], float]) -> None:
        """Use the log on a disk; `now_s` returns seconds since 1970."""
        self._disk, self._now_s = disk, now_s

    def entries(self) -> list[dict[str, object]]:
        """Return the entries, oldest first, as far as the log goes back."""
        entries = []
        for name in (_LOG_BEFORE, _LOG):
            for line in self._content(name, 2 * _MAX_LOG_BYTES).splitlines():
                with suppress(ValueError):  # the last line before a power cut may be incomplete
                    entries.append(json.loads(line))
        return [entry for entry in entries if isinstance(entry, dict)]

    def note(self, event: str, **details: object) -> None:
        """Append an entry; a failure to write it is ignored, so that it stops nothing else."""
        plain = {key: printable(value) if isinstance(value, str) else value for key, value in details.items()}
        line = json.dumps({"time_s": round(self._now_s(), 3), "event": event, **plain}) + "\n"
        with suppress(OSError):
            if len(self._content(_LOG, _MAX_LOG_BYTES)) + len(line) > _MAX_LOG_BYTES:
                self._disk.rename(_LOG, _LOG_BEFORE)
            there = _LOG in self._disk.names()
            descriptor = self._disk.open_end(_LOG) if there else self._disk.create(_LOG)
            try:
                self._disk.write(descriptor, line.encode())
                self._disk.sync(descriptor)
            finally:
                self._disk.close(descriptor)

    def _content(self, name: str, limit: int) -> bytes:
        try:
            return self._disk.read(name, limit)
        except OSError:
            return b""
