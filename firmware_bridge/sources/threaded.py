"""A source that is read in its own thread, so that a slow consumer loses no samples."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import NamedTuple

from firmware_bridge.sources.arrivals import LONGEST_SLICE_S, Arrival, BytesRead
from firmware_bridge.sources.event_source import EventSource
from firmware_bridge.sources.names import MOST_WAITING
from firmware_bridge.wire.events import SampleBlock, SourceEvent
from firmware_bridge.wire.stream import StreamCounters

_ROOM_EVERY_S = 0.002

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
            keeps_bytes: Whether slices also hold all bytes read, each before the events in it.
            most_waiting: See `MOST_WAITING`.
        """
        self._stop = stop
        self._source = open_source(self._stopped, self._keep if keeps_bytes else None)
        self._items: deque[_Waiting] = deque()
        self._most_waiting = most_waiting
        self._due = threading.Event()
        self._samples_in = self._samples_out = 0  # each is written by one thread
        self._wanted: float = math.inf
        self._sleeps, self._closed = False, False
        self.lag_s = 0.0
        """Seconds for which the newest item of the last slice had waited in the queue."""

    @property
    def counters(self) -> StreamCounters:
        """The counters of the source so far."""
        return self._source.counters

    @property
    def waiting(self) -> int:
        """Events and reads in the queue."""
        return len(self._items)

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

        Slices end at whole multiples of the latency by the clock of this machine, so that all sensors wake it together.
        What has waited longer than a latency is handed out at once, `LONGEST_SLICE_S` or one latency at a time.

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
                last = taken[-1].item
                end = last if isinstance(last, _End) else None
                if end is not None:
                    taken.pop()
                if taken:
                    self.lag_s = time.monotonic() - taken[-1].came_s
                    yield [each.as_item() for each in taken]
                if end is not None:
                    if end.error is not None:
                        raise end.error
                    return
        finally:
            self._closed = True
            thread.join()
            self._items.clear()
            self._samples_out = self._samples_in

    def _stopped(self) -> bool:
        return self._closed or self._stop()

    def _keep(self, data: bytes) -> None:
        if data or not self._items:  # an empty read matters only to a consumer that waits
            self._put(BytesRead(data, time.time_ns()))

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for event in self._source:
                self._put(event)
        except BaseException as exc:  # every error is passed to the consumer
            error = exc
        self._put(_End(error))

    def _put(self, item: SourceEvent | BytesRead | _End) -> None:
        """Append an item to the queue, and wake the consumer if it waits for it."""
        while len(self._items) >= self._most_waiting and not self._closed:
            self._due.set()
            time.sleep(_ROOM_EVERY_S)
        if type(item) is SampleBlock:
            self._samples_in += len(item.samples)
        self._items.append(_Waiting(item, time.monotonic(), time.time()))
        if self._sleeps or self._is_enough() or type(item) is _End:
            self._due.set()

    def _wait(self, latency_s: float) -> None:
        """Wait until something came, and then until the slice is over."""
        while not self._items:
            self._due.clear()
            self._sleeps = True
            if not self._items:  # nothing came between the look and `_sleeps`
                self._due.wait()
            self._sleeps = False
        if latency_s <= 0:
            return
        now_s = time.monotonic()
        left_s = min(latency_s - now_s % latency_s, self._items[0].came_s + latency_s - now_s)
        self._due.clear()
        if left_s > 0 and not self._is_enough() and type(self._items[-1].item) is not _End:
            self._due.wait(left_s)

    def _is_enough(self) -> bool:
        return self._samples_in - self._samples_out >= self._wanted

    def _take(self, longest_s: float) -> list[_Waiting]:
        """Take what waits, up to a span of time."""
        items, until_s = self._items, self._items[0].came_s + longest_s
        taken = []
        for _ in range(len(items)):
            if items[0].came_s > until_s:
                break
            taken.append(items.popleft())
        self._samples_out += sum(len(each.item.samples) for each in taken if type(each.item) is SampleBlock)
        return taken


class _End(NamedTuple):
    error: BaseException | None


class _Waiting(NamedTuple):
    item: SourceEvent | BytesRead | _End
    came_s: float
    time_s: float

    def as_item(self) -> Item:
        assert not isinstance(self.item, _End)
        return self.item if isinstance(self.item, BytesRead) else Arrival(self.item, self.came_s, self.time_s)
