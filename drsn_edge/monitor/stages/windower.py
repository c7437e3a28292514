"""Blocks in, windows out, on a fixed grid of sample indices; every missing sample is marked."""

from __future__ import annotations

from typing import Any

import numpy as np

from drsn_edge.signal.windows import Window
from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.messages import Counts


class Windower:
    """Cuts windows of `window` samples every `hop` samples from blocks as they arrive.

    A gap of up to one window is stored as missing samples, which each window that it touches reports. A longer gap is
    not stored: one window stands for the lost samples, and the grid starts again after the gap. If a sensor dropped an
    unknown number of samples, the grid continues, and the windows across that seam report it.
    """

    def __init__(self, window: int, hop: int, sample_rate_hz: float) -> None:
        """Begin with an empty buffer; `sample_rate_hz` gives windows their times between the timestamps of blocks."""
        self._window = window
        self._hop = hop
        self._sample_rate_hz = sample_rate_hz
        self.reset()

    def reset(self) -> None:
        """Empty the buffer; the next block starts a new grid."""
        self._parts: list[Counts] = []  # joined when a window is complete, not at each block
        self._missing: list[tuple[int, int]] = []  # first and one past the last, relative to the first part
        self._seams: list[int] = []  # first sample after each seam, relative to the first part
        self._length = 0
        self._first_sample = 0
        self._skip = 0

    @property
    def samples_to_window(self) -> int:
        """Number of samples without a loss that complete the next window."""
        return self._skip + self._window - self._length

    def take(self, block: SampleBlock) -> list[Window]:
        """Take a block of a sensor and return the windows that it completes."""
        counts = block.samples
        length = self._length + len(counts)
        if self._skip < length < self._skip + self._window and self._parts and block.continues:
            self._parts.append(counts)
            self._length = length
            return []
        return self.add(block.first_sample, block.device_time_s, counts, block.lost_before, block.overrun)

    def add(
        self, first_sample: int, device_time_s: float, counts: Counts, lost_before: int, overrun: bool = False
    ) -> list[Window]:
        """Take one block and return the windows that it completes.

        Args:
            first_sample: Index of the block's first sample.
            device_time_s: Device time of that sample, in seconds.
            counts: Samples, shape (n, axes).
            lost_before: Number of samples missing since the last block.
            overrun: Whether that number is an estimate.
        """
        done: list[Window] = []
        if self._parts and lost_before > self._window:
            done.append(self._broken_window(device_time_s - (first_sample - self._first_sample) / self._sample_rate_hz,
                                            lost_before))  # fmt: skip
            self.reset()
        if not self._parts:
            self._first_sample = first_sample
            lost_before = 0
        elif overrun:
            self._seams.append(self._length + lost_before)
        self._append(counts, lost_before)
        return done + self._cut(first_sample, device_time_s)

    def _append(self, counts: Counts, lost_before: int) -> None:
        if lost_before:
            self._parts.append(np.zeros((lost_before, counts.shape[1]), counts.dtype))
            self._missing.append((self._length, self._length + lost_before))
        self._parts.append(counts)
        self._length += lost_before + len(counts)
        if self._skip >= self._length:  # the whole buffer lies between two windows
            self._drop(counts, self._length)

    def _drop(self, counts: Counts, used: int) -> None:
        """Drop `used` samples; `counts`, the last array, keeps the rest."""
        kept = self._length - used
        self._parts = [counts[len(counts) - kept :]]
        self._missing = [(max(first - used, 0), end - used) for first, end in self._missing if end > used]
        self._seams = [at - used for at in self._seams if at > used]
        self._first_sample += used
        self._skip -= used
        self._length = kept

    def _cut(self, stamped_sample: int, stamped_time_s: float) -> list[Window]:
        if self._skip + self._window > self._length:
            return []
        counts: Any = np.concatenate(self._parts)
        windows = []
        position = self._skip
        while position + self._window <= len(counts):
            first = self._first_sample + position
            chosen = slice(position, position + self._window)
            time_s = stamped_time_s + (first - stamped_sample) / self._sample_rate_hz
            lost = self._lost_between(position, position + self._window) if self._missing else 0
            has_seam = bool(self._seams) and any(position < at < position + self._window for at in self._seams)
            windows.append(Window(first, time_s, counts[chosen], lost, has_seam))
            position += self._hop
        self._skip = position
        self._drop(counts, min(position, len(counts)))
        return windows

    def _broken_window(self, time_s: float, lost: int) -> Window:
        last = self._parts[-1]
        counts = np.zeros((self._window, last.shape[1]), last.dtype)
        return Window(self._first_sample, time_s, counts, self._lost_between(0, self._length) + lost)

    def _lost_between(self, start: int, end: int) -> int:
        return sum(max(min(end, last) - max(start, first), 0) for first, last in self._missing)
