"""Delivery to a broker, one message at a time: the next is sent when the broker has confirmed the last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from drsn_edge.monitor.sinks.outbox import Outbox

MOST_EVENTS, MOST_BYTES = 20_000, 16_000_000

Publish = Callable[[str, str], int]
"""Sends a payload to a topic, and returns the number by which the broker will confirm it."""


class Delivery:
    """Sends one message at a time, so that a lost connection does not change their order; safe for threads.

    A message counts as delivered when the broker has confirmed it; a message may arrive twice.
    """

    def __init__(self) -> None:
        """Begin without a connection; see `resume`."""
        self._outbox = Outbox(MOST_EVENTS, MOST_BYTES)
        self._lock = threading.Lock()
        self._publish: Publish | None = None
        self._on_its_way: int | None = None
        self.is_done = threading.Event()
        """Set while no message waits."""

    @property
    def dropped(self) -> int:
        """Number of events that were dropped, the oldest first, because too many waited."""
        return self._outbox.dropped

    def add(self, topic: str, payload: str) -> None:
        """Send an event after all waiting messages."""
        with self._lock:
            self._outbox.add(topic, payload)
            self._send_next()

    def put(self, payloads: Mapping[str, str]) -> None:
        """Send the present values, by topic."""
        with self._lock:
            for topic, payload in payloads.items():
                self._outbox.put(topic, payload)
            self._send_next()

    def put_once(self, payloads: Mapping[str, str]) -> None:
        """Send constant values, unless they were sent before."""
        if not self._outbox.has(*payloads):
            self.put(payloads)

    def forget(self, *topics: str) -> None:
        """Delete the retained messages of these topics."""
        with self._lock:
            for topic in topics:
                self._outbox.forget(topic)
            self._send_next()

    def renew(self) -> None:
        """Send all present values again, to a receiver that has lost them."""
        with self._lock:
            self._outbox.renew()
            self._send_next()

    def resume(self, publish: Publish) -> None:
        """Continue over a new connection, to a broker that may have lost everything."""
        with self._lock:
            self._publish = publish
            self._outbox.renew()
            self._send_next()  # unless one is in flight: paho repeats that one by itself

    def pause(self) -> bool:
        """Pause after the connection is lost; return whether there was one."""
        with self._lock:
            was, self._publish = self._publish is not None, None
        return was

    def confirmed(self, number: int) -> None:
        """Take the confirmation of a message, and send the next."""
        with self._lock:
            if number == self._on_its_way:
                self._on_its_way = None
                self._outbox.sent()
                self._send_next()

    def end(self) -> int:
        """Stop sending; return how many events were not delivered."""
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
