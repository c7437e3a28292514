"""The decision, the alarms and the coverage that follow from the windows of one judge."""

from __future__ import annotations

from dataclasses import dataclass

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.monitor.stages.abstention import point_for
from drsn_edge.monitor.stages.alarms import Alarms, RaisedAlarms, alarm_names
from drsn_edge.monitor.stages.coverage import CoverageWatch
from drsn_edge.monitor.stages.decision import Decider
from drsn_edge.monitor.stages.freshness import Withdrawal
from drsn_edge.monitor.stages.results import Alarm, Coverage, Decision, WindowResult
from drsn_edge.monitor.stages.settings import MonitorSettings
from drsn_edge.verdicts import Verdict


@dataclass(frozen=True)
class Standing:
    """What outputs know of decision, alarms and coverage, for another judge to continue with.

    Attributes:
        decision: The present decision (`WindowResult.state`); None without one.
        alarms: The raised alarms; None without alarms in the settings.
        coverage_off: Whether coverage is off.
    """

    decision: tuple[Verdict, str | None] | None = None
    alarms: RaisedAlarms | None = None
    coverage_off: bool = False


class Conclusions:
    """Turns window results into decisions, alarms and changes of coverage."""

    def __init__(self, settings: MonitorSettings, manifest: Manifest) -> None:
        """Begin without a decision and without alarms.

        Raises:
            SettingsError: If the bundle cannot promise the asked share of wrong classes.
        """
        self.promised = point_for(manifest, settings.at_most_wrong)
        """The promise that is kept; None: none is asked for."""
        self._coverage = CoverageWatch(self.promised)
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
    def coverage_off(self) -> bool:
        """Whether coverage is off."""
        return self._coverage.is_off

    @property
    def label(self) -> str | None:
        """The class that the decision names; None if it names none."""
        return self._decider.label

    def has_verdict(self) -> bool:
        """Return whether the decision is not NO_VERDICT."""
        return self._decider.has_verdict

    @property
    def standing(self) -> Standing:
        """What outputs know at present."""
        alarms = None if self._alarms is None else self._alarms.standing
        return Standing(self._decider.current, alarms, self._coverage.is_off)

    def take_over(self, standing: Standing) -> None:
        """Continue with what outputs know of another judge; votes, evidence and coverage start again."""
        self._decider.current, self._coverage.is_off = standing.decision, standing.coverage_off
        if self._alarms is not None and standing.alarms is not None:
            self._alarms.take_over(standing.alarms)

    def take(self, result: WindowResult) -> list[Decision | Alarm | Coverage]:
        """Take one window; return the changes."""
        decision, coverage = self._decider.add(result), self._coverage.take(result)
        alarms = [] if self._alarms is None else self._alarms.take(result)
        return [each for each in (decision, *alarms, coverage) if each is not None]

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
