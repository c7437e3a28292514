"""The present state of one machine, gathered from results for brokers and Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from drsn_edge.monitor.stages.results import Alarm, AlarmState, Coverage, Decision, Result, Severity, WindowResult
from drsn_edge.verdicts import NOT_YET

UNDECIDED = Decision(WindowResult.without_verdict(0, 0.0, NOT_YET), 0.0)


@dataclass(frozen=True)
class About:
    """Facts about a station that a sink may read at any time, in any thread.

    Attributes:
        alarms: Returns the names of all possible alarms.
        failing: Returns why each output cannot be written, None if it can.
        bundle: Returns name and version of the bundle in use.
    """

    alarms: Callable[[], tuple[str, ...]] = tuple
    failing: Callable[[], Mapping[str, str | None]] = dict
    bundle: Callable[[], tuple[str, str] | None] = lambda: None


NOTHING_KNOWN = About()
"""For a station about which nothing is known."""


@dataclass(frozen=True)
class AlarmRecord:
    """An alarm and its times in seconds since 1970; raising it again clears the earlier times.

    Attributes:
        state: Present state; CLEARED before it was ever raised.
        last: Last change; None before the first.
    """

    state: AlarmState = AlarmState.CLEARED
    raised_s: float | None = None
    acknowledged_s: float | None = None
    cleared_s: float | None = None
    last: Alarm | None = None

    def after(self, change: Alarm, now_s: float) -> AlarmRecord:
        """Return the record after a change."""
        if change.state is AlarmState.RAISED:
            return AlarmRecord(change.state, raised_s=now_s, last=change)
        if change.state is AlarmState.ACKNOWLEDGED:
            return replace(self, state=change.state, acknowledged_s=now_s, last=change)
        return replace(self, state=change.state, cleared_s=now_s, last=change)


@dataclass
class Present:
    """The present state of a machine; times are in seconds since 1970, and None before the first event.

    Attributes:
        decision: The last decision.
        decided_s: Time of the decision.
        judged_s: Time of the last judged window.
        measured_s: Time of the last window that showed the machine (`WindowResult.is_measured`); the decision is as
            fresh as this.
        novelty: Novelty of that window.
        severity: The last severity.
        alarms: Records of all possible alarms, by name.
        coverage_off: Whether coverage is off.
    """

    decision: Decision = UNDECIDED
    decided_s: float | None = None
    judged_s: float | None = None
    measured_s: float | None = None
    novelty: float | None = None
    severity: Severity | None = None
    alarms: dict[str, AlarmRecord] = field(default_factory=dict)
    coverage_off: bool = False

    def take(self, result: Result, now_s: float) -> None:
        """Take one result."""
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
        elif isinstance(result, Coverage):
            self.coverage_off = result.off

    def know(self, names: Iterable[str]) -> tuple[list[str], list[str]]:
        """Update the possible alarms after the start or a new bundle; return the new ones and the removed ones."""
        known = dict.fromkeys(names)
        new, gone = (
            [each for each in known if each not in self.alarms],
            [each for each in self.alarms if each not in known],
        )
        self.alarms.update({each: AlarmRecord() for each in new})
        for each in gone:
            del self.alarms[each]
        return new, gone
