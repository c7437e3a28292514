"""The interface of all sources: events in order, and counters of received and lost data."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Protocol, runtime_checkable

from firmware_bridge.wire.events import SourceEvent
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.stream import StreamCounters


class EventSource(Iterable[SourceEvent], Protocol):
    """The events of one device, in order."""

    @property
    def counters(self) -> StreamCounters:
        """The counters so far."""
        ...


@runtime_checkable
class ReadSource(EventSource, Protocol):
    """A source that also hands out the events of each read together, which costs a reading thread less."""

    def reads(self) -> Generator[list[SourceEvent], None, None]:
        """Yield the events of each read, possibly none; then do the next read."""
        ...


def reads_of(source: EventSource) -> Iterator[list[SourceEvent]]:
    """Yield the events of each read; of a source without reads, each event by itself."""
    if isinstance(source, ReadSource):
        yield from source.reads()
    else:
        for event in source:
            yield [event]


class SensorSource(EventSource, Protocol):
    """A source that reads a sensor. Iterating opens the port; each iteration begins with a Hello."""

    @property
    def port(self) -> str:
        """The port that is opened."""
        ...

    @property
    def hello(self) -> Hello | None:
        """The description of the sensor; None until it is known."""
        ...

    @property
    def hint(self) -> str | None:
        """A sentence on foreign data that came instead of a sensor's, and what to do; None if nothing is known."""
        ...

    def close(self) -> None:
        """Close the port. Iterating again opens it again."""
