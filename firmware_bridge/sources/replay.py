"""Replay of raw logs: the recorded events, in real time, faster, or without pauses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from firmware_bridge.errors import DescriptionError, ProtocolError, RawLogError
from firmware_bridge.sources.arrivals import LONGEST_SLICE_S, MOST_TOGETHER, Arrival
from firmware_bridge.sources.names import LATENCY_S
from firmware_bridge.support.regular_file import MAX_FILE_BYTES, NotAFileError, read_regular
from firmware_bridge.support.shown import printable
from firmware_bridge.wire.events import HelloRejected, Idle, LinkLost, LinkRestored, Note, SourceEvent
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.raw_log import LINK_LOST, LINK_RESTORED, NOTE, PRELUDE, LogChunk, LogDamage, read_log
from firmware_bridge.wire.stream import StreamCounters, StreamDecoder
from firmware_bridge.wire.text_lines import LINES_MODEL

IDLE_NS = 200_000_000
"""Silence after which an Idle comes; the default of `SerialSource`."""

LONGEST_SILENCE_NS = 600_000_000_000
"""Longest silence that is replayed. The rest is skipped, because setting the clock during a recording can leave a gap
of years in the log."""


@dataclass(frozen=True)
class TimedEvent:
    """An event, and the arrival time of the bytes that completed it, in nanoseconds since 1970."""

    time_ns: int
    event: SourceEvent


MAX_LOG_BYTES = MAX_FILE_BYTES
"""Largest log file that is read; `record` begins a new file after 256 MB."""

_LONGEST_TEXT = 65_536


class ReplaySource:
    """Iterates over the events in raw logs, in the same form as `SerialSource` does over those of a device.

    Files are read in the given order. A file that continues the previous one, by log and segment number, continues its
    stream. Before any other file, and where segments are damaged or missing, the link counts as interrupted.
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
            paths: Log files.
            speed: Playback speed, 1 for real time; None: without pauses.
            stop: Called between chunks; the replay ends when it returns True.
            sleep: Waits for a number of seconds.
            read: Returns the bytes of a file; None: reads files of up to `MAX_LOG_BYTES`.
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
        """Bytes that are not a segment, by file."""

    @property
    def hello(self) -> Hello | None:
        """The description of the device; None until it is known."""
        return self._decoder.hello

    @property
    def counters(self) -> StreamCounters:
        """The counters so far."""
        counters = self._decoder.counters
        numbered = self.hello is None or self.hello.sensor_model != LINES_MODEL
        return replace(counters, losses_counted=numbered)

    @property
    def time_s(self) -> float:
        """Arrival time of the last event, in seconds since 1970."""
        return self._time_ns / 1e9

    def __iter__(self) -> Iterator[SourceEvent]:
        """Yield the events, with an Idle wherever nothing came for `IDLE_NS`, for at most `LONGEST_SILENCE_NS`.

        Raises:
            RawLogError: If a file cannot be read or is not a raw log.
            ProtocolError: If the device speaks another protocol version, or every HELLO is refused.
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

    def slices(self, latency_s: float | None = None) -> Iterator[list[Arrival]]:
        """Yield the events in slices of 1 to `MOST_TOGETHER`, with times of the log; raises as `__iter__` does.

        Args:
            latency_s: Longest time in seconds that a slice spans; 0: each event is a slice. None: `LATENCY_S`, or
                `LONGEST_SLICE_S` without pauses, which costs less.
        """
        if latency_s is None:
            latency_s = LONGEST_SLICE_S if self._speed is None else LATENCY_S
        taken: list[Arrival] = []
        for event in self:
            time_s = self.time_s
            is_over = taken and not 0 <= time_s - taken[0].time_s < latency_s
            if is_over or len(taken) == MOST_TOGETHER:
                yield taken
                taken = []
            taken.append(Arrival(event, time_s, time_s))
        if taken:
            yield taken

    def _pass(self, time_ns: int) -> None:
        if self._speed is not None and self._time_ns and time_ns > self._time_ns:
            self._sleep((time_ns - self._time_ns) / 1e9 / self._speed)
        self._time_ns = time_ns

    def timed(self) -> Iterator[TimedEvent]:
        """Yield the events without pauses and without Idle, each with its time; raises as `__iter__` does."""
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
            raise RawLogError(
                f"Could not read {path}: {exc.strerror}. Check the path.", "unreadable", path=path, reason=exc.strerror
            ) from exc
        try:
            yield from read_log(data)
        except RawLogError as exc:
            raise RawLogError(f"{path}: {exc}", exc.problem, path=path, **exc.facts) from exc

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
    """Return the text of a chunk with control characters escaped, because the log may come from anybody."""
    return printable(item.data.decode(errors="replace"), _LONGEST_TEXT)


def _whole(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_LOG_BYTES)
    except (NotAFileError, IsADirectoryError) as exc:
        raise RawLogError(
            f"Could not read {path} as a raw log: {exc.strerror}. Copy its content into a file.",
            "not_a_file",
            path=path,
            reason=exc.strerror,
        ) from exc
