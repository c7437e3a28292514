"""What follows from the windows of one judge: the decision and the alarms."""

from __future__ import annotations

from dataclasses import dataclass

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.monitor.stages.alarms import Alarms, RaisedAlarms, alarm_names
from drsn_edge.monitor.stages.decision import Decider
from drsn_edge.monitor.stages.freshness import Withdrawal
from drsn_edge.monitor.stages.results import Alarm, Decision, WindowResult
from drsn_edge.monitor.stages.settings import MonitorSettings
from drsn_edge.verdicts import Verdict


@dataclass(frozen=True)
class Standing:
    """What outputs were told and still know, for another judge to go on with.

    Attributes:
        decision: The decision that stands (`WindowResult.state`), None without one.
        alarms: Those that are raised, None where there are no alarms.
    """

    decision: tuple[Verdict, str | None] | None = None
    alarms: RaisedAlarms | None = None


class Conclusions:
    """Turns window results into decisions and alarms."""

    def __init__(self, settings: MonitorSettings, manifest: Manifest) -> None:
        """Begin without a decision and without alarms."""
        self._decider = Decider(settings.votes)
        alarms, labels = settings.alarms, manifest.labels
        self._alarms = None if alarms is None else Alarms(alarms, labels, manifest.contract.hop_s)
        self.alarm_names = () if alarms is None else alarm_names(alarms, labels)
        """What can be an alarm."""

    @property
    def raised(self) -> tuple[str, ...]:
        """The alarms that are raised."""
        return () if self._alarms is None else self._alarms.raised

    @property
    def label(self) -> str | None:
        """The class that the decision names, None where it names none."""
        return self._decider.label

    def has_verdict(self) -> bool:
        """Return whether the decision names a class or UNKNOWN."""
        return self._decider.has_verdict

    @property
    def standing(self) -> Standing:
        """What was said and still stands."""
        return Standing(self._decider.current, None if self._alarms is None else self._alarms.standing)

    def take_over(self, standing: Standing) -> None:
        """Go on with what another judge has said; votes and evidence begin anew."""
        self._decider.current = standing.decision
        if self._alarms is not None and standing.alarms is not None:
            self._alarms.take_over(standing.alarms)

    def take(self, result: WindowResult) -> list[Decision | Alarm]:
        """Take in one window; return what changes."""
        decision = self._decider.add(result)
        alarms = [] if self._alarms is None else self._alarms.take(result)
        return [*alarms] if decision is None else [decision, *alarms]

    def withdraw(self, why: Withdrawal) -> list[Decision]:
        """Give up the decision at once, without a window and without votes; return what changes."""
        self._interrupt_alarms()
        result = WindowResult.without_verdict(why.first_sample, why.device_time_s, why.reason)
        decision = self._decider.force(result)
        return [decision] if decision else []

    def restart(self) -> None:
        """The sensor began anew: no window so far counts any more, decision and alarms stand."""
        self._decider.forget_votes()
        self._interrupt_alarms()

    def acknowledge(self, only: str | None) -> list[Alarm]:
        """A person has seen all alarms that are raised, or only that one; return what changes."""
        return [] if self._alarms is None else self._alarms.acknowledge(only)

    def _interrupt_alarms(self) -> None:
        if self._alarms is not None:
            self._alarms.interrupt()
