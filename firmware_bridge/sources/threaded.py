"""A source read by a thread of its own: a consumer that stalls for a while costs no sample."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from firmware_bridge.events import SourceEvent
from firmware_bridge.stream import StreamCounters

MOST_WAITING = 20_000
"""Events and reads that wait at most, some ten seconds of a fast sensor. Beyond them the thread reads no more: the
device's and the system's buffers fill, and what they drop is counted as lost."""

_ASK_EVERY_S = 0.2

Stop = Callable[[], bool]
OnBytes = Callable[[bytes], None]


class Source(Iterable[SourceEvent], Protocol):
    """What can be read in a thread."""

    @property
    def counters(self) -> StreamCounters:
        """The account so far."""
        ...


class Threaded:
    """Iterates over a source's events in their order, which a thread reads meanwhile."""

    def __init__(
        self,
        open_source: Callable[[Stop, OnBytes | None], Source],
        stop: Stop,
        on_bytes: Callable[[bytes, int], None] | None = None,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            open_source: Given when to stop and where its bytes go, returns the source.
            stop: Asked by the thread. What was read until then is still handed out.
            on_bytes: Given all that is read and when (nanoseconds since 1970), in the consumer's thread, before the
                events that come of it.
            most_waiting: See `MOST_WAITING`.
        """
        self._stop, self._on_bytes = stop, on_bytes
        self._source = open_source(self._stopped, None if on_bytes is None else self._keep)
        self._items: queue.Queue[tuple[float, object]] = queue.Queue(most_waiting)
        self._closed = False
        self.lag_s = 0.0
        """How long what was handed out last had waited."""

    @property
    def counters(self) -> StreamCounters:
        """The account of the source so far."""
        return self._source.counters

    @property
    def waiting(self) -> int:
        """Events and reads that wait to be handed out."""
        return self._items.qsize()

    def __iter__(self) -> Iterator[SourceEvent]:
        """Yield events; raises what the source raises, after what came before."""
        self._closed = False
        thread = threading.Thread(target=self._run, name="reader", daemon=True)
        thread.start()
        try:
            while True:
                came_s, item = self._items.get()
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
            while thread.is_alive():  # it may wait for room
                while not self._items.empty():
                    self._items.get_nowait()
                thread.join(0.05)

    def _stopped(self) -> bool:
        return self._closed or self._stop()

    def _keep(self, data: bytes) -> None:
        if data or self._items.empty():  # that nothing came matters to who waits only
            self._put(_Read(data, time.time_ns()))

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for event in self._source:
                self._put(event)
        except BaseException as exc:  # handed over, whatever it is
            error = exc
        self._put(_End(error))

    def _put(self, item: object) -> None:
        while not self._closed:
            try:
                self._items.put((time.monotonic(), item), timeout=_ASK_EVERY_S)
                return
            except queue.Full:
                continue


class _Read:
    def __init__(self, data: bytes, time_ns: int) -> None:
        self.data, self.time_ns = data, time_ns


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error
