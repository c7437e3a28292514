"""Results that wait to be written to a history: decisions, alarms, and the verdicts of each minute."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

from drsn_edge.monitor.sinks.clock_watch import Jump
from drsn_edge.monitor.stages.results import Alarm, Decision, Result, Severity, Summary, WindowResult
from drsn_edge.monitor.stages.words import Said, said_by

_MOST_WAITING = 10_000
MOST_JUMPS = 10_000
_LARGEST = 2**63 - 1


@dataclass
class MinuteOfWindows:
    """The unwritten windows of one minute and one verdict, as the columns of the file in order."""

    windows: int = 0
    lost_samples: int = 0
    score_sum: float = 0.0
    novelty_sum: float = 0.0

    def add(self, said: Said, lost_samples: int) -> None:
        """Count a window."""
        self.windows += 1
        self.lost_samples = min(self.lost_samples + lost_samples, _LARGEST)
        self.score_sum += _number(said.score) or 0.0
        self.novelty_sum += _number(said.novelty) or 0.0


Peaks = tuple[float | None, float | None, float | None, float | None]
"""The largest velocity, acceleration RMS, acceleration peak and kurtosis of a minute, for trends."""


class Waiting:
    """Waiting results of one machine in bounded memory; beyond the limit the oldest are dropped and counted."""

    def __init__(self, machine: str) -> None:
        """Begin empty."""
        self._machine = machine
        self.decisions: deque[tuple[Any, ...]] = deque()
        """Rows of the table `decisions` without the run; `alarms` holds those of the table `alarms`."""
        self.alarms: deque[tuple[Any, ...]] = deque()
        self.minutes: dict[tuple[int, str, str], MinuteOfWindows] = {}
        """Counts by minute, verdict, and class or reason."""
        self.severities: dict[int, Peaks] = {}
        self.jumps: deque[Jump] = deque(maxlen=MOST_JUMPS)
        self.summary: Summary | None = None
        self.dropped = 0
        """Number of windows, decisions and others that did not fit into memory, or can never be stored."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        rows = self.decisions or self.alarms or self.severities or self.minutes or self.jumps
        return not (rows or self.summary)

    @property
    def windows(self) -> int:
        """Number of waiting windows."""
        return sum(minute.windows for minute in self.minutes.values())

    def take(self, result: Result, now_s: float) -> None:
        """Keep one result of the time `now_s`, in seconds since 1970."""
        if isinstance(result, WindowResult):
            self._count(said_by(result), result.lost_samples, int(now_s // 60))
        elif isinstance(result, Severity):
            self._measure(result, int(now_s // 60))
        elif isinstance(result, Decision):
            said = said_by(result.window)
            named = said.verdict, said.label, said.reason
            numbers = _number(said.score), _number(said.novelty)
            self._append(self.decisions, (now_s, self._machine, *named, *numbers, said.nearest, said.second))
        elif isinstance(result, Alarm):
            self._append(self.alarms, (now_s, self._machine, result.name, result.state.value, result.capture))
        elif isinstance(result, Summary):
            self.summary = result

    def clear(self) -> None:
        """Empty everything, after it was written."""
        for waiting in (self.decisions, self.alarms, self.minutes, self.severities, self.jumps):
            waiting.clear()
        self.summary = None

    def _append(self, waiting: deque[tuple[Any, ...]], row: tuple[Any, ...]) -> None:
        if len(waiting) >= _MOST_WAITING:
            waiting.popleft()
            self.dropped += 1
        waiting.append(row)

    def _count(self, said: Said, lost_samples: int, minute: int) -> None:
        key = (minute, said.verdict, said.detail)
        counted = self.minutes.get(key)
        if counted is None:
            if len(self.minutes) >= _MOST_WAITING:
                self.dropped += self.minutes.pop(next(iter(self.minutes))).windows
            counted = self.minutes[key] = MinuteOfWindows()
        counted.add(said, lost_samples)

    def _measure(self, severity: Severity, minute: int) -> None:
        measured = (
            _number(severity.velocity_rms_mm_s), _number(severity.acceleration_rms),
            _number(severity.acceleration_peak), _number(severity.kurtosis),
        )  # fmt: skip
        if minute not in self.severities and len(self.severities) >= _MOST_WAITING:
            self.dropped += 1
            del self.severities[next(iter(self.severities))]
        before = self.severities.get(minute, measured)
        self.severities[minute] = tuple(map(_larger, before, measured))  # type: ignore[assignment]


def _number(value: float | None) -> float | None:
    """Return a value for the file; None for a value that is not a finite number."""
    try:
        return None if value is None or not math.isfinite(value) else float(value)
    except OverflowError:
        return None


def _larger(one: float | None, other: float | None) -> float | None:
    return max((each for each in (one, other) if each is not None), default=None)
