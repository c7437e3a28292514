"""Coverage of one machine: the share of windows of a class, against its range in the inner folds.

A promise holds for conditions like those of the inner folds. Where far fewer windows are named than in any fold, the
machine runs in a condition that no fold had. The range lies between the means of whole folds, while a stretch of a
stream varies by chance, so that coverage is off only if it is further outside than chance explains.
"""

from __future__ import annotations

import math
from collections import deque

from drsn_edge.bundle.promise import RiskPoint
from drsn_edge.monitor.stages.results import Coverage, WindowResult
from drsn_edge.verdicts import Verdict

WINDOWS = 500
"""Judged windows that coverage is taken from, without a break in time or not."""

_DEVIATIONS = 3
"""Standard deviations of a share of independent windows outside the range from which coverage is off."""

_LEAST_WINDOWS = 5
"""Windows outside the range from which coverage is off, where the range ends at 0 or 1 and has no deviation."""


class CoverageWatch:
    """Tells when coverage leaves the range of the inner folds, and when it is within it again."""

    def __init__(self, point: RiskPoint | None) -> None:
        """Begin without windows; `point` is the promise that is kept, None if none is asked for."""
        self._point = point
        least, most = (0.0, 1.0) if point is None else (point.least_named, point.most_named)
        self._within = WINDOWS * least, WINDOWS * most
        self._off_below = WINDOWS * least - _margin(least)
        self._off_above = WINDOWS * most + _margin(most)
        self._recent: deque[bool] = deque(maxlen=WINDOWS)
        self._named = 0
        self.is_off = False
        """Whether coverage is off; set it to continue from another judge."""

    def take(self, result: WindowResult) -> Coverage | None:
        """Take one window; return the change if there is one."""
        if self._point is None:
            return self._changed(result) if self.is_off else None
        if result.verdict is Verdict.NO_VERDICT:
            return None
        if len(self._recent) == WINDOWS:
            self._named -= self._recent[0]
        self._recent.append(result.verdict is Verdict.CLASS)
        self._named += self._recent[-1]
        if len(self._recent) < WINDOWS:
            return None
        least, most = self._within
        is_off = not (
            least <= self._named <= most if self.is_off else self._off_below <= self._named <= self._off_above
        )
        return self._changed(result) if is_off is not self.is_off else None

    def _changed(self, result: WindowResult) -> Coverage:
        self.is_off = not self.is_off
        begin, point = (result.first_sample, result.device_time_s, self.is_off), self._point
        if point is None:
            return Coverage(*begin)
        return Coverage(*begin, self._named / WINDOWS, point.least_named, point.most_named, WINDOWS)


def _margin(share: float) -> float:
    """Return how many windows outside the range chance explains."""
    return max(_LEAST_WINDOWS, _DEVIATIONS * math.sqrt(WINDOWS * share * (1 - share)))
