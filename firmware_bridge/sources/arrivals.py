"""Events with the times at which they came, and slices: the events of a short time, which are handled together."""

from __future__ import annotations

from typing import NamedTuple

from firmware_bridge.wire.events import SourceEvent

LONGEST_SLICE_S = 1.0
"""Longest time in seconds that the events of one slice span while more wait than one latency brings, live after a stall
or in a replay without pauses. It bounds memory, and the time until the consumer looks for requests of people. A longer
latency makes it longer."""

MOST_TOGETHER = 2000
"""Most items of one slice: five seconds of a fast sensor. It bounds memory where many have the same time, such as those
of a sensor that sends at once what it has kept for hours."""


class Arrival(NamedTuple):
    """An event and when its bytes came.

    Attributes:
        event: The event.
        steady_s: Time by a clock that is never set, in seconds.
        time_s: Time in seconds since 1970.
    """

    event: SourceEvent
    steady_s: float
    time_s: float


class BytesRead(NamedTuple):
    """Bytes that a source read, before the events in them.

    Attributes:
        data: The bytes; empty if none came.
        time_ns: Time in nanoseconds since 1970.
    """

    data: bytes
    time_ns: int
