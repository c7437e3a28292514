"""Tuning of alarm settings by recordings: false alarms per day against the time until a fault raises an alarm.

The monitor judges every window once; then its own alarm stages run over the results for each setting of a grid, so that
the outcome is that of the monitor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import SettingsError
from drsn_edge.monitor.offline.classify import windows_of
from drsn_edge.monitor.stages.alarms import AlarmLimits, AlarmSettings, AlarmStates, Evidence
from drsn_edge.monitor.stages.judge import Model
from drsn_edge.monitor.stages.results import AlarmState, WindowResult
from drsn_edge.monitor.stages.settings import MonitorSettings
from drsn_edge.recordings.recording import Recording
from drsn_edge.support.palette import is_healthy
from drsn_edge.support.poisson import interval
from drsn_edge.verdicts import NOT_RUNNING, Verdict

DAY_S = 86_400.0
WINDOWS = (5, 10, 20, 40, 80)
ON = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
ON_DELAY_S = (0.0, 2.0, 5.0, 15.0, 30.0, 60.0)
_OTHER_REASON = "no verdict"
_HYSTERESIS = 0.3
_LEAST_OFF = 0.1
_STATES = {verdict: index for index, verdict in enumerate(Verdict)}
_NOT_RUNNING_STATE = len(Verdict)


@dataclass(frozen=True)
class Goal:
    """The goal that the alarm settings must meet.

    Attributes:
        most_per_day: Limit of false alarms per day.
        announced: Share of the detectable faults (those that any setting detects) that must raise an alarm; a barely
            visible fault would cost many false alarms.
        cut_s: Length in seconds of the trials into which each recording of a fault is cut; None: one trial each.
    """

    most_per_day: float
    announced: float = 1.0
    cut_s: float | None = None


@dataclass(frozen=True)
class Judged:
    """The monitor's results for a recording, in a form that is small enough for weeks of signal.

    Attributes:
        name: Name of the recording.
        is_normal: Whether its class is normal and raises no alarm.
        labels: Labels of the model.
        hop_s: Time from one window to the next, in seconds.
        states: State of each window, int8, shape (n,): class, unknown, unsure, no verdict, not running.
        scores: Probabilities, float16, shape (n, labels); without a network 1 for the label of a window.
        levels: RMS levels, float32, shape (n,); NaN without a verdict.
    """

    name: str
    is_normal: bool
    labels: tuple[str, ...]
    hop_s: float
    states: NDArray[np.int8]
    scores: NDArray[np.float16]
    levels: NDArray[np.float32]

    @property
    def duration_s(self) -> float:
        """Duration that the windows cover, in seconds."""
        return len(self.states) * self.hop_s

    def result(self, number: int) -> WindowResult:
        """Return the result of a window, as far as alarms need it."""
        at_s, state = number * self.hop_s, self.states[number]
        if state >= _STATES[Verdict.NO_VERDICT]:
            reason = NOT_RUNNING if state == _NOT_RUNNING_STATE else _OTHER_REASON
            return WindowResult.without_verdict(number, at_s, reason)
        values = self.scores[number].tolist()
        scores = dict(zip(self.labels, values, strict=True))
        level = float(self.levels[number])
        if state == _STATES[Verdict.UNKNOWN]:
            return WindowResult.unknown(number, at_s, scores, level_rms=level)
        if state == _STATES[Verdict.UNSURE]:
            return WindowResult.unsure(number, at_s, scores, level_rms=level)
        label = self.labels[int(np.argmax(self.scores[number]))]
        return WindowResult.of_class(number, at_s, label, scores, level_rms=level)


def judged(
    recording: Recording, model: Model, settings: MonitorSettings, normal: Sequence[str], rpm: float | None = None
) -> Judged:
    """Return the monitor's results for a recording in compact form.

    Args:
        recording: Recording with a label.
        model: The opened bundle.
        settings: As in `drsn_edge.monitor.offline.classify.classify`.
        normal: Classes that raise no alarm. Without a network, any label that means a healthy machine is one.
        rpm: As in `classify`.

    Raises:
        ContractError: If the recording does not fit the model, or is shorter than a window.
    """
    manifest = model.manifest
    results = windows_of(recording, model, settings, rpm)
    is_normal = recording.label in normal or (not manifest.has_network and is_healthy(recording.label or ""))
    return condensed(recording.name, is_normal, manifest.labels, manifest.contract.hop_s, results)


def condensed(
    name: str, is_normal: bool, labels: Sequence[str], hop_s: float, results: Iterable[WindowResult]
) -> Judged:
    """Return the results of windows in compact form; arguments as in `Judged`."""
    states, scores, levels = [], [], []
    for each in results:
        states.append(_NOT_RUNNING_STATE if each.reason == NOT_RUNNING else _STATES[each.verdict])
        found = each.scores or ({} if each.label is None else {each.label: 1.0})
        scores.append(np.array([found.get(label, 0.0) for label in labels], np.float16))
        levels.append(math.nan if each.level_rms is None else each.level_rms)
    shape = (len(states), len(labels))
    return Judged(
        name, is_normal, tuple(labels), hop_s,
        np.array(states, np.int8), np.array(scores, np.float16).reshape(shape), np.array(levels, np.float32),
    )  # fmt: skip


@dataclass(frozen=True)
class FalseAlarms:
    """False alarms and their rate.

    Attributes:
        alarms: Number of false alarms.
        days: Duration in days.
    """

    alarms: int
    days: float

    @property
    def per_day(self) -> float:
        """Estimated false alarms per day."""
        return self.alarms / self.days

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the exact interval of a Poisson rate, per day (Garwood 1936)."""
        low, high = interval(self.alarms, confidence)
        return low / self.days, high / self.days


