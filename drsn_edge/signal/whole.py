"""Checks of readings that need more than a window: a plateau that few windows show, wraps of any size, held values.

A recording shows its extremes many times, a window perhaps once. The checks are free of scale: a recording in g states
neither counts nor full scale, and 65536 counts may be 4 g.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.amplitude import LEAST_WINDOW, WHITE, errs, held_for, lines_of, step_of
from drsn_edge.signal.ordered import Ordered
from drsn_edge.signal.quality import MAX_CLIPPED_SHARE, piles_up
from drsn_edge.verdicts import CLIPPED, DROPOUTS, WRAPPED

Counts = NDArray[np.int32]

_MOST_HELD = 16_384
_APART = 0.1
"""Distance from an outermost value to the next one, as a share of the range of the others, above which the readings
drop to that value. Clipped readings lie close below it."""
_LEAST_AT_END = 3
_LEAST_STAY = 1.1
"""Fewest samples that values stay on average in a recording whose values are read again, but not each of them."""

_LEAP, _FAR = 0.75, 0.7
"""Smallest leap between two samples of a wrap, and smallest deviation from the prediction by both sides, as shares of
the range that wraps."""

_LEAST_STEPS, _FILLED = 64, 0.4
"""Fewest steps of a range that may wrap, because readings of a few levels leap by chance, and largest gap in it as a
share."""

_GAP, _LEAST_SIDE, _LEAST_CROSSINGS, _LOWEST = 0.5, 8, 8, 0.05
"""Readings without their sign: smallest gap between the two clusters as a share of the range, fewest values on each
side, fewest crossings of the gap, and highest lowest reading as a share of the lower cluster, which begins at 0."""


@dataclass(frozen=True)
class Whole:
    """All readings of a recording, or of a long piece of it.

    Attributes:
        counts: Readings, shape (n, axes).
    """

    counts: Counts

    def defect_of(self, start: int, stop: int) -> str | None:
        """Return why a window is damaged although its own readings may not show it; None if it is not."""
        window = self.counts[start:stop]
        for axis, readings in enumerate(window.T):
            if _crosses(readings, self._unsigned[axis]):
                return WRAPPED
            for end, reason in self._ends[axis].items():
                most = MAX_CLIPPED_SHARE * len(readings) if reason == CLIPPED else 0
                if np.count_nonzero(readings == end) > most:
                    return reason
            if self._wraps(axis, readings):
                return WRAPPED
        return None

    @property
    def held(self) -> float | None:
        """How many samples each value stays on average, if most of the samples repeat in a regular way; else None."""
        start = max(0, (len(self.counts) - _MOST_HELD) // 2)
        by_axis = np.ascontiguousarray(self.counts[start : start + _MOST_HELD].T)
        moving = by_axis[(by_axis != by_axis[:, :1]).any(axis=1)]
        if not len(moving):
            return None
        window = Ordered(moving, np.sort(moving, axis=1))
        stays = window.n / max(1, int(np.count_nonzero(window.differences.any(axis=0))))
        return held_for(window) or (stays if _LEAST_STAY <= stays < 2 else None)

    @cached_property
    def _sorted(self) -> Counts:
        return np.sort(self.counts, axis=0)

    @cached_property
    def _ends(self) -> list[dict[int, str]]:
        """Outermost values of each axis at which readings pile up, with the reason."""
        return [self._ends_of(axis) for axis in range(self.counts.shape[1])]

    def _ends_of(self, axis: int) -> dict[int, str]:
        ordered = self._sorted[:, axis]
        if len(ordered) < _LEAST_AT_END or ordered[0] == ordered[-1]:
            return {}
        from_ends = (ordered, ordered[::-1])
        piles = [int(each[0]) for each in from_ends if each[0] == each[_LEAST_AT_END - 1] and piles_up(each)]
        inside = ordered[(ordered != ordered[0]) & (ordered != ordered[-1])]
        if not len(inside):
            return dict.fromkeys(piles, CLIPPED)
        low, high = int(inside[0]), int(inside[-1])
        far = _APART * (high - low)
        return {end: DROPOUTS if max(low - end, end - high) > far else CLIPPED for end in piles}

    @cached_property
    def _spans(self) -> list[int]:
        """Range of each axis that would wrap, in counts; 0 where it has too few steps to tell."""
        spans = []
        for ordered in self._sorted.T:
            step = step_of(ordered[:: max(1, len(ordered) // _MOST_HELD)])
            span = int(ordered[-1]) - int(ordered[0]) + step
            is_filled = int(np.diff(ordered).max(initial=0)) < _FILLED * span  # a step of the offset leaves a gap
            spans.append(span if is_filled and span >= _LEAST_STEPS * step else 0)
        return spans

    def _wraps(self, axis: int, readings: Counts) -> bool:
        span = self._spans[axis]
        if not span or len(readings) < LEAST_WINDOW:
            return False
        if not (np.abs(np.diff(readings)) > _LEAP * span).any() or lines_of(readings) > WHITE * len(readings):
            return False
        return errs(readings, _FAR * span)

    @cached_property
    def _unsigned(self) -> list[int | None]:
        """Reading in the middle of the gap that lacking signs leave on each axis; None without such a gap."""
        return [self._gap_of(axis) for axis in range(self.counts.shape[1])]

    def _gap_of(self, axis: int) -> int | None:
        ordered = self._sorted[:, axis].astype(np.int64)
        if len(ordered) < 2:
            return None
        gaps = np.diff(ordered)
        at = int(gaps.argmax())
        if not 0 <= ordered[0] <= _LOWEST * ordered[at]:
            return None
        sides = min(len(np.unique(ordered[: at + 1])), len(np.unique(ordered[at + 1 :])))
        if gaps[at] < _GAP * int(ordered[-1]) or sides < _LEAST_SIDE:
            return None
        middle = int(ordered[at] + gaps[at] // 2)
        above = self.counts[:, axis] > middle
        return middle if np.count_nonzero(above[1:] != above[:-1]) >= _LEAST_CROSSINGS else None


def _crosses(readings: Counts, middle: int | None) -> bool:
    """Tell whether readings are on both sides of a gap."""
    return middle is not None and bool(readings.min() < middle < readings.max())
