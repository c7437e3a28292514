"""One message to a broker after the other: what waits is sent when the one before was confirmed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from drsn_edge.monitor.sinks.outbox import Outbox

MOST_EVENTS, MOST_BYTES = 20_000, 16_000_000

Publish = Callable[[str, str], int]
"""Sends a payload to a topic, and returns the number by which it will be confirmed."""


class Delivery:
    """Has one message on its way at a time, so that none overtakes another when the line is cut; for several threads.

    A message counts as delivered when the broker has confirmed it; one may come twice.
    """

    def __init__(self) -> None:
        """Begin without a line; see `resume`."""
        self._outbox = Outbox(MOST_EVENTS, MOST_BYTES)
        self._lock = threading.Lock()
        self._publish: Publish | None = None
        self._on_its_way: int | None = None
        self.is_done = threading.Event()
        """Set while nothing waits."""

    @property
    def dropped(self) -> int:
        """Events that were thrown away, the oldest first, because too many waited."""
        return self._outbox.dropped

    def add(self, topic: str, payload: str) -> None:
        """Have an event go out, after all that waits."""
        with self._lock:
            self._outbox.add(topic, payload)
            self._send_next()

    def put(self, payloads: Mapping[str, str]) -> None:
        """Have what holds now go out, by topic."""
        with self._lock:
            for topic, payload in payloads.items():
                self._outbox.put(topic, payload)
            self._send_next()

    def put_once(self, payloads: Mapping[str, str]) -> None:
        """Have what holds for good go out, unless it did before."""
        if not self._outbox.has(*payloads):
            self.put(payloads)

    def forget(self, *topics: str) -> None:
        """Have the broker keep nothing at these topics any more."""
        with self._lock:
            for topic in topics:
                self._outbox.forget(topic)
            self._send_next()

    def renew(self) -> None:
        """Have everything that holds go out once more: whoever kept it has lost its memory."""
        with self._lock:
            self._outbox.renew()
            self._send_next()

    def resume(self, publish: Publish) -> None:
        """There is a line, to a broker that may remember nothing."""
        with self._lock:
            self._publish = publish
            self._outbox.renew()
            self._send_next()  # unless one is on its way: paho repeats by itself what was when the line was cut

    def pause(self) -> bool:
        """The line is cut; return whether there was one."""
        with self._lock:
            was, self._publish = self._publish is not None, None
        return was

    def confirmed(self, number: int) -> None:
        """The broker has a message."""
        with self._lock:
            if number == self._on_its_way:
                self._on_its_way = None
                self._outbox.sent()
                self._send_next()

    def end(self) -> int:
        """Send no more; return how many events were not delivered."""
        with self._lock:
            self._publish = None
            return self._outbox.events

    def _send_next(self) -> None:
        head = self._outbox.head
        if head is None:
            self.is_done.set()
            return
        self.is_done.clear()
        if self._publish is not None and self._on_its_way is None:
            self._outbox.sending = True
            self._on_its_way = self._publish(head.topic, head.payload)
