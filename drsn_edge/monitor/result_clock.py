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
    """

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        """Begin with a running clock."""
        self.now_s = now_s
        self._at: Arrival | None = None
        self._suspended_s: float | None = None

    @property
    def at(self) -> Arrival | None:
        """The event whose results are taken now; None between slices."""
        return self._at

    @at.setter
    def at(self, arrival: Arrival | None) -> None:
        self._at = arrival
        if arrival is None:
            self._suspended_s = None  # the machine may be suspended before the next slice

    def time_s(self) -> float:
        """Return the time in seconds since 1970."""
        return self.now_s() if self._at is None else self._at.time_s

    def steady_s(self) -> float:
        """Return the same time by `steady_s`, for a sensor that is read now."""
        if self._at is None:
            return steady_s()
        if self._suspended_s is None:
            self._suspended_s = _suspended_s()
        return self._at.steady_s + self._suspended_s


def _suspended_s() -> float:
    """Return for how long this machine was suspended: `steady_s` counts that time, the clock of arrivals does not."""
    monotonic_s, boot_s = at_once(time.monotonic, steady_s)
    return boot_s - monotonic_s
