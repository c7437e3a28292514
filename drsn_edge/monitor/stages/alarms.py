"""Alarms from verdicts: evidence over several windows, limits and delays for on and off, latch, acknowledge, inhibit.

A decision tells what the present windows show. An alarm tells that a person should come. Two pure stages make it:

    windows -> Evidence (one value per alarm, 0 to 1) -> AlarmStates (raised, acknowledged, cleared)

Time is judged time: each window of a class or UNKNOWN counts as one hop. A damaged signal neither raises nor clears an
alarm, a window that is UNSURE neither does, and a machine that stands still keeps its alarms.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from drsn_edge.monitor.stages.results import Alarm, AlarmState, WindowResult
from drsn_edge.verdicts import NOT_RUNNING, Verdict

UNKNOWN = Verdict.UNKNOWN.value
EVIDENCE = ("mean", "votes")
_STEADY_WINDOWS = 8
_FULL = 1 - 1e-9  # sums of rounded probabilities must also reach an evidence of 1


@dataclass(frozen=True)
class AlarmLimits:
    """Conditions under which an alarm begins and ends.

    Attributes:
        on: Evidence at or above which an alarm is pending, 0 to 1.
        off: Evidence below which a raised alarm is ending, above 0 and at most `on`.
        on_delay_s: Seconds for which the evidence must stay at `on` or above before the alarm is raised. Only judged
            windows count.
        off_delay_s: Seconds for which the evidence must stay below `off` before the alarm is cleared. Only judged
            windows count.
        latch: Whether the alarm stays raised after its cause has gone, until it is acknowledged.
    """

    on: float = 0.7
    off: float = 0.4
    on_delay_s: float = 5.0
    off_delay_s: float = 30.0
    latch: bool = False


@dataclass(frozen=True)
class AlarmSettings:
    """Settings of alarms.

    Attributes:
        normal: Classes that raise no alarm. Every other class raises one, and so does UNKNOWN.
        evidence: `mean`: mean probability of the class over the last windows; `votes`: share of these windows that
            name the class. A window that is UNKNOWN counts for UNKNOWN alone, and one that is UNSURE does not count. A
            bundle without a network has no probabilities: both then count windows.
        windows: Number of windows that the evidence is taken from, at least 1.
        inhibit_after_start_s: Seconds in which windows do not count, at the beginning and after a standstill.
        inhibit_level_change: Relative change of the vibration level, at or above which windows do not count because
            the speed or the load is changing, such as 0.3 for 30 %. Left out: windows count whatever the level does.
        inhibit_s: Seconds after a change of `inhibit_level_change` in which windows do not count.
        limits: Limits of the alarms that have none of their own.
        classes: Limits of single classes, or of UNKNOWN.
    """

    normal: tuple[str, ...]
    evidence: str = "mean"
    windows: int = 10
    inhibit_after_start_s: float = 0.0
    inhibit_level_change: float | None = None
    inhibit_s: float = 10.0
    limits: AlarmLimits = AlarmLimits()
    classes: Mapping[str, AlarmLimits] = field(default_factory=dict)

    def limits_of(self, name: str) -> AlarmLimits:
        """Return the limits of an alarm."""
        return self.classes.get(name, self.limits)


def alarm_names(settings: AlarmSettings, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the possible alarms of a model with these labels."""
    return tuple(name for name in (*labels, UNKNOWN) if name not in settings.normal)


