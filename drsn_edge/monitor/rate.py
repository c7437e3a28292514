"""The sample rate of late."""

from __future__ import annotations

from collections import deque

HORIZON_S = 2.0
MIN_SPAN_S = 1.0
MIN_BLOCKS = 8


class RecentRate:
    """Samples per second of device time over the last `HORIZON_S`.

    It asks whether the windows of now may be judged. The fit over a whole session (`firmware_bridge.clock.ClockFit`) is
    more exact, and would need minutes to show that a sensor has silently changed its rate after hours.
    """

    def __init__(self) -> None:
        """Begin without a rate."""
        self._stamps: deque[tuple[int, float]] = deque()

    def reset(self) -> None:
        """Forget everything: index and time begin again."""
        self._stamps.clear()

    def add(self, first_sample: int, device_time_s: float) -> None:
        """Take in the first sample of a block and its time."""
        self._stamps.append((first_sample, device_time_s))
        while len(self._stamps) > MIN_BLOCKS and device_time_s - self._stamps[1][1] >= HORIZON_S:
            self._stamps.popleft()

    @property
    def sample_rate_hz(self) -> float | None:
        """The rate, None before there are `MIN_BLOCKS` blocks over `MIN_SPAN_S`."""
        if len(self._stamps) < MIN_BLOCKS:
            return None
        (first_sample, first_s), (last_sample, last_s) = self._stamps[0], self._stamps[-1]
        if last_s - first_s < MIN_SPAN_S:
            return None
        return (last_sample - first_sample) / (last_s - first_s)
