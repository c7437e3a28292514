"""Damage in the windows of a recording, piece by piece, by the checks that the monitor makes of its readings."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.quality import defect_of_readings
from drsn_edge.signal.readings import counts_of, has_steps, steps_of

WINDOW = 1024
"""Samples of the windows that are checked: the default of `train`."""
_LEAST_WINDOW = 64
_EVERY_WINDOW, _THEN_EVERY = 4096, 8
"""The first windows are all checked. Of a longer recording, one of 8 is from there on: damage that matters lasts."""
NOT_A_NUMBER = "not a number"
"""Reason of a window with a value that is NaN or infinite."""


class Checking:
    """Takes the pieces of a recording in order, and counts windows and damage.

    Attributes:
        windows: Windows that were checked; a recording shorter than a window is one.
        damage: Number of damaged windows for each reason.
    """

    def __init__(self) -> None:
        """Begin."""
        self.windows = 0
        self.damage: Counter[str] = Counter()
        self._steps: list[float | None] | None = None
        self._has_steps: bool | None = None

    @property
    def has_steps(self) -> bool | None:
        """Whether the values of some axis lie on the grid of a converter; None before the first window."""
        return self._has_steps

    def take(self, piece: NDArray[np.float64]) -> None:
        """Take the next samples, shape (n, axes); the step of the converter is that of the first piece."""
        window = min(WINDOW, len(piece))
        if window < _LEAST_WINDOW:
            return
        sound: NDArray[np.bool_] = np.asarray(np.isfinite(piece).all(axis=1))
        samples = piece if sound.all() else np.where(sound[:, None], piece, 0.0)
        if self._steps is None:
            self._steps = steps_of(samples)
            self._has_steps = has_steps(samples, self._steps)
        counts = counts_of(samples, self._steps)
        every = window if self.windows < _EVERY_WINDOW else window * _THEN_EVERY
        for start in range(0, len(piece) - window + 1, every):
            self.windows += 1
            if not sound[start : start + window].all():
                self.damage[NOT_A_NUMBER] += 1
                continue
            reason = defect_of_readings(counts[start : start + window])
            if reason is not None:
                self.damage[reason] += 1
