"""What the sources have in common: events in their order, and the account of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from firmware_bridge.wire.events import SourceEvent
from firmware_bridge.wire.stream import StreamCounters


class EventSource(Iterable[SourceEvent], Protocol):
    """What one device sends, event by event."""

    @property
    def counters(self) -> StreamCounters:
        """The account so far."""
        ...
