"""What the sources have in common: events in their order, and the account of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from firmware_bridge.wire.events import SourceEvent
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.stream import StreamCounters


class EventSource(Iterable[SourceEvent], Protocol):
    """What one device sends, event by event."""

    @property
    def counters(self) -> StreamCounters:
        """The account so far."""
        ...


class SensorSource(EventSource, Protocol):
    """What reads a sensor. Iterating opens the port; each iteration begins with a Hello."""

    @property
    def port(self) -> str:
        """What is opened."""
        ...

    @property
    def hello(self) -> Hello | None:
        """What is known of the sensor, None before that."""
        ...

    @property
    def hint(self) -> str | None:
        """What came instead of a sensor's data and what to do about it, None where nothing is known."""
        ...

    def close(self) -> None:
        """Close the port. Iterating again opens it again."""