class Evidence:
    """Gathers the evidence of the last windows: 0 to 1 for each alarm."""

    def __init__(self, settings: AlarmSettings, labels: Sequence[str], hop_s: float) -> None:
        """Begin without windows.

        Args:
            settings: Settings of alarms.
            labels: Labels of the model.
            hop_s: Time from one window to the next, in seconds.
        """
        self._settings, self._hop_s = settings, hop_s
        self._names = alarm_names(settings, labels)
        self._recent: deque[NDArray[np.float64]] = deque(maxlen=settings.windows)
        self._sum = np.zeros(len(self._names))
        self._levels: deque[float] = deque(maxlen=2 * _STEADY_WINDOWS)
        self._inhibited_s = settings.inhibit_after_start_s
        self._silent = 0
        """Windows without a verdict since the last one with a verdict."""
        self._apart = 0
        """Windows since the last one that counts."""

    def add(self, result: WindowResult) -> NDArray[np.float64] | None:
        """Take a window; return the evidence, shape (alarms,), or None.

        It is None if the window does not count, and until there are enough windows.
        """
        if result.verdict is Verdict.NO_VERDICT:
            self._skip(result)
            return None
        self._silent = 0
        if result.level_rms is not None and self._changes(result.level_rms):
            self._inhibited_s = max(self._inhibited_s, self._settings.inhibit_s)
        if self._inhibited_s > 0:
            self._inhibited_s -= self._hop_s
            self._forget()
            return None
        if result.verdict is Verdict.UNSURE:
            self._age()
            return None
        self._apart = 0
        self._push(self._said(result))
        if len(self._recent) < self._settings.windows:
            return None
        return np.clip(self._sum / self._settings.windows, 0.0, 1.0)

    def forget(self) -> None:
        """Forget all windows, after a lost link or a restart of the sensor."""
        self._forget()
        self._levels.clear()

    def _skip(self, result: WindowResult) -> None:
        self._silent += 1
        self._age()
        if result.reason == NOT_RUNNING:
            self._inhibited_s = self._settings.inhibit_after_start_s
            self.forget()
        elif self._silent > self._settings.windows:
            self._levels.clear()

    def _age(self) -> None:
        """Count a window that does not count; the windows before become too old after as many as `windows`."""
        self._apart += 1
        if self._apart > self._settings.windows:
            self._forget()

    def _changes(self, level: float) -> bool:
        """Tell whether the speed or the load of the machine changes, by its vibration level."""
        share = self._settings.inhibit_level_change
        if share is None:
            return False
        self._levels.append(level)
        if len(self._levels) < 2 * _STEADY_WINDOWS:
            return False
        levels = list(self._levels)
        before, after = median(levels[:_STEADY_WINDOWS]), median(levels[_STEADY_WINDOWS:])
        return max(before, after) > (1 + share) * min(before, after)

    def _said(self, result: WindowResult) -> NDArray[np.float64]:
        if self._settings.evidence == "votes" or result.verdict is Verdict.UNKNOWN or result.scores is None:
            said = result.label if result.verdict is Verdict.CLASS else UNKNOWN
            return np.array([float(name == said) for name in self._names])
        scores = result.scores
        return np.array([scores.get(name, 0.0) for name in self._names])

    def _push(self, said: NDArray[np.float64]) -> None:
        if len(self._recent) == self._recent.maxlen:
            self._sum -= self._recent[0]
        self._recent.append(said)
        self._sum += said

    def _forget(self) -> None:
        self._recent.clear()
        self._sum[:] = 0.0


@dataclass
class AlarmStanding:
    """State of one alarm. Windows are counted without a break."""

    raised: bool = False
    acknowledged: bool = False
    gone: bool = False  # whether the cause is gone while the alarm is latched
    since: float = 0.0
    windows_on: int = 0
    windows_off: int = 0


@dataclass(frozen=True)
class RaisedAlarms:
    """The raised alarms, for another judge to continue with.

    Attributes:
        standing: State of each, by name.
        last: The last window that counted; None: none did.
    """

    standing: Mapping[str, AlarmStanding]
    last: WindowResult | None


