"""Blocks in, windows out: on a fixed grid of sample indices, every missing sample marked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_bridge.messages import Counts


@dataclass(frozen=True)
class Window:
    """One window of raw samples.

    Attributes:
        first_sample: Index of its first sample in the sensor's session.
        device_time_s: Sensor's time of that sample.
        counts: Shape (window, axes); 0 where samples are missing.
        lost_samples: How many are missing. If it is not 0, the window must not be classified.
    """

    first_sample: int
    device_time_s: float
    counts: Counts
    lost_samples: int


class Windower:
    """Cuts windows of `window` samples every `hop` samples out of blocks as they come.

    A gap of up to one window is kept as missing samples, so that each window that it touches says so. A longer one is
    not stored: the grid begins again behind it, after one window that stands for what was lost.
    """

    def __init__(self, window: int, hop: int, sample_rate_hz: float) -> None:
        """Begin with an empty buffer; sample_rate_hz places windows in time between the stamps of blocks."""
        self._window = window
        self._hop = hop
        self._sample_rate_hz = sample_rate_hz
        self.reset()

    def reset(self) -> None:
        """Forget what is buffered: the next block begins a new grid."""
        self._counts: Counts | None = None
        self._missing = np.zeros(0, np.bool_)
        self._first_sample = 0
        self._skip = 0

    def add(self, first_sample: int, device_time_s: float, counts: Counts, lost_before: int) -> list[Window]:
        """Take in one block and return the windows that it completes.

        Args:
            first_sample: Index of the block's first sample.
            device_time_s: Its time.
            counts: Shape (n, axes).
            lost_before: Samples missing since the last block.
        """
        done: list[Window] = []
        if self._counts is not None and lost_before > self._window:
            done.append(self._broken_window(device_time_s - (first_sample - self._first_sample) / self._sample_rate_hz,
                                            lost_before))  # fmt: skip
            self.reset()
        if self._counts is None:
            self._counts, self._missing = counts[:0], np.zeros(0, np.bool_)
            self._first_sample = first_sample
            lost_before = 0
        self._append(counts, lost_before)
        return done + self._cut(first_sample, device_time_s)

    def _append(self, counts: Counts, lost_before: int) -> None:
        assert self._counts is not None
        gap = np.zeros((lost_before, counts.shape[1]), counts.dtype)
        self._counts = np.concatenate([self._counts, gap, counts])
        missing = np.repeat([True, False], [lost_before, len(counts)])
        self._missing = np.concatenate([self._missing, missing])

    def _cut(self, stamped_sample: int, stamped_time_s: float) -> list[Window]:
        assert self._counts is not None
        windows = []
        position = self._skip
        while position + self._window <= len(self._counts):
            first = self._first_sample + position
            chosen = slice(position, position + self._window)
            time_s = stamped_time_s + (first - stamped_sample) / self._sample_rate_hz
            lost = int(np.count_nonzero(self._missing[chosen]))
            windows.append(Window(first, time_s, self._counts[chosen], lost))
            position += self._hop
        used = min(position, len(self._counts))
        self._counts, self._missing = self._counts[used:], self._missing[used:]
        self._first_sample += used
        self._skip = position - used
        return windows

    def _broken_window(self, time_s: float, lost: int) -> Window:
        assert self._counts is not None
        counts = np.zeros((self._window, self._counts.shape[1]), self._counts.dtype)
        return Window(self._first_sample, time_s, counts, int(np.count_nonzero(self._missing)) + lost)