@dataclass(frozen=True)
class Point:
    """The outcome of one setting.

    Attributes:
        settings: The setting.
        false_alarms: False alarms in the recordings of normal classes.
        delays_s: Delay in seconds of each trial with a fault, from its begin without earlier windows to the end of the
            window that raised any alarm; infinite if none was raised.
    """

    settings: AlarmSettings
    false_alarms: FalseAlarms
    delays_s: tuple[float, ...]

    @property
    def missed(self) -> int:
        """Number of trials without an alarm."""
        return sum(math.isinf(delay) for delay in self.delays_s)

    @property
    def median_delay_s(self) -> float:
        """Median delay in seconds; infinite if half of the trials were missed."""
        return float(np.median(self.delays_s))

    @property
    def worst_delay_s(self) -> float:
        """Longest delay in seconds of the trials with an alarm."""
        return max((delay for delay in self.delays_s if math.isfinite(delay)), default=math.inf)


@dataclass(frozen=True)
class Tuning:
    """The outcomes of all settings and the chosen one.

    Attributes:
        points: Outcomes of all settings.
        chosen: The chosen one.
        goal: The goal.
    """

    points: tuple[Point, ...]
    chosen: Point
    goal: Goal


class _Series:
    """The evidence of a recording, computed once for all limits."""

    def __init__(self, each: Judged, settings: AlarmSettings, span: range | None = None) -> None:
        evidence = Evidence(settings, each.labels, each.hop_s)
        self.each, self.span = each, span or range(len(each.states))
        self._settings = settings
        self._numbers: list[int] = []
        self._values: list[NDArray[np.float64]] = []
        for number in self.span:
            value = evidence.add(each.result(number))
            if value is not None:
                self._numbers.append(number)
                self._values.append(value)
        self._highest = np.array([value.max() for value in self._values])

    def raised(self, limits: AlarmLimits) -> list[int]:
        """Return the windows that raised an alarm.

        Windows below every limit are skipped while no alarm is raised or pending, since they change nothing.
        """
        settings = replace(self._settings, limits=limits)
        states = AlarmStates(settings, self.each.labels, self.each.hop_s)
        candidates = np.flatnonzero(self._highest >= 0.999 * limits.on)
        found, at = [], 0
        while at < len(self._values):
            if states.is_idle:
                ahead = np.searchsorted(candidates, at)
                if ahead == len(candidates):
                    break
                at = int(candidates[ahead])
            number = self._numbers[at]
            for alarm in states.add(self.each.result(number), self._values[at]):
                if alarm.state is AlarmState.RAISED:
                    found.append(number)
            at += 1
        return found


def tune(
    recordings: Sequence[Judged],
    base: AlarmSettings,
    window_s: float,
    goal: Goal,
    progress: Callable[[int, int], None] | None = None,
) -> Tuning:
    """Try the settings of `grid` and choose one that meets the goal.

    Args:
        recordings: Results of recordings of normal classes and of faults.
        base: Values that are not swept.
        window_s: Length of a window in seconds.
        goal: The goal.
        progress: Called with the number of finished settings and of all settings.

    Raises:
        SettingsError: If recordings of normal classes or of faults are missing, or no setting meets the goal.
    """
    points = sweep(recordings, list(grid(base)), window_s, goal.cut_s, progress)
    return Tuning(tuple(points), choose(points, goal.most_per_day, goal.announced), goal)


def grid(base: AlarmSettings) -> Iterator[AlarmSettings]:
    """Yield the settings to try: number of windows, limit `on` and its delay.

    Other values are those of `base`. `off` follows `on`; limits of single classes are removed.
    """
    for windows in WINDOWS:
        for on in ON:
            for delay_s in ON_DELAY_S:
                limits = replace(
                    base.limits, on=on, off=max(_LEAST_OFF, round(on - _HYSTERESIS, 3)), on_delay_s=delay_s
                )
                yield replace(base, windows=windows, limits=limits, classes={})


