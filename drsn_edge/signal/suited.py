"""Windows that suit learning: those of a running machine that do not jump. NumPy only.

Damaged windows have a reason of their own before (`drsn_edge.verdicts`). Two further kinds teach nothing about a
healthy machine in operation:

- **standing still**: windows more than 12 dB quieter than the median. The monitor calls a machine that is 12 dB quieter
  than the quietest learned window `not running`; if standing still were learned, that would never be said.
- **jumps**: windows more than 6 dB louder or quieter than the windows around them, such as a knock beside the machine
  or the moment of a start. One knock would raise the limit for all windows.

A machine that stands still for more than half of the time, and vibrates meanwhile by its neighbours, is not noticed.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from drsn_edge.signal.novelty import RUNNING_SHARE
from drsn_edge.signal.references import Heard
from drsn_edge.verdicts import NOT_RUNNING

JUMP = "level jumps"
"""Reason of a window that is far louder or quieter than those around it."""

_AROUND = 4
"""Windows on each side that a window is compared with."""

_JUMP_FACTOR = 2.0
STOOD = 8
"""Windows in a row below the level of a running machine from which on it stood still: 1.3 s with windows of 0.32 s."""

Flags = NDArray[np.bool_]


def unsuited(heard: Heard) -> dict[str, Flags]:
    """Return which windows do not suit learning, shape (n,), by reason; a window has at most one.

    Args:
        heard: Windows without damage, at least one.
    """
    return unsuited_levels(heard.levels, heard.stretches)


def unsuited_levels(levels: NDArray[np.float64], stretches: NDArray[np.intp]) -> dict[str, Flags]:
    """Return the same as `unsuited`, of windows whose level and stretch are known, shape (n,), n >= 1."""
    still = levels < RUNNING_SHARE * np.median(levels)
    ratios = levels / np.maximum(_medians_around(levels, stretches), np.finfo(np.float64).tiny)
    jumps = ~still & ((ratios > _JUMP_FACTOR) | (ratios < 1 / _JUMP_FACTOR))
    return {NOT_RUNNING: np.asarray(still), JUMP: np.asarray(jumps)}


def starts(stood: Flags) -> int:
    """Return how often a machine started: a window in which it ran after `STOOD` in a row in which it stood still."""
    if len(stood) <= STOOD:
        return 0
    rows = sliding_window_view(stood, STOOD + 1)
    return int((rows[:, :STOOD].all(axis=1) & ~rows[:, STOOD]).sum())


def _medians_around(levels: NDArray[np.float64], stretches: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the median level of each window and its neighbours in the same stretch, shape (n,)."""
    medians = np.empty(len(levels))
    for stretch in np.unique(stretches):
        own = np.flatnonzero(stretches == stretch)
        around = min(_AROUND, (len(own) - 1) // 2)
        padded = np.pad(levels[own], around, mode="reflect")
        medians[own] = np.median(sliding_window_view(padded, 2 * around + 1), axis=1)
    return medians