class AlarmStates:
    """Turns evidence into alarms that begin and end; a pure state machine."""

    def __init__(self, settings: AlarmSettings, labels: Sequence[str], hop_s: float) -> None:
        """Begin without alarms; arguments as in `Evidence`."""
        self._hop_s = hop_s
        names = alarm_names(settings, labels)
        self._limits = [settings.limits_of(name) for name in names]
        self._states = {name: AlarmStanding() for name in names}
        self._evidence = np.zeros(len(names))
        self._last: WindowResult | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no alarm is raised or pending, so that evidence below every `on` changes nothing."""
        return not any(state.raised or state.windows_on for state in self._states.values())

    @property
    def raised(self) -> tuple[str, ...]:
        """The alarms that are raised, latched ones included."""
        return tuple(name for name, state in self._states.items() if state.raised)

    def add(self, result: WindowResult, evidence: NDArray[np.float64]) -> list[Alarm]:
        """Take a window that counts and the evidence after it; return the alarms that change."""
        self._evidence, self._last = evidence, result
        changed = []
        for (name, state), limits, value in zip(self._states.items(), self._limits, evidence.tolist(), strict=True):
            after = self._lower(state, limits, value) if state.raised else self._rise(state, limits, value, result)
            if after is not None:
                changed.append(self._alarm(name, after))
        return changed

    @property
    def standing(self) -> RaisedAlarms:
        """The raised alarms with their states."""
        return RaisedAlarms({name: replace(self._states[name]) for name in self.raised}, self._last)

    def take_over(self, raised: RaisedAlarms) -> None:
        """Continue with the alarms that another judge has raised, as far as they are possible here."""
        for name, state in raised.standing.items():
            if name in self._states:
                self._states[name] = replace(state, windows_off=0)
        self._last = raised.last

    def interrupt(self) -> None:
        """Start every delay again, since the next window does not follow the last one."""
        for state in self._states.values():
            state.windows_on = state.windows_off = 0

    def acknowledge(self, only: str | None = None) -> list[Alarm]:
        """Acknowledge all raised alarms, or one; return the changes.

        A latched alarm whose cause is gone is cleared.
        """
        changed = []
        for name, state in self._states.items():
            if only in (None, name) and state.raised and not state.acknowledged:
                state.acknowledged = True
                changed.append(self._alarm(name, AlarmState.ACKNOWLEDGED))
                if state.gone:
                    state.raised = state.gone = False
                    changed.append(self._alarm(name, AlarmState.CLEARED))
        return changed

    def _rise(self, state: AlarmStanding, limits: AlarmLimits, value: float, result: WindowResult) -> AlarmState | None:
        if value < limits.on * _FULL:
            state.windows_on = 0
            return None
        if not state.windows_on:
            state.since = result.device_time_s
        state.windows_on += 1
        if (state.windows_on - 1) * self._hop_s < limits.on_delay_s:
            return None
        state.raised, state.acknowledged, state.gone = True, False, False
        state.windows_on = state.windows_off = 0
        return AlarmState.RAISED

    def _lower(self, state: AlarmStanding, limits: AlarmLimits, value: float) -> AlarmState | None:
        if value >= limits.off * _FULL:
            state.windows_off = 0
            state.gone = state.gone and value < limits.on * _FULL
            return None
        state.windows_off += 1
        if (state.windows_off - 1) * self._hop_s < limits.off_delay_s:
            return None
        if limits.latch and not state.acknowledged:
            state.gone = True
            return None
        state.raised = state.gone = False
        state.windows_off = 0
        return AlarmState.CLEARED

    def _alarm(self, name: str, after: AlarmState) -> Alarm:
        assert self._last is not None
        state = self._states[name]
        evidence = float(self._evidence[list(self._states).index(name)])
        return Alarm(name, after, self._last.first_sample, self._last.device_time_s, state.since, evidence)


class Alarms:
    """Both stages: evidence, then states."""

    def __init__(self, settings: AlarmSettings, labels: Sequence[str], hop_s: float) -> None:
        """Begin without alarms; arguments as in `Evidence`."""
        self._evidence = Evidence(settings, labels, hop_s)
        self._states = AlarmStates(settings, labels, hop_s)

    @property
    def raised(self) -> tuple[str, ...]:
        """The alarms that are raised, latched ones included."""
        return self._states.raised

    def take(self, result: WindowResult) -> list[Alarm]:
        """Take one window; return the alarms that change."""
        evidence = self._evidence.add(result)
        return [] if evidence is None else self._states.add(result, evidence)

    def interrupt(self) -> None:
        """Forget everything except alarms, after a lost link or a restart of the sensor."""
        self._evidence.forget()
        self._states.interrupt()

    @property
    def standing(self) -> RaisedAlarms:
        """The raised alarms with their states."""
        return self._states.standing

    def take_over(self, raised: RaisedAlarms) -> None:
        """Continue with the alarms that another judge has raised."""
        self._states.take_over(raised)

    def acknowledge(self, only: str | None = None) -> list[Alarm]:
        """Acknowledge all raised alarms, or one; return the changes."""
        return self._states.acknowledge(only)
