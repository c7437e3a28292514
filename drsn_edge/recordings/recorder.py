"""Recording the bytes of a source into raw logs: `drsn-edge record` without its command line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drsn_edge.errors import OutputError
from firmware_bridge.errors import RawLogError
from firmware_bridge.sources.event_source import EventSource
from firmware_bridge.wire.clock import BestRate, HostRate, RateAlarm
from firmware_bridge.wire.events import DeviceRestarted, LinkLost, LinkRestored, Note, SampleBlock, SourceEvent
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.raw_log import SUFFIX, LogSummary, RawLogWriter
from firmware_bridge.wire.stream import StreamCounters

ROTATE_BYTES = 256_000_000
_PROGRESS_EVERY_S = 0.5


@dataclass(frozen=True)
class RecordSummary:
    """Result of a recording.

    Attributes:
        files: Files that were written, in order.
        bytes_logged: Number of bytes from the device.
        counters: Counters of the link.
        rate: Sampling rate by the host's clock if the recording is long enough, else by the sensor's; None if unknown.
        changes_of_rate: How often the sensor changed its sampling rate without announcing it.
    """

    files: tuple[Path, ...]
    bytes_logged: int
    counters: StreamCounters
    rate: BestRate | None
    changes_of_rate: int


class LogKeeper:
    """Writes the bytes of a source into raw logs. If a file cannot be written, only the logging ends."""

    def __init__(
        self,
        folder: Path,
        name: str,
        rotate_bytes: int | None = None,
        on_failure: Callable[[RawLogError], None] | None = None,
        about: str = "",
        option: str = "--out",
    ) -> None:
        """Create the folder and check the names.

        Args:
            folder: Folder of the files; created if it is missing.
            name: Beginning of the file names.
            rotate_bytes: Size at which the next file is begun, in bytes; None: one file.
            on_failure: Called once with the reason why logging has ended; None: the error is raised.
            about: Note at the beginning of each file; see `drsn_edge.recordings.log_note`.
            option: Option that names the folder, for errors.

        Raises:
            OutputError: If the folder cannot be created, the name is not a plain file name, or the name is taken.
        """
        self._log = RawLogWriter(_paths(folder, name, option), rotate_bytes=rotate_bytes, about=about)
        self._on_failure = on_failure
        self.failing: str | None = None
        """Reason why logging has ended; None while it goes on."""
        self._hello: Hello | None = None

    @property
    def summary(self) -> LogSummary:
        """Files and bytes written so far."""
        return self._log.summary

    def write(self, data: bytes, came_ns: int | None = None) -> None:
        """Write bytes, before the events that are decoded from them; see `RawLogWriter.write`."""
        self._try(self._log.write, data, came_ns)

    def take(self, event: SourceEvent, came_s: float | None = None) -> None:
        """Take an event that follows the bytes written before, with its time in seconds since 1970; None: now."""
        if not isinstance(event, SampleBlock):
            self._try(self._take, event, None if came_s is None else round(1e9 * came_s))
        elif self._hello is not None:
            self._log.stand_at(self._hello, event)

    def _take(self, event: SourceEvent, came_ns: int | None) -> None:
        if isinstance(event, Hello):
            self._hello = event
            self._log.stand_at(event)
        elif isinstance(event, LinkLost):
            self._log.note_link(event.reason, came_ns)
        elif isinstance(event, LinkRestored):
            self._log.note_link(None, came_ns)
        elif isinstance(event, Note):
            self._log.note(event.text, came_ns)

    def close(self) -> None:
        """Write the remaining bytes; harmless when repeated."""
        self._try(self._log.close)

    def _try(self, write: Callable[..., None], *of: Any) -> None:
        if self.failing is not None:
            return
        try:
            write(*of)
        except Exception as exc:
            if self._on_failure is None:
                raise
            words = f"Could not log the sensor's bytes: {exc}. Monitoring continues."
            known = exc if isinstance(exc, RawLogError) else RawLogError(words, "logging_failed", reason=str(exc))
            self.failing = str(known)
            self._on_failure(known)


class _Heard:
    """The last description of a sensor that is recorded, and the sampling rate by its samples."""

    def __init__(self, on_hello: Callable[[], None] | None, now_s: Callable[[], float]) -> None:
        self._on_hello, self._now_s = on_hello, now_s
        self._clock, self._alarm = HostRate(), RateAlarm()
        self.hello: Hello | None = None
        self.changes_of_rate = 0

    @property
    def rate(self) -> BestRate | None:
        return None if self.hello is None else self._clock.best(self.hello.sample_rate_hz)

    def take(self, event: SourceEvent) -> None:
        if isinstance(event, Hello | DeviceRestarted):
            self._clock.reset()
            self._alarm.reset()
        if isinstance(event, Hello):
            self.hello = event
            if self._on_hello is not None:
                self._on_hello()
        if isinstance(event, SampleBlock) and self.hello is not None:
            self._clock.add(event.first_sample, event.device_time_s, self._now_s())
            self.changes_of_rate += self._alarm.add(event.first_sample, event.device_time_s) is not None


def record_source(
    open_source: Callable[[Callable[[bytes], None]], EventSource],
    log: LogKeeper,
    *,
    progress: Callable[[str], None] | None = None,
    on_hello: Callable[[], None] | None = None,
    tell: Callable[[str], object] = lambda _: None,
    now_s: Callable[[], float] = time.monotonic,
) -> RecordSummary:
    """Write all bytes of a source to raw logs until the source ends.

    Files without a sample are removed, unless frames of the binary protocol came and could not be decoded.

    Args:
        open_source: Given a function that takes the bytes, returns the source.
        log: Takes the bytes; it is closed at the end.
        progress: Called every half second with a line about the samples so far.
        on_hello: Called whenever the sensor has described itself.
        tell: Called with messages for the user.
        now_s: Monotonic clock, in seconds.

    Raises:
        FirmwareBridgeError: If the source cannot be opened, or a file cannot be written.
    """
    source = open_source(log.write)
    heard, due_s = _Heard(on_hello, now_s), now_s()
    try:
        for event in source:
            log.take(event)
            heard.take(event)
            if progress is not None and now_s() >= due_s:
                due_s = now_s() + _PROGRESS_EVERY_S
                progress(_line(source.counters, heard.rate))
    finally:
        log.close()
        files, counters = log.summary.files, source.counters
        if not counters.samples_received:
            files = _without_useless(files, counters, heard.hello, tell)
    return RecordSummary(files, log.summary.bytes_logged, counters, heard.rate, heard.changes_of_rate)


def _without_useless(
    files: tuple[Path, ...], counters: StreamCounters, hello: Hello | None, tell: Callable[[str], object]
) -> tuple[Path, ...]:
    """Remove files without a sample, which `train` would refuse; keep them if their bytes show why there is none."""
    if not files:
        return ()
    if counters.frames_ok and (hello is None or counters.crc_errors):
        tell(f"No sample came. The bytes in {files[0]} may show why. Delete the file before `train`.")
        return files
    for path in files:
        with suppress(OSError):
            path.unlink()
    return ()


def log_name() -> str:
    """Return the name of a log that begins now: the time in UTC."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def log_files(paths: Iterable[Path]) -> list[Path]:
    """Return the raw logs of the given paths; a folder stands for its raw logs, sorted by name.

    Raises:
        OutputError: If a folder has no raw log.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not inside:
            words = f"There are no raw logs (*{SUFFIX}) in {path}. Choose another folder."
            raise OutputError(words, "no_raw_logs", path=path)
        found += inside
    return found


def _paths(folder: Path, name: str, option: str) -> Callable[[int], Path]:
    if not name or Path(name).name != name or name.startswith("."):
        words = f"--name must be a file name without a folder and without a leading dot, got {name!r}. Choose another."
        raise OutputError(words, "invalid_name", got=name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        words = f"Could not make the folder {folder}: {exc.strerror}. Choose another {option}."
        raise OutputError(words, "cannot_make_folder", path=folder, reason=exc.strerror) from exc
    if taken := sorted(folder.glob(f"{name}-[0-9]*{SUFFIX}")):
        words = f"{folder} already holds a recording with the name {name}: {taken[0].name}. Choose another --name."
        raise OutputError(words, "name_taken", path=taken[0], name=name)
    return lambda number: folder / f"{name}-{number:03}{SUFFIX}"


def _line(counters: StreamCounters, rate: BestRate | None) -> str:
    known = "" if rate is None else f", {rate.hz:.2f} Hz"
    return f"{counters.samples_received} samples, {counters.samples_lost} lost{known}"