def sweep(
    recordings: Sequence[Judged],
    settings: Sequence[AlarmSettings],
    window_s: float,
    cut_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Point]:
    """Return the outcome of each setting on the results of recordings.

    Args:
        recordings: Results of recordings of normal classes and of faults.
        settings: Settings to try; settings that differ only in their limits share work.
        window_s: Length of a window in seconds.
        cut_s: Length in seconds of the trials into which each recording of a fault is cut; None: one trial each.
        progress: Called with the number of finished settings and of all settings.

    Raises:
        SettingsError: If there is no recording of a normal class, or none of a fault.
    """
    normal = [each for each in recordings if each.is_normal and len(each.states)]
    faulty = [each for each in recordings if not each.is_normal and len(each.states)]
    if not normal or not faulty:
        raise SettingsError(
            f"Tuning needs recordings of normal classes and of faults, but there are {len(normal)} and {len(faulty)}. "
            "Record the missing ones.",
            "recordings_missing",
            normal=len(normal),
            faulty=len(faulty),
        )
    points: dict[int, Point] = {}
    shared: dict[str, list[int]] = {}
    for index, each in enumerate(settings):
        shared.setdefault(repr(replace(each, limits=AlarmLimits())), []).append(index)
    days = sum(each.duration_s for each in normal) / DAY_S
    for indices in shared.values():
        quiet = [_Series(each, settings[indices[0]]) for each in normal]
        trials = [_Series(each, settings[indices[0]], span) for each in faulty for span in _trials(each, cut_s)]
        for index in indices:
            limits = settings[index].limits
            alarms = sum(len(series.raised(limits)) for series in quiet)
            delays = tuple(_delay_s(series, limits, window_s) for series in trials)
            points[index] = Point(settings[index], FalseAlarms(alarms, days), delays)
            if progress is not None:
                progress(len(points), len(settings))
    return [points[index] for index in range(len(settings))]


def _trials(each: Judged, cut_s: float | None) -> list[range]:
    n = len(each.states)
    size = n if cut_s is None else min(n, max(1, round(cut_s / each.hop_s)))
    return [range(start, start + size) for start in range(0, n - size + 1, size)]


def _delay_s(series: _Series, limits: AlarmLimits, window_s: float) -> float:
    raised = series.raised(limits)
    return (raised[0] - series.span.start) * series.each.hop_s + window_s if raised else math.inf


def choose(points: Sequence[Point], most_per_day: float, announced: float = 1.0) -> Point:
    """Return the outcome with the fastest alarms among those with few enough false alarms.

    A setting has few enough if its false alarms per day, and those at the next lower limit `on`, are at most
    `most_per_day`, so that the choice does not lie at an edge. The shortest worst delay wins, then the shortest median.

    Args:
        points: Outcomes of a sweep.
        most_per_day: Limit of false alarms per day.
        announced: See `Goal`.

    Raises:
        SettingsError: If no setting meets the goal; the message tells what is possible.
    """
    trials = len(points[0].delays_s)
    most_missed = trials - announced * (trials - min(point.missed for point in points))
    rates = {_key(point.settings): point.false_alarms.per_day for point in points}
    complete = [point for point in points if point.missed <= most_missed]
    rare = [
        point
        for point in complete
        if max(point.false_alarms.per_day, rates.get(_key(_more_sensitive(point.settings)), 0.0)) <= most_per_day
    ]
    if not rare:
        best = min(complete, key=lambda point: (point.false_alarms.per_day, point.worst_delay_s))
        raise SettingsError(
            f"No setting has at most {most_per_day:g} false alarms per day; the best has "
            f"{best.false_alarms.per_day:.3g}. Allow more, or train on recordings like those.",
            "goal_not_met",
            limit=most_per_day,
            best=best.false_alarms.per_day,
        )
    return min(rare, key=lambda point: (point.worst_delay_s, point.median_delay_s, point.false_alarms.per_day))


def _key(settings: AlarmSettings) -> tuple[str, int, float, float]:
    return settings.evidence, settings.windows, settings.limits.on, settings.limits.on_delay_s


def _more_sensitive(settings: AlarmSettings) -> AlarmSettings:
    lower = [on for on in ON if on < settings.limits.on]
    return replace(settings, limits=replace(settings.limits, on=max(lower, default=settings.limits.on), off=_LEAST_OFF))


def frontier(points: Sequence[Point]) -> list[Point]:
    """Return the outcomes that no other beats, the fastest first.

    Each is slower than the one before, and has fewer false alarms or misses.
    """
    best: list[Point] = []
    for point in sorted(points, key=lambda each: (each.worst_delay_s, each.missed, each.false_alarms.alarms)):
        if not best or (point.missed, point.false_alarms.alarms) < (best[-1].missed, best[-1].false_alarms.alarms):
            best.append(point)
    return best
