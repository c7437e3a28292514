"""Messages that wait for a broker: events in order, and the present state once, in bounded memory.

The queue of paho-mqtt is not used, and never holds more than one message here: beyond `max_queued_messages_set` it
refuses the newest event instead of the oldest, it sends every state that was set while the broker was away, and after a
reconnection it sends all messages at once despite `max_inflight_messages_set` (2.2.0).
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

_OVERHEAD_BYTES = 300
"""Memory of a message in bytes, beside its payload."""


@dataclass(eq=False)
class Message:
    """One message.

    Attributes:
        topic: Topic.
        payload: Content.
        is_event: Whether it is sent even if a newer message of its topic waits.
    """

    topic: str
    payload: str
    is_event: bool

    @property
    def size(self) -> int:
        """Approximate memory in bytes."""
        return len(self.payload) + _OVERHEAD_BYTES


class Outbox:
    """A queue whose head may be in flight, and the present value of each topic; not safe for threads."""

    def __init__(self, most_events: int, most_bytes: int) -> None:
        """Begin empty; beyond `most_events` or `most_bytes` the oldest events are dropped and counted."""
        self._most_events, self._most_bytes = most_events, most_bytes
        self._waiting: deque[Message] = deque()
        self._latest: dict[str, Message] = {}
        """The waiting message of each topic that is not an event."""
        self._pending: Counter[str] = Counter()
        self._bytes = 0
        self._present: dict[str, str] = {}
        self.sending = False
        """Whether the head is in flight, so that it must stay."""
        self.events = 0
        """Number of waiting events."""
        self.dropped = 0
        """Number of dropped events."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def head(self) -> Message | None:
        """The message that is sent next, or is in flight."""
        return self._waiting[0] if self._waiting else None

    def has(self, *topics: str) -> bool:
        """Tell whether all of these topics have a present value."""
        return all(topic in self._present for topic in topics)

    def add(self, topic: str, payload: str) -> None:
        """Append an event after all waiting messages; it replaces a waiting value of its topic."""
        older = self._latest.pop(topic, None)
        if older is not None and not self._is_on_its_way(older):
            self._waiting.remove(older)
            self._gone(older)
        self._append(Message(topic, payload, True))
        while self.events > self._most_events or self._bytes > self._most_bytes:
            if not self._drop_oldest():
                return

    def put(self, topic: str, payload: str) -> None:
        """Append a value, or replace the waiting value of the same topic."""
        older = self._latest.get(topic)
        if older is not None and not self._is_on_its_way(older):
            self._bytes += len(payload) - len(older.payload)
            older.payload = payload
            self._present[topic] = payload
        else:
            self._append(Message(topic, payload, False))

    def forget(self, topic: str) -> None:
        """Delete the retained message of a topic."""
        self.put(topic, "")
        self._present.pop(topic, None)

    def renew(self) -> None:
        """Send the present value of every topic again before all waiting messages, unless one of its topic waits."""
        again = [Message(topic, text, False) for topic, text in self._present.items() if not self._pending[topic]]
        first = [self._waiting.popleft()] if self.sending else []
        for message in reversed(again):
            self._waiting.appendleft(message)
            self._came(message)
        self._waiting.extendleft(first)

    def sent(self) -> None:
        """Remove the head, which has arrived."""
        self.sending = False
        self._gone(self._waiting.popleft())

    def _append(self, message: Message) -> None:
        self._present[message.topic] = message.payload
        self._waiting.append(message)
        self._came(message)

    def _came(self, message: Message) -> None:
        self._pending[message.topic] += 1
        self._bytes += message.size
        self.events += message.is_event
        if not message.is_event:
            self._latest[message.topic] = message

    def _gone(self, message: Message) -> None:
        self._pending[message.topic] -= 1
        self._bytes -= message.size
        self.events -= message.is_event
        if self._latest.get(message.topic) is message:
            del self._latest[message.topic]

    def _is_on_its_way(self, message: Message) -> bool:
        return self.sending and self._waiting[0] is message

    def _drop_oldest(self) -> bool:
        for index, message in enumerate(self._waiting):
            if message.is_event and not self._is_on_its_way(message):
                del self._waiting[index]
                self._gone(message)
                self.dropped += 1
                return True
        return False
