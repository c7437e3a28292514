"""What waits for a broker: events in their order, the present state once, and no more than memory has room for.

Not the queue of paho-mqtt, which never holds more than one message here: beyond `max_queued_messages_set` it refuses
the newest event and not the oldest, sends a state as often as it was said while the broker was away, and after a
reconnection sends all at once whatever `max_inflight_messages_set` says (2.2.0).
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

_OVERHEAD_BYTES = 300
"""Of a message in memory, beside its payload."""


@dataclass(eq=False)
class Message:
    """One message.

    Attributes:
        topic: Where it goes.
        payload: Its content.
        is_event: Whether it goes out even if a newer one of its topic waits behind it.
    """

    topic: str
    payload: str
    is_event: bool

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return len(self.payload) + _OVERHEAD_BYTES


class Outbox:
    """A queue whose head may be on its way, and the present value of each topic. Not for several threads at once."""

    def __init__(self, most_events: int, most_bytes: int) -> None:
        """Begin empty; beyond `most_events` or `most_bytes` the oldest events are thrown away and counted."""
        self._most_events, self._most_bytes = most_events, most_bytes
        self._waiting: deque[Message] = deque()
        self._latest: dict[str, Message] = {}
        """Of each topic the one that waits and is no event."""
        self._pending: Counter[str] = Counter()
        self._bytes = 0
        self._present: dict[str, str] = {}
        self.sending = False
        """Whether the head is on its way: then it stays where it is."""
        self.events = 0
        """Events that wait."""
        self.dropped = 0
        """Events that were thrown away."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def head(self) -> Message | None:
        """The message that goes out next, or is on its way."""
        return self._waiting[0] if self._waiting else None

    def has(self, *topics: str) -> bool:
        """Tell whether all of these topics have a present value."""
        return all(topic in self._present for topic in topics)

    def add(self, topic: str, payload: str) -> None:
        """Append an event, which goes out after all that waits; what it replaces and is no event need not go."""
        older = self._latest.pop(topic, None)
        if older is not None and not self._is_on_its_way(older):
            self._waiting.remove(older)
            self._gone(older)
        self._append(Message(topic, payload, True))
        while self.events > self._most_events or self._bytes > self._most_bytes:
            if not self._drop_oldest():
                return

    def put(self, topic: str, payload: str) -> None:
        """Have a value go out; one of the same topic that waits for it to go out as well is replaced by it."""
        older = self._latest.get(topic)
        if older is not None and not self._is_on_its_way(older):
            self._bytes += len(payload) - len(older.payload)
            older.payload = payload
            self._present[topic] = payload
        else:
            self._append(Message(topic, payload, False))

    def forget(self, topic: str) -> None:
        """Have the broker keep nothing at a topic any more."""
        self.put(topic, "")
        self._present.pop(topic, None)

    def renew(self) -> None:
        """Have the present value of every topic go out once more, before what waits, unless one of its topic does."""
        again = [Message(topic, text, False) for topic, text in self._present.items() if not self._pending[topic]]
        first = [self._waiting.popleft()] if self.sending else []
        for message in reversed(again):
            self._waiting.appendleft(message)
            self._came(message)
        self._waiting.extendleft(first)

    def sent(self) -> None:
        """The head has arrived."""
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
