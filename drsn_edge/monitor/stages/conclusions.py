"""The decision and the alarms that follow from the windows of one judge."""

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
    """The decision and the alarms that outputs know, for another judge to continue with.

    Attributes:
        decision: The present decision (`WindowResult.state`); None without one.
        alarms: The raised alarms; None without alarms in the settings.
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
        """Names of the possible alarms."""

    @property
    def raised(self) -> tuple[str, ...]:
        """The alarms that are raised."""
        return () if self._alarms is None else self._alarms.raised

    @property
    def label(self) -> str | None:
        """The class that the decision names; None if it names none."""
        return self._decider.label

    def has_verdict(self) -> bool:
        """Return whether the decision names a class or UNKNOWN."""
        return self._decider.has_verdict

    @property
    def standing(self) -> Standing:
        """The present decision and alarms."""
        return Standing(self._decider.current, None if self._alarms is None else self._alarms.standing)

    def take_over(self, standing: Standing) -> None:
        """Continue with the decision and alarms of another judge; votes and evidence start again."""
        self._decider.current = standing.decision
        if self._alarms is not None and standing.alarms is not None:
            self._alarms.take_over(standing.alarms)

    def take(self, result: WindowResult) -> list[Decision | Alarm]:
        """Take one window; return the changes."""
        decision = self._decider.add(result)
        alarms = [] if self._alarms is None else self._alarms.take(result)
        return [*alarms] if decision is None else [decision, *alarms]

    def withdraw(self, why: Withdrawal) -> list[Decision]:
        """Withdraw the decision at once, without a window and without votes; return the changes."""
        self._interrupt_alarms()
        result = WindowResult.without_verdict(why.first_sample, why.device_time_s, why.reason)
        decision = self._decider.force(result)
        return [decision] if decision else []

    def restart(self) -> None:
        """Forget all windows after a restart of the sensor; decision and alarms stay."""
        self._decider.forget_votes()
        self._interrupt_alarms()

    def acknowledge(self, only: str | None) -> list[Alarm]:
        """Acknowledge all raised alarms, or one; return the changes."""
        return [] if self._alarms is None else self._alarms.acknowledge(only)

    def _interrupt_alarms(self) -> None:
        if self._alarms is not None:
            self._alarms.interrupt()
