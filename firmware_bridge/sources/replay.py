"""A raw log played again: the events of the day it was recorded, at the pace of that day, faster, or at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from firmware_bridge.errors import DescriptionError, ProtocolError, RawLogError
from firmware_bridge.support.regular_file import MAX_FILE_BYTES, NotAFileError, read_regular
from firmware_bridge.support.shown import printable
from firmware_bridge.wire.events import HelloRejected, Idle, LinkLost, LinkRestored, Note, SourceEvent
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.raw_log import LINK_LOST, LINK_RESTORED, NOTE, PRELUDE, LogChunk, LogDamage, read_log
from firmware_bridge.wire.stream import StreamCounters, StreamDecoder
from firmware_bridge.wire.text_lines import LINES_MODEL

IDLE_NS = 200_000_000
"""As `SerialSource` has it unless told otherwise."""

LONGEST_SILENCE_NS = 600_000_000_000
"""What is left of a longer silence is skipped: a clock that was set while the log was written leaves one of years."""


@dataclass(frozen=True)
class TimedEvent:
    """An event and when what completed it had come, nanoseconds since 1970."""

    time_ns: int
    event: SourceEvent


MAX_LOG_BYTES = MAX_FILE_BYTES
"""Of one file; `record` begins another after 256 MB."""

_LONGEST_TEXT = 65_536


class ReplaySource:
    """Iterates over what raw logs hold, as `SerialSource` does over what a device sends.

    Files are taken in the given order. One that follows the one before, by log and segment, goes on where that ended;
    before any other the link counts as cut, as it does where segments are damaged or missing.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        speed: float | None = None,
        stop: Callable[[], bool] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        read: Callable[[Path], bytes] | None = None,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            paths: Of the files.
            speed: Times the pace at which the bytes came; None: at once.
            stop: Asked between chunks.
            sleep: Waits for seconds.
            read: Returns a file's bytes; None: reads it, up to `MAX_LOG_BYTES`.
        """
        self._paths = tuple(paths)
        self._speed = speed
        self._stop = stop or (lambda: False)
        self._sleep = sleep
        self._read_bytes = read or _whole
        self._decoder = StreamDecoder()
        self._time_ns = 0
        self._refused: ProtocolError | None = None
        self.damage: list[tuple[Path, LogDamage]] = []
        """What was no segment, by file."""

    @property
    def hello(self) -> Hello | None:
        """What the device said about itself, or None before that."""
        return self._decoder.hello

    @property
    def counters(self) -> StreamCounters:
        """The account so far."""
        counters = self._decoder.counters
        numbered = self.hello is None or self.hello.sensor_model != LINES_MODEL
        return replace(counters, losses_counted=numbered)

    @property
    def time_s(self) -> float:
        """When what was yielded last had come, seconds since 1970."""
        return self._time_ns / 1e9

    def __iter__(self) -> Iterator[SourceEvent]:
        """Yield events as they come, with an Idle wherever nothing came for `IDLE_NS`, as on that day, for 10 minutes.

        Raises:
            RawLogError: If a file cannot be read or is no raw log.
            ProtocolError: If the device speaks another protocol, or never describes itself as it should.
        """
        for timed in self.timed():
            silence_ns = 0
            while self._time_ns and timed.time_ns - self._time_ns > IDLE_NS and silence_ns < LONGEST_SILENCE_NS:
                self._pass(self._time_ns + IDLE_NS)
                silence_ns += IDLE_NS
                yield Idle()
            if silence_ns < LONGEST_SILENCE_NS:
                self._pass(timed.time_ns)
            self._time_ns = timed.time_ns
            yield timed.event

    def _pass(self, time_ns: int) -> None:
        if self._speed is not None and self._time_ns and time_ns > self._time_ns:
            self._sleep((time_ns - self._time_ns) / 1e9 / self._speed)
        self._time_ns = time_ns

    def timed(self) -> Iterator[TimedEvent]:
        """Yield the same at once, each with its time; raises the same."""
        yield from self._timed()
        if self.hello is None and self._refused is not None:
            raise self._refused

    def _timed(self) -> Iterator[TimedEvent]:
        last: LogChunk | None = None
        for path in self._paths:
            for item in self._read(path):
                if self._stop():
                    return
                if isinstance(item, LogDamage):
                    self.damage.append((path, item))
                    continue
                goes_on = last is not None and item.log == last.log and item.segment in (last.segment, last.segment + 1)
                if last is not None and not goes_on:
                    yield from self._cut(item, path)
                last = item
                if item.kind in (LINK_LOST, LINK_RESTORED):
                    yield self._on_link(item)
                elif item.kind == NOTE:
                    yield TimedEvent(item.time_ns, Note(_text(item)))
                elif not (goes_on and item.kind == PRELUDE):
                    yield from self._feed(item)

    def _read(self, path: Path) -> Iterator[LogChunk | LogDamage]:
        try:
            data = self._read_bytes(path)
        except OSError as exc:
            raise RawLogError(f"Could not read {path}: {exc.strerror}. Check the path.") from exc
        try:
            yield from read_log(data)
        except RawLogError as exc:
            raise RawLogError(f"{path}: {exc}") from exc

    def _cut(self, item: LogChunk, path: Path) -> Iterator[TimedEvent]:
        self._decoder.reset_link()
        yield TimedEvent(item.time_ns, LinkLost(f"{path.name}: bytes are missing before segment {item.segment}"))
        yield TimedEvent(item.time_ns, LinkRestored())

    def _on_link(self, item: LogChunk) -> TimedEvent:
        if item.kind == LINK_RESTORED:
            return TimedEvent(item.time_ns, LinkRestored())
        self._decoder.reset_link()
        return TimedEvent(item.time_ns, LinkLost(_text(item)))

    def _feed(self, item: LogChunk) -> Iterator[TimedEvent]:
        for event in self._decoder.feed(item.data):
            if isinstance(event, HelloRejected):
                self._refused = event.error
                if self.hello is None and not isinstance(event.error, DescriptionError):
                    raise event.error
            yield TimedEvent(item.time_ns, event)


def _text(item: LogChunk) -> str:
    """Return what a log says to people, as text and nothing else: anybody may have written it."""
    return printable(item.data.decode(errors="replace"), _LONGEST_TEXT)


def _whole(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_LOG_BYTES)
    except (NotAFileError, IsADirectoryError) as exc:
        raise RawLogError(f"Expected a raw log at {path}: {exc}. Copy what it gives into a file.") from exc
