"""Record what a source sends: `drsn-edge record` without its command line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

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
    """What was recorded.

    Attributes:
        files: In order.
        bytes_logged: From the device.
        counters: The link's account.
        rate: Samples per second, by the host's clock if the recording is long enough, by the sensor's else, or None.
        changes_of_rate: How often the sensor changed its rate without saying so.
    """

    files: tuple[Path, ...]
    bytes_logged: int
    counters: StreamCounters
    rate: BestRate | None
    changes_of_rate: int


class LogKeeper:
    """Writes what a source reads into raw logs. A file that cannot be written ends that, and nothing else."""

    def __init__(
        self,
        folder: Path,
        name: str,
        rotate_bytes: int | None = None,
        on_failure: Callable[[RawLogError], None] | None = None,
        about: str = "",
        option: str = "--out",
    ) -> None:
        """Prepare.

        Args:
            folder: Made if it is missing.
            name: Beginning of the files' names.
            rotate_bytes: Begin another file when one has so many bytes.
            on_failure: Told once why no more is written; None: errors are raised.
            about: Note at the beginning of each file; see `drsn_edge.recordings.log_note`.
            option: By which the user named the folder.

        Raises:
            OutputError: If the folder cannot be made, or the name is none for a file.
        """
        self._log = RawLogWriter(_paths(folder, name, option), rotate_bytes=rotate_bytes, about=about)
        self._on_failure = on_failure
        self.failing: str | None = None
        """Why no more is written; None as long as it is."""
        self._hello: Hello | None = None

    @property
    def summary(self) -> LogSummary:
        """What was written so far."""
        return self._log.summary

    def write(self, data: bytes, came_ns: int | None = None) -> None:
        """Take in bytes before what is decoded of them; see `RawLogWriter.write`."""
        self._try(lambda: self._log.write(data, came_ns))

    def take(self, event: SourceEvent) -> None:
        """Take in what came of them."""
        self._try(lambda: self._take(event))

    def _take(self, event: SourceEvent) -> None:
        if isinstance(event, Hello):
            self._hello = event
            self._log.stand_at(event)
        elif isinstance(event, SampleBlock) and self._hello is not None:
            end = event.first_sample + len(event.samples)
            time_us = round(1e6 * event.device_time_s)
            self._log.stand_at(replace(self._hello, samples_produced=end, device_time_us=time_us))
        elif isinstance(event, LinkLost):
            self._log.note_link(event.reason)
        elif isinstance(event, LinkRestored):
            self._log.note_link(None)
        elif isinstance(event, Note):
            self._log.note(event.text)

    def close(self) -> None:
        """Write what is left; harmless when repeated."""
        self._try(self._log.close)

    def _try(self, write: Callable[[], None]) -> None:
        if self.failing is not None:
            return
        try:
            write()
        except Exception as exc:
            if self._on_failure is None:
                raise
            known = isinstance(exc, RawLogError)
            self.failing = str(exc) if known else f"Could not keep what the sensor sends: {exc}. Verdicts go on."
            self._on_failure(RawLogError(self.failing))


class _Heard:
    """What a sensor says of itself while it is recorded, and at what rate its samples come."""

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
    """Write all that a source reads to raw logs, until it ends.

    Files without a sample are removed again, unless a sensor of ours spoke and could not be understood.

    Args:
        open_source: Given where its bytes are to go, returns the source.
        log: Where they go; it is closed at the end.
        progress: Shown now and then how it goes.
        on_hello: Called whenever the sensor has described itself.
        tell: Given what a person should read.
        now_s: A steady clock, seconds.

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
    """Remove files that hold no sample, which would be in the way of `train`; keep what shows why there is none."""
    if not files:
        return ()
    if counters.frames_ok and (hello is None or counters.crc_errors):
        tell(f"No sample came, but bytes that show why: they lie in {files[0]}. Delete it before `train`.")
        return files
    for path in files:
        with suppress(OSError):
            path.unlink()
    return ()


def log_name() -> str:
    """Return the name of a log that begins now: the time, UTC."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def log_files(paths: Iterable[Path]) -> list[Path]:
    """Return raw logs by their paths; a folder stands for those in it, by name.

    Raises:
        OutputError: If a folder has none.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not inside:
            raise OutputError(f"Expected raw logs (*{SUFFIX}) in {path}, found none. Choose another folder.")
        found += inside
    return found


def _paths(folder: Path, name: str, option: str) -> Callable[[int], Path]:
    if not name or Path(name).name != name or name.startswith("."):
        raise OutputError(f"Expected a plain name for files, got {name!r}. Choose another --name.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(f"Could not make the folder {folder}: {exc.strerror}. Choose another {option}.") from exc
    if taken := sorted(folder.glob(f"{name}-[0-9]*{SUFFIX}")):
        raise OutputError(f"Expected no recording of the name {name} in {folder}, got {taken[0].name}. Choose another.")
    return lambda number: folder / f"{name}-{number:03}{SUFFIX}"


def _line(counters: StreamCounters, rate: BestRate | None) -> str:
    known = "" if rate is None else f", {rate.hz:.2f} Hz"
    return f"{counters.samples_received} samples, {counters.samples_lost} lost{known}"
