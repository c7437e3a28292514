"""Captures: the signal before and after each alarm as a raw log, for `monitor --replay` and `classify`."""

from __future__ import annotations

import glob
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from drsn_edge.errors import OutputError
from drsn_edge.monitor.stages.settings import CaptureSettings
from firmware_bridge.errors import RawLogError
from firmware_bridge.wire.blocks import block_frames
from firmware_bridge.wire.events import DeviceRestarted, LinkLost, LinkRestored, SampleBlock, SourceEvent
from firmware_bridge.wire.frames import DELIMITER, FrameWriter
from firmware_bridge.wire.messages import Hello, MessageType, encode_hello
from firmware_bridge.wire.raw_log import SUFFIX, RawLogWriter

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_PREFIX = "alarm-"
_MOST_BEFORE = 1.25
"""Limit of the samples kept in memory, as a multiple of `before_s` at the sensor's nominal rate."""
_OF_ANOTHER = re.compile(r"(?!\d{8}T\d{6}Z-).+-\d{8}T\d{6}Z-", re.ASCII)


class Capture:
    """Keeps the last seconds in memory, and writes them with the following seconds when an alarm is raised."""

    def __init__(
        self,
        settings: CaptureSettings,
        machine: str,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            settings: Settings of captures.
            machine: Name of the machine, for the file names.
            tell: Called with a message if a file cannot be written; the monitor continues.

        Raises:
            OutputError: If the folder cannot be made.
        """
        self._settings, self._tell = settings, tell
        self._machine = _NOT_IN_NAMES.sub("_", machine)
        self._folder = Path(settings.folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            words = f"Could not make the folder {self._folder} for captures: {exc.strerror}. Choose another folder."
            raise OutputError(words, "cannot_make_folder", path=self._folder, reason=exc.strerror) from exc
        self._hello: Hello | None = None
        self._recent: deque[tuple[int, SampleBlock]] = deque()
        self._log: RawLogWriter | None = None
        self._name = ""
        self._frames = FrameWriter()
        self._left_s = self._now_s = 0.0
        self._most_samples = 0
        self.failing: str | None = None
        """Why the last file could not be written; None if it could."""

    def take(self, event: SourceEvent, time_s: float) -> None:
        """Take one event that came at `time_s`, in seconds since 1970, before it is judged."""
        self._now_s = time_s
        try:
            self._take(event)
        except Exception as exc:  # whatever it is, monitoring continues
            self._failed(exc)

    def _take(self, event: SourceEvent) -> None:
        if isinstance(event, SampleBlock):
            self._keep(event)
            if self._log is not None:
                self._take_further(event)
        elif isinstance(event, Hello):
            self._hello = event
            # This limit holds if the clock of the device stops or is set back.
            self._most_samples = round(_MOST_BEFORE * self._settings.before_s * event.sample_rate_hz)
            self._write(DELIMITER + self._frames.encode(MessageType.HELLO, encode_hello(event)), self._now_ns())
        elif isinstance(event, DeviceRestarted):
            self._recent.clear()
        elif isinstance(event, LinkLost | LinkRestored) and self._log is not None:
            self._log.note_link(event.reason if isinstance(event, LinkLost) else None)

    def trigger(self, alarm: str) -> str | None:
        """Capture the signal of an alarm that was raised; return the file name, None if no file can be written.

        An alarm that is raised while a file is being written uses that file.
        """
        self._left_s = self._settings.after_s
        if self._log is None and self._hello is not None and self._recent:
            self.failing = None
            self._try(lambda: self._begin(alarm))
        return self._name if self._log is not None else None

    def close(self) -> None:
        """Finish the present file; further calls do nothing."""
        if self._log is not None:
            self._try(self._log.close)
            self._log = None

    def _now_ns(self) -> int:
        return round(1e9 * self._now_s)

    def _keep(self, block: SampleBlock) -> None:
        if self._hello is None:
            return
        recent = self._recent
        recent.append((self._now_ns(), block))
        oldest_s, oldest = block.device_time_s - self._settings.before_s, block.first_sample - self._most_samples
        while (first := recent[0][1]).device_time_s < oldest_s or first.first_sample < oldest:
            recent.popleft()

    def _take_further(self, block: SampleBlock) -> None:
        """Write a block that follows an alarm."""
        assert self._hello is not None
        self._write_block(block, self._now_ns())
        self._left_s -= len(block.samples) / self._hello.sample_rate_hz
        if self._left_s <= 0:
            self.close()

    def _begin(self, alarm: str) -> None:
        assert self._hello is not None
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now_s))
        stem = f"{_PREFIX}{self._machine}-{at}-{_NOT_IN_NAMES.sub('_', alarm)}"
        number = max(map(_number, self._own()), default=-1) + 1  # counted, since a clock that is set breaks the order
        path = self._folder / f"{stem}-{number}{SUFFIX}"
        self._make_room()
        self._name, self._log = path.name, RawLogWriter(lambda _: path, now_ns=self._now_ns)
        first = self._recent[0][1]
        time_us = round(1e6 * first.device_time_s)
        self._log.stand_at(replace(self._hello, samples_produced=first.first_sample, device_time_us=time_us))
        for now_ns, block in list(self._recent):
            self._write_block(block, now_ns)

    def _own(self) -> list[Path]:
        """Return this machine's files, without those of a machine whose name begins with this one's."""
        begins = f"{_PREFIX}{self._machine}-"
        files = self._folder.glob(f"{glob.escape(begins)}*{SUFFIX}")
        return [path for path in files if not _OF_ANOTHER.match(path.name.removeprefix(begins))]

    def _make_room(self) -> None:
        files = sorted(self._own(), key=lambda path: (_number(path), _changed_s(path)))
        for path in files[: len(files) + 1 - self._settings.keep]:
            try:
                path.unlink(missing_ok=True)
            except OSError as exc:
                raise OutputError(
                    f"Could not remove {path} to make room for a capture: {exc.strerror}. Check the permissions of the "
                    "folder, or increase keep in [capture].",
                    "cannot_remove",
                    path=path,
                    reason=exc.strerror,
                ) from exc

    def _write_block(self, block: SampleBlock, now_ns: int) -> None:
        assert self._hello is not None
        for frame in block_frames(self._frames, self._hello, block):
            self._write(frame, now_ns)

    def _write(self, data: bytes, now_ns: int) -> None:
        if self._log is not None:
            self._log.write(data, now_ns)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as exc:  # whatever it is, monitoring continues
            self._failed(exc)

    def _failed(self, error: Exception) -> None:
        self._log = None
        known = isinstance(error, RawLogError | OutputError)
        self.failing = (
            str(error)
            if known
            else f"Could not capture the signal of an alarm in {self._folder}: {error}. Monitoring continues."
        )
        self._tell(self.failing)


def _number(path: Path) -> int:
    """Return the number at the end of a capture's name, which increases."""
    found = re.search(r"-(\d{1,15})$", path.stem, re.ASCII)
    return int(found[1]) if found else -1


def _changed_s(path: Path) -> float:
    """Return when a file was last written, 0 for a file that was just removed."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
