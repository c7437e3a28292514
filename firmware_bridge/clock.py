"""The true sample rate of a sensor, from its own clock."""

from __future__ import annotations


class ClockFit:
    """Least-squares line of sample index over device time, updated block by block in constant memory.

    The sums are kept about the running mean (Welford's update), so that they stay exact to double precision
    over days, where sums of raw squares would cancel. A nominal rate is off by up to a few percent, and every
    fault frequency moves with it. Call `reset` when the device restarts: index and time then begin again.
    """

    def __init__(self, min_points: int = 8, min_span_s: float = 1.0) -> None:
        """Ask for at least `min_points` blocks over `min_span_s` seconds before giving a rate."""
        self._min_points = max(2, min_points)
        self._min_span_s = min_span_s
        self.reset()

    def reset(self) -> None:
        """Forget everything seen."""
        self._origin: tuple[int, float] | None = None
        self._points = 0
        self._mean_time = self._mean_index = 0.0
        self._time_time = self._time_index = 0.0
        self._span_s = 0.0

    def add(self, sample_index: int, device_time_s: float) -> None:
        """Take in that sample `sample_index` was taken at `device_time_s`, e.g. the first one of each block."""
        if self._origin is None:
            self._origin = (sample_index, device_time_s)
        # Counting from the first point keeps a large index (joined after days) from eating the precision.
        index = float(sample_index - self._origin[0])
        time_s = self._span_s = device_time_s - self._origin[1]
        self._points += 1
        time_step = time_s - self._mean_time
        self._mean_time += time_step / self._points
        self._mean_index += (index - self._mean_index) / self._points
        self._time_time += time_step * (time_s - self._mean_time)
        self._time_index += time_step * (index - self._mean_index)

    @property
    def sample_rate_hz(self) -> float | None:
        """Samples per second of device time, or None until enough was seen."""
        if self._points < self._min_points or self._span_s < self._min_span_s or self._time_time <= 0.0:
            return None
        return self._time_index / self._time_time
