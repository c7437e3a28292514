"""Which settings of alarms: false alarms per day against the time until a fault is announced, from recordings.

Every window is judged once, by the monitor itself; then its alarm stages run over what was said, for each setting of a
grid. Nothing here decides in another way than the monitor does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import SettingsError
from drsn_edge.monitor.offline.classify import classify
from drsn_edge.monitor.stages.alarms import AlarmLimits, AlarmSettings, AlarmStates, Evidence
from drsn_edge.monitor.stages.judge import Model
from drsn_edge.monitor.stages.results import AlarmState, WindowResult
from drsn_edge.monitor.stages.settings import MonitorSettings
from drsn_edge.recordings.recording import Recording
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
    """What settings of alarms have to keep.

    Attributes:
        most_per_day: False alarms.
        announced: Of the faults that any setting announces, the share that must be: a fault that is barely there costs
            false alarms of many others.
        cut_s: Length of a trial, into which each recording of a fault is cut; None: a recording is one trial.
    """

    most_per_day: float
    announced: float = 1.0
    cut_s: float | None = None


@dataclass(frozen=True)
class Judged:
    """What the monitor said of a stretch of signal, small enough for weeks of it.

    Attributes:
        name: Of the recording.
        is_normal: Whether its class is no alarm.
        labels: Of the model.
        hop_s: Seconds from one window to the next.
        states: int8, shape (n,): class, unknown, no verdict, not running.
        scores: float16, shape (n, labels).
        levels: float32, shape (n,), NaN without a verdict.
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
        """Time that the windows stand for."""
        return len(self.states) * self.hop_s

    def result(self, number: int) -> WindowResult:
        """Return a window again, as far as alarms look at it."""
        at_s, state = number * self.hop_s, self.states[number]
        if state >= _STATES[Verdict.NO_VERDICT]:
            reason = NOT_RUNNING if state == _NOT_RUNNING_STATE else _OTHER_REASON
            return WindowResult.without_verdict(number, at_s, reason)
        values = self.scores[number].tolist()
        scores = dict(zip(self.labels, values, strict=True))
        level = float(self.levels[number])
        if state == _STATES[Verdict.UNKNOWN]:
            return WindowResult.unknown(number, at_s, scores, level_rms=level)
        label = self.labels[int(np.argmax(self.scores[number]))]
        return WindowResult.of_class(number, at_s, label, scores, level_rms=level)


def judged(
    recording: Recording, model: Model, settings: MonitorSettings, normal: Sequence[str], rpm: float | None = None
) -> Judged:
    """Return what the monitor says of a recording, in little room.

    Args:
        recording: With its label.
        model: That judges.
        settings: As of `drsn_edge.monitor.offline.classify.classify`.
        normal: Classes that are no alarm.
        rpm: As of `classify`.

    Raises:
        ContractError: If the recording does not fit the model, or is shorter than a window.
    """
    manifest = model.manifest
    said = classify(recording, model, settings, rpm)
    return condensed(recording.name, recording.label in normal, manifest.labels, manifest.contract.hop_s, said.windows)


def condensed(
    name: str, is_normal: bool, labels: Sequence[str], hop_s: float, results: Iterable[WindowResult]
) -> Judged:
    """Return what windows said in little room; arguments as of `Judged`."""
    states, scores, levels = [], [], []
    for each in results:
        states.append(_NOT_RUNNING_STATE if each.reason == NOT_RUNNING else _STATES[each.verdict])
        scores.append(np.array([each.scores[label] if each.scores else 0.0 for label in labels], np.float16))
        levels.append(math.nan if each.level_rms is None else each.level_rms)
    shape = (len(states), len(labels))
    return Judged(
        name, is_normal, tuple(labels), hop_s,
        np.array(states, np.int8), np.array(scores, np.float16).reshape(shape), np.array(levels, np.float32),
    )  # fmt: skip


