"""The time of the result that the outputs take: when its samples came, not when their slice was judged."""

from __future__ import annotations

import time
from collections.abc import Callable

from drsn_edge.monitor.sinks.clock_watch import steady_s
from firmware_bridge.sources.arrivals import Arrival


class ResultClock:
    """A clock that stands at the arrival of an event while its results are taken, and runs otherwise.

    Attributes:
        at: The event whose results are taken now; None between events.
    """

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        """Begin with a running clock `now_s`, in seconds since 1970."""
        self._now_s = now_s
        self.at: Arrival | None = None

    def time_s(self) -> float:
        """Return the time in seconds since 1970."""
        return self._now_s() if self.at is None else self.at.time_s

    def steady_s(self) -> float:
        """Return the same time by `steady_s`, for a sensor that is read now."""
        return steady_s() - (0.0 if self.at is None else time.monotonic() - self.at.steady_s)
