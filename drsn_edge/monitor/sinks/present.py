"""What holds now of one machine, gathered from results: what brokers and Prometheus are told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from drsn_edge.monitor.stages.results import Alarm, AlarmState, Decision, Result, Severity, WindowResult
from drsn_edge.verdicts import NOT_YET

UNDECIDED = Decision(WindowResult.without_verdict(0, 0.0, NOT_YET), 0.0)


@dataclass(frozen=True)
class About:
    """What a sink may ask of a station, at any time and by any thread.

    Attributes:
        alarms: Names of all alarms that can be.
        failing: Why each output cannot be written, None where it can.
        bundle: Name and version of what runs.
    """

    alarms: Callable[[], tuple[str, ...]] = tuple
    failing: Callable[[], Mapping[str, str | None]] = dict
    bundle: Callable[[], tuple[str, str] | None] = lambda: None


NOTHING_KNOWN = About()
"""Of a station that says nothing of itself."""


@dataclass(frozen=True)
class AlarmRecord:
    """An alarm and its times, seconds since 1970; those of an earlier time that it was raised go when it is raised.

    Attributes:
        state: CLEARED of one that never was raised.
        last: Its last change, None before there is one.
    """

    state: AlarmState = AlarmState.CLEARED
    raised_s: float | None = None
    acknowledged_s: float | None = None
    cleared_s: float | None = None
    last: Alarm | None = None

    def after(self, change: Alarm, now_s: float) -> AlarmRecord:
        """Return what it is after a change."""
        if change.state is AlarmState.RAISED:
            return AlarmRecord(change.state, raised_s=now_s, last=change)
        if change.state is AlarmState.ACKNOWLEDGED:
            return replace(self, state=change.state, acknowledged_s=now_s, last=change)
        return replace(self, state=change.state, cleared_s=now_s, last=change)


@dataclass
class Present:
    """What holds now.

    Attributes:
        decision: The last one.
        decided_s: When it was made, seconds since 1970; None before there is one.
        judged_s: When the last window was judged, likewise.
        measured_s: When a window last showed the machine (`WindowResult.is_measured`): how fresh the decision is.
        novelty: Of that window.
        severity: The last one.
        alarms: Every alarm that can be.
    """

    decision: Decision = UNDECIDED
    decided_s: float | None = None
    judged_s: float | None = None
    measured_s: float | None = None
    novelty: float | None = None
    severity: Severity | None = None
    alarms: dict[str, AlarmRecord] = field(default_factory=dict)

    def take(self, result: Result, now_s: float) -> None:
        """Take in one result."""
        if isinstance(result, WindowResult):
            self.judged_s = now_s
            if result.is_measured:
                self.measured_s, self.novelty = now_s, result.novelty
        elif isinstance(result, Decision):
            self.decision, self.decided_s = result, now_s
        elif isinstance(result, Severity):
            self.severity = result
        elif isinstance(result, Alarm):
            self.alarms[result.name] = self.alarms.get(result.name, AlarmRecord()).after(result, now_s)

    def know(self, names: Iterable[str]) -> tuple[list[str], list[str]]:
        """Learn which alarms can be, after the start or another bundle; return those that are new and those that go."""
        known = dict.fromkeys(names)
        new, gone = (
            [each for each in known if each not in self.alarms],
            [each for each in self.alarms if each not in known],
        )
        self.alarms.update({each: AlarmRecord() for each in new})
        for each in gone:
            del self.alarms[each]
        return new, gone
