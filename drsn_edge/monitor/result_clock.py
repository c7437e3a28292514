"""The time of the result that the outputs take: when its samples came, not when their slice was judged."""

from __future__ import annotations

import time
from collections.abc import Callable

from drsn_edge.monitor.sinks.clock_watch import at_once, steady_s
from firmware_bridge.sources.arrivals import Arrival


class ResultClock:
    """A clock that stands at the arrival of an event while its results are taken, and runs otherwise.

    Attributes:
        now_s: The running clock, in seconds since 1970.
        at: The event whose results are taken now; None between events.
    """

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        """Begin with a running clock."""
        self.now_s = now_s
        self.at: Arrival | None = None

    def time_s(self) -> float:
        """Return the time in seconds since 1970."""
        return self.now_s() if self.at is None else self.at.time_s

    def steady_s(self) -> float:
        """Return the same time by `steady_s`, for a sensor that is read now."""
        at = self.at
        return steady_s() if at is None else at.steady_s + _suspended_s()


def _suspended_s() -> float:
    """Return for how long this machine was suspended: `steady_s` counts that time, the clock of arrivals does not."""
    monotonic_s, boot_s = at_once(time.monotonic, steady_s)
    return boot_s - monotonic_s
