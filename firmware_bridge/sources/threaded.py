"""A source that is read in its own thread, so that a slow consumer loses no samples."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from firmware_bridge.sources.event_source import EventSource
from firmware_bridge.wire.events import SourceEvent
from firmware_bridge.wire.stream import StreamCounters

MOST_WAITING = 20_000
"""Most events and reads in the queue: about ten seconds of a fast sensor. When the queue is full the thread stops
reading; then the buffers of device and system fill, and the samples that they drop are counted as lost."""

_ROOM_EVERY_S = 0.002

Stop = Callable[[], bool]
OnBytes = Callable[[bytes], None]


class Threaded:
    """Iterates over the events of a source, in order, while a thread reads the source."""

    def __init__(
        self,
        open_source: Callable[[Stop, OnBytes | None], EventSource],
        stop: Stop,
        on_bytes: Callable[[bytes, int], None] | None = None,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            open_source: Takes a stop function and a callback for bytes, and returns the source.
            stop: Called in the reading thread; reading ends when it returns True. Events read before still come out.
            on_bytes: Called in the consumer's thread with all bytes read and their arrival time (nanoseconds since
                1970), before the events in those bytes.
            most_waiting: See `MOST_WAITING`.
        """
        self._stop, self._on_bytes = stop, on_bytes
        self._source = open_source(self._stopped, None if on_bytes is None else self._keep)
        self._items: deque[tuple[float, object]] = deque()
        self._most_waiting = most_waiting
        self._some, self._wanted = threading.Event(), False
        self._closed = False
        self.lag_s = 0.0
        """Seconds that the last item had waited in the queue."""

    @property
    def counters(self) -> StreamCounters:
        """The counters of the source so far."""
        return self._source.counters

    @property
    def waiting(self) -> int:
        """Events and reads in the queue."""
        return len(self._items)

    def __iter__(self) -> Iterator[SourceEvent]:
        """Yield events; an error of the source is raised after the events before it."""
        self._closed = False
        thread = threading.Thread(target=self._run, name="reader", daemon=True)
        thread.start()
        try:
            while True:
                came_s, item = self._next()
                self.lag_s = time.monotonic() - came_s
                if isinstance(item, _Read):
                    assert self._on_bytes is not None
                    self._on_bytes(item.data, item.time_ns)
                elif isinstance(item, _End):
                    if item.error is not None:
                        raise item.error
                    return
                else:
                    yield item  # type: ignore[misc]
        finally:
            self._closed = True
            thread.join()
            self._items.clear()

    def _stopped(self) -> bool:
        return self._closed or self._stop()

    def _keep(self, data: bytes) -> None:
        if data or not self._items:  # an empty read matters only to a consumer that waits
            self._put(_Read(data, time.time_ns()))

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for event in self._source:
                self._put(event)
        except BaseException as exc:  # every error is passed to the consumer
            error = exc
        self._put(_End(error))

    def _put(self, item: object) -> None:
        """Append an item to the queue, and wake the consumer if it waits."""
        while len(self._items) >= self._most_waiting and not self._closed:
            time.sleep(_ROOM_EVERY_S)
        self._items.append((time.monotonic(), item))
        if self._wanted:
            self._some.set()

    def _next(self) -> tuple[float, object]:
        while True:
            try:
                return self._items.popleft()
            except IndexError:
                self._some.clear()
                self._wanted = True
                if not self._items:  # nothing came between the failed pop and `_wanted`
                    self._some.wait()
                self._wanted = False


class _Read:
    def __init__(self, data: bytes, time_ns: int) -> None:
        self.data, self.time_ns = data, time_ns


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error