@dataclass(frozen=True)
class FalseAlarms:
    """False alarms, and what they say of how often they come.

    Attributes:
        alarms: How many there were.
        days: In which time.
    """

    alarms: int
    days: float

    @property
    def per_day(self) -> float:
        """The estimate."""
        return self.alarms / self.days

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the exact interval of a Poisson rate, per day (Garwood 1936)."""
        low, high = interval(self.alarms, confidence)
        return low / self.days, high / self.days


@dataclass(frozen=True)
class Point:
    """What one setting does.

    Attributes:
        settings: The setting.
        false_alarms: In the recordings of normal classes.
        delays_s: Of each trial with a fault: from its beginning, with nothing known before it, to the end of the window
            that raised any alarm. Infinite where none was raised.
    """

    settings: AlarmSettings
    false_alarms: FalseAlarms
    delays_s: tuple[float, ...]

    @property
    def missed(self) -> int:
        """Trials without an alarm."""
        return sum(math.isinf(delay) for delay in self.delays_s)

    @property
    def median_delay_s(self) -> float:
        """Half of the trials took less; infinite where half were missed."""
        return float(np.median(self.delays_s))

    @property
    def worst_delay_s(self) -> float:
        """The longest of those that were not missed."""
        return max((delay for delay in self.delays_s if math.isfinite(delay)), default=math.inf)


@dataclass(frozen=True)
class Tuning:
    """What was tried and chosen.

    Attributes:
        points: Of all settings that were tried.
        chosen: One of them.
        goal: What was asked for.
    """

    points: tuple[Point, ...]
    chosen: Point
    goal: Goal


class _Series:
    """The evidence of a stretch, worked out once for all limits."""

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

        What is below every limit changes nothing while nothing is pending, so that it may be skipped.
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
    """Try the settings of `grid` and choose one that keeps the goal.

    Args:
        recordings: Both of normal classes and of faults.
        base: What is not swept.
        window_s: Length of a window.
        goal: To keep.
        progress: Called with the number of settings done and of all.

    Raises:
        SettingsError: If a kind of recordings is missing, or no setting keeps the goal.
    """
    points = sweep(recordings, list(grid(base)), window_s, goal.cut_s, progress)
    return Tuning(tuple(points), choose(points, goal.most_per_day, goal.announced), goal)


def grid(base: AlarmSettings) -> Iterator[AlarmSettings]:
    """Yield the settings that are tried: number of windows, limit and delay of the beginning.

    What is not swept is as in `base`. `off` follows `on`; limits of single classes are left out.
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
    """Return what each setting does to what the monitor said of recordings.

    Args:
        recordings: Both of normal classes and of faults.
        settings: What is tried; those that differ in their limits alone share their work.
        window_s: Length of a window.
        cut_s: Length of a trial, into which each recording of a fault is cut; None: a recording is one trial.
        progress: Called with the number of settings done and of all.

    Raises:
        SettingsError: If there is no recording of a normal class, or none of a fault.
    """
    normal = [each for each in recordings if each.is_normal and len(each.states)]
    faulty = [each for each in recordings if not each.is_normal and len(each.states)]
    if not normal or not faulty:
        raise SettingsError(
            f"Expected recordings both of normal classes and of faults, got {len(normal)} and {len(faulty)}. "
            "Record what is missing."
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
    """Return the point that announces faults soonest among those that keep false alarms rare.

    Those count whose false alarms per day are at most `most_per_day`, at the setting itself and at the next lower
    limit, so that the choice does not stand at an edge. The shortest worst delay wins, then the shortest median.

    Args:
        points: Of a sweep.
        most_per_day: False alarms.
        announced: Of the faults that any setting announces, the share that must be: a fault that is barely there costs
            false alarms of many others.

    Raises:
        SettingsError: If no point does; the text says what is possible.
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
            f"Expected a setting with at most {most_per_day:g} false alarms per day, got "
            f"{best.false_alarms.per_day:.3g} at best. Allow more, or train on recordings like those."
        )
    return min(rare, key=lambda point: (point.worst_delay_s, point.median_delay_s, point.false_alarms.per_day))


def _key(settings: AlarmSettings) -> tuple[str, int, float, float]:
    return settings.evidence, settings.windows, settings.limits.on, settings.limits.on_delay_s


def _more_sensitive(settings: AlarmSettings) -> AlarmSettings:
    lower = [on for on in ON if on < settings.limits.on]
    return replace(settings, limits=replace(settings.limits, on=max(lower, default=settings.limits.on), off=_LEAST_OFF))


def frontier(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other one beats, the quickest first.

    Each is slower than the one before it, and has fewer false alarms or misses.
    """
    best: list[Point] = []
    for point in sorted(points, key=lambda each: (each.worst_delay_s, each.missed, each.false_alarms.alarms)):
        if not best or (point.missed, point.false_alarms.alarms) < (best[-1].missed, best[-1].false_alarms.alarms):
            best.append(point)
    return best
