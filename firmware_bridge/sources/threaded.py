"""A source that is read in its own thread, so that a slow consumer loses no samples."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from firmware_bridge.sources.arrivals import LONGEST_SLICE_S, MOST_TOGETHER, Arrival, BytesRead
from firmware_bridge.sources.event_source import EventSource, reads_of
from firmware_bridge.sources.names import MOST_WAITING
from firmware_bridge.wire.events import SampleBlock, SourceEvent
from firmware_bridge.wire.stream import StreamCounters

_ROOM_EVERY_S = 0.002
_LATE_S = 0.05
"""Time in seconds after the end of a slice for which the consumer waits for the last read of the slice."""

Stop = Callable[[], bool]
OnBytes = Callable[[bytes], None]
Item = Arrival | BytesRead


class Threaded:
    """Hands out the events of a source, in order and in slices, while a thread reads the source."""

    def __init__(
        self,
        open_source: Callable[[Stop, OnBytes | None], EventSource],
        stop: Stop,
        keeps_bytes: bool = False,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            open_source: Takes a stop function and a callback for bytes, and returns the source.
            stop: Called in the reading thread; reading ends when it returns True. Events read before still come out.
            keeps_bytes: Whether slices also hold all bytes read, each before the events in it, which share its slice.
            most_waiting: See `MOST_WAITING`; the events of one read may exceed it.
        """
        self._stop = stop
        self._source = open_source(self._stopped, self._keep if keeps_bytes else None)
        self._reads: deque[_Read] = deque()
        self._kept: list[BytesRead] = []  # of the present read, before its events are known
        self._most_waiting = most_waiting
        self._due = threading.Event()
        self._into, self._out = _Count(), _Count()  # each is written by one thread
        self._wanted: float = math.inf
        self._end_s = 0.0
        self._closed = False
        self.lag_s = 0.0
        """Seconds for which the newest item of the last slice had waited in the queue."""

    @property
    def counters(self) -> StreamCounters:
        """The counters of the source so far."""
        return self._source.counters

    @property
    def waiting(self) -> int:
        """Events and reads in the queue."""
        return self._into.items - self._out.items

    def wake_after(self, samples: int | None) -> None:
        """End the next slice as soon as it holds this number of samples; None: when its time is over."""
        self._wanted = math.inf if samples is None else samples

    def __iter__(self) -> Iterator[SourceEvent]:
        """Yield events as they come; an error of the source is raised after the events before it."""
        with closing(self.slices(0.0)) as slices:
            for items in slices:
                for item in items:
                    if isinstance(item, Arrival):
                        yield item.event

    def slices(self, latency_s: float) -> Generator[list[Item], None, None]:
        """Yield what came, in order and in slices of at least one item.

        Slices end at whole multiples of the latency by the clock of this machine, so that all sensors wake it together,
        with the first read after that time, or `_LATE_S` later. What comes after a silence of a whole slice is handed
        out at once. So is what has waited longer than a latency, in slices of at most `LONGEST_SLICE_S` or one latency
        and of about `MOST_TOGETHER` items. When the source ends, so does the slice.

        Args:
            latency_s: Longest time in seconds that an event waits while the consumer keeps up; 0: none.

        Raises:
            Exception: The error of the source, after the events before it.
        """
        self._closed = False
        thread = threading.Thread(target=self._run, name="reader", daemon=True)
        thread.start()
        try:
            while True:
                self._wait(latency_s)
                taken = self._take(max(latency_s, LONGEST_SLICE_S))
                items = [item for read in taken for item in read.items]
                if items:
                    self.lag_s = time.monotonic() - taken[-1].came_s
                    yield items
                if taken[-1].is_end:
                    if taken[-1].error is not None:
                        raise taken[-1].error
                    return
        finally:
            self._closed = True
            thread.join()
            self._reads.clear()
            self._out = replace(self._into)

    def _stopped(self) -> bool:
        return self._closed or self._stop()

    def _keep(self, data: bytes) -> None:
        if self._kept:  # a read without events
            self._put(_Read.of([], self._taken_bytes()))
        if data or not self._reads:  # an empty read matters only to a consumer that waits
            self._kept = [BytesRead(data, time.time_ns())]

    def _taken_bytes(self) -> list[BytesRead]:
        kept, self._kept = self._kept, []
        return kept

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for events in reads_of(self._source):
                if events or self._kept:
                    self._put(_Read.of(events, self._taken_bytes()))
        except BaseException as exc:  # every error is passed to the consumer
            error = exc
        self._put(_Read(self._taken_bytes(), time.monotonic(), is_end=True, error=error))

    def _put(self, read: _Read) -> None:
        """Append a read to the queue, and wake the consumer if the slice is over."""
        while self.waiting >= self._most_waiting and not self._closed:
            self._due.set()
            time.sleep(_ROOM_EVERY_S)
        self._into.items += len(read.items)
        self._into.samples += read.samples
        self._reads.append(read)
        if self._is_over(read):
            self._due.set()

    def _wait(self, latency_s: float) -> None:
        """Wait until something came, and then until the slice is over."""
        if latency_s > 0:
            now_s = time.monotonic()
            begin_s = self._reads[0].came_s if self._reads else now_s
            self._end_s = latency_s * (begin_s // latency_s + 1)
            self._due.clear()
            if now_s < self._end_s and not (self._reads and self._is_over(self._reads[-1])):
                self._due.wait(self._end_s + _LATE_S - now_s)
        self._end_s = -math.inf  # from now on, the first read wakes this thread
        while not self._reads:
            self._due.clear()
            if not self._reads:  # nothing came between the look and `clear`
                self._due.wait()

    def _is_over(self, last: _Read) -> bool:
        """Tell whether the slice is over with this read."""
        enough = self._into.samples - self._out.samples >= self._wanted
        return last.is_end or last.came_s >= self._end_s or enough or self.waiting >= self._most_waiting

    def _take(self, longest_s: float) -> list[_Read]:
        """Take what waits, up to a span of time."""
        reads, until_s = self._reads, self._reads[0].came_s + longest_s
        taken, before = [], self._out.items
        while reads and reads[0].came_s <= until_s and self._out.items - before < MOST_TOGETHER:
            read = reads.popleft()
            taken.append(read)
            self._out.items += len(read.items)
            self._out.samples += read.samples
        return taken


@dataclass
class _Count:
    """Items and samples that went through one end of the queue."""

    items: int = 0
    samples: int = 0


@dataclass(frozen=True)
class _Read:
    """What one read brought, or the end of the source.

    Attributes:
        items: Bytes, and the events in them with their times.
        came_s: Time by a clock that is never set, in seconds.
        samples: Number of samples in the events.
        is_end: Whether the source has ended.
        error: The error that ended it.
    """

    items: Sequence[Item]
    came_s: float
    samples: int = 0
    is_end: bool = False
    error: BaseException | None = None

    @classmethod
    def of(cls, events: Sequence[SourceEvent], data: Sequence[BytesRead]) -> _Read:
        """Return bytes, and the events in them, which have come now."""
        steady_s, time_s = time.monotonic(), time.time()
        samples = sum(len(each.samples) for each in events if type(each) is SampleBlock)
        return cls([*data, *(Arrival(each, steady_s, time_s) for each in events)], steady_s, samples)
