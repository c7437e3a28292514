"""Results of the monitor: the values that sinks receive, and their JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from drsn_edge.signal.difference import Difference
from drsn_edge.verdicts import OF_MACHINE, Verdict

SCHEMA = 1
"""Version of the JSON lines, to which fields are only ever added."""


@dataclass(frozen=True)
class WindowResult:
    """The verdict on one window.

    Attributes:
        first_sample: Index of the window's first sample in the sensor's session.
        device_time_s: Device time of that sample, in seconds.
        verdict: The verdict; CLASS only for an undamaged window.
        label: The class; None unless CLASS. The scores of UNKNOWN show the nearest class, those of UNSURE the two
            classes that it lies between.
        scores: Probability of each class; None for NO_VERDICT, and if the bundle has no network.
        reason: Why there is no verdict; None with a verdict.
        lost_samples: Number of samples missing in this window.
        novelty: Distance from the training data as a multiple of the limit; above 1 is UNKNOWN. None if the bundle has
            no novelty detection, or without a verdict.
        level_rms: RMS over the axes without their means, in the contract's unit; None without a verdict.
    """

    first_sample: int
    device_time_s: float
    verdict: Verdict
    label: str | None
    scores: Mapping[str, float] | None
    reason: str | None
    lost_samples: int
    novelty: float | None = None
    level_rms: float | None = None

    @classmethod
    def without_verdict(
        cls, first_sample: int, device_time_s: float, reason: str, lost_samples: int = 0
    ) -> WindowResult:
        """Return NO_VERDICT with a reason."""
        return cls(first_sample, device_time_s, Verdict.NO_VERDICT, None, None, reason, lost_samples)

    @classmethod
    def of_class(
        cls,
        first_sample: int,
        device_time_s: float,
        label: str,
        scores: Mapping[str, float] | None,
        novelty: float | None = None,
        level_rms: float | None = None,
    ) -> WindowResult:
        """Return CLASS with its label."""
        return cls(first_sample, device_time_s, Verdict.CLASS, label, scores, None, 0, novelty, level_rms)

    @classmethod
    def unknown(
        cls,
        first_sample: int,
        device_time_s: float,
        scores: Mapping[str, float] | None,
        novelty: float | None = None,
        level_rms: float | None = None,
    ) -> WindowResult:
        """Return UNKNOWN with the scores, which show the nearest class; without a network there are none."""
        return cls(first_sample, device_time_s, Verdict.UNKNOWN, None, scores, None, 0, novelty, level_rms)

    @classmethod
    def unsure(
        cls,
        first_sample: int,
        device_time_s: float,
        scores: Mapping[str, float],
        novelty: float | None = None,
        level_rms: float | None = None,
    ) -> WindowResult:
        """Return UNSURE with the scores, whose two best classes are too close to call."""
        return cls(first_sample, device_time_s, Verdict.UNSURE, None, scores, None, 0, novelty, level_rms)

    @property
    def between(self) -> tuple[str, ...] | None:
        """The two most probable classes of UNSURE, the best first; None for any other verdict."""
        if self.verdict is not Verdict.UNSURE or self.scores is None:
            return None
        return tuple(sorted(self.scores, key=self.scores.__getitem__, reverse=True)[:2])

    @property
    def state(self) -> tuple[Verdict, str | None]:
        """The verdict with its label or its reason; a decision is about this."""
        return self.verdict, self.label if self.verdict is Verdict.CLASS else self.reason

    @property
    def is_measured(self) -> bool:
        """Whether the window shows the machine: it has a verdict, or a reason that concerns the machine."""
        return self.verdict is not Verdict.NO_VERDICT or self.reason in OF_MACHINE


@dataclass(frozen=True)
class Decision:
    """A change of the debounced verdict.

    Attributes:
        window: The result that changed it.
        since: Device time in seconds at the start of the first window of the votes that changed it.
        differences: What differs most from what was learned, the largest change first; empty unless the machine is
            unlike it and the bundle has no network.
        resembles: What the change resembles, such as `like outer_race` or `not located`; None unless the verdict is
            UNKNOWN or a resemblance, and if the bundle names no changes.
    """

    window: WindowResult
    since: float
    differences: tuple[Difference, ...] = ()
    resembles: str | None = None


class AlarmState(str, Enum):
    """State of an alarm."""

    RAISED = "RAISED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    CLEARED = "CLEARED"


@dataclass(frozen=True)
class Alarm:
    """A change of an alarm; see `drsn_edge.monitor.stages.alarms`.

    Attributes:
        name: The class, or UNKNOWN.
        state: The new state.
        first_sample: Index of the first sample of the window that changed it.
        device_time_s: Device time of that sample, in seconds.
        since: Device time in seconds at the start of the window from which the alarm was pending.
        evidence: Evidence at the change, 0 to 1.
        capture: File that gets the signal around the alarm; None: not captured.
    """

    name: str
    state: AlarmState
    first_sample: int
    device_time_s: float
    since: float
    evidence: float
    capture: str | None = None


@dataclass(frozen=True)
class Coverage:
    """A change of whether coverage is off; see `drsn_edge.monitor.stages.coverage`.

    Coverage is the share of windows of a class among the judged ones; the others are UNSURE or UNKNOWN.

    Attributes:
        first_sample: Index of the first sample of the window that changed it.
        device_time_s: Device time of that sample, in seconds.
        off: Whether coverage has left the range of the inner folds.
        named: Share of windows of a class among the last judged windows, 0 to 1; None, as are the fields below, if no
            promise is asked of the bundle in use.
        least_named: Lowest such share over the inner folds, 0 to 1.
        most_named: Highest such share over the inner folds, 0 to 1.
        windows: Number of the last judged windows.
    """

    first_sample: int
    device_time_s: float
    off: bool
    named: float | None = None
    least_named: float | None = None
    most_named: float | None = None
    windows: int | None = None


@dataclass(frozen=True)
class Severity:
    """The vibration severity; see `drsn_edge.signal.vibration.Measures`.

    Attributes:
        first_sample: Index of the stretch's first sample in the sensor's session.
        device_time_s: Device time of that sample, in seconds.
        zone: Zone A to D by the user's limits; None without limits or velocity.
        unit: Unit of the accelerations.
        bearing_db: Levels of the bearing lines above their surroundings in dB, by name; None without geometry or speed.
        agrees: Whether the lines agree with the class; None if that is unknown; see
            `drsn_edge.signal.bearing_lines`.
    """

    first_sample: int
    device_time_s: float
    velocity_rms_mm_s: float | None
    acceleration_rms: float
    acceleration_peak: float
    crest_factor: float
    kurtosis: float
    zone: str | None
    unit: str
    bearing_db: Mapping[str, float] | None = None
    agrees: bool | None = None


@dataclass(frozen=True)
class Summary:
    """Counters of a whole run.

    Attributes:
        samples_received: Samples that the link delivered.
        samples_lost: Samples that the sensor produced and the link did not deliver.
        windows: Windows judged.
        verdicts: Windows per verdict.
        labels: Windows per class.
        sample_rate_hz: Sampling rate by the sensor's clock; None if it could not be measured.
        link: Counters of the link (frames, CRC errors, ...).
        link_losses: How often the port was lost.
        windows_skipped: Windows that were not judged because the machine was too slow; they also count as without a
            verdict.
    """

    samples_received: int
    samples_lost: int
    windows: int
    verdicts: Mapping[str, int]
    labels: Mapping[str, int]
    sample_rate_hz: float | None
    link: Mapping[str, int] = field(default_factory=dict)
    link_losses: int = 0
    windows_skipped: int = 0


Result = WindowResult | Decision | Alarm | Coverage | Severity | Summary


def to_json(result: Result) -> dict[str, Any]:
    """Return a result as the plain values of one JSON line; None for a number that is not finite."""
    if isinstance(result, Summary):
        return {"schema": SCHEMA, "type": "summary", **vars(result), "sample_rate_hz": _finite(result.sample_rate_hz)}
    if isinstance(result, Severity | Alarm | Coverage):
        rounded = {name: _rounded(v, 6) if isinstance(v, float) else v for name, v in vars(result).items()}
        return {"schema": SCHEMA, "type": type(result).__name__.lower(), **rounded}
    if isinstance(result, Decision):
        return {
            **_window_json(result.window),
            "type": "decision",
            "since": _rounded(result.since, 6),
            "differences": _differences_json(result.differences),
            "resembles": result.resembles,
        }
    return _window_json(result)


def to_text(result: Result) -> str:
    """Return `to_json` as one line of JSON, without a line break.

    Windows, of which there may be a hundred in a second, are written without the detour over a dictionary.
    """
    if isinstance(result, WindowResult):
        return f"{_window_text(result, 'window')}}}"
    if isinstance(result, Decision):
        differences = _ENCODER.encode(_differences_json(result.differences))
        begins = f'{_window_text(result.window, "decision")}, "since": {_number(result.since, 6)}'
        resembles = "null" if result.resembles is None else _quoted(result.resembles)
        return f'{begins}, "differences": {differences}, "resembles": {resembles}}}'
    return _ENCODER.encode(to_json(result))


_ENCODER = json.JSONEncoder(allow_nan=False)


def _finite(value: float | None) -> float | None:
    """Return a number that JSON can hold; None for NaN and infinity."""
    return value if value is not None and math.isfinite(value) else None


def _rounded(value: float | None, digits: int) -> float | None:
    return round(value, digits) if value is not None and math.isfinite(value) else None


def _window_json(result: WindowResult) -> dict[str, Any]:
    scores = None if result.scores is None else {label: _rounded(score, 6) for label, score in result.scores.items()}
    return {
        "schema": SCHEMA,
        "type": "window",
        "first_sample": result.first_sample,
        "device_time_s": _rounded(result.device_time_s, 6),
        "verdict": result.verdict.value,
        "label": result.label,
        "scores": scores,
        "reason": result.reason,
        "lost_samples": result.lost_samples,
        "novelty": _rounded(result.novelty, 4),
        "level_rms": _rounded(result.level_rms, 6),
        "between": result.between and [*result.between],
    }


def _differences_json(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    return [
        {
            "axis": each.axis,
            "low_hz": _rounded(each.low_hz, 1),
            "high_hz": _rounded(each.high_hz, 1),
            "db": _rounded(each.db, 1),
            "words": each.words,
        }
        for each in differences
    ]


def _window_text(result: WindowResult, kind: str) -> str:
    """Return the text of `_window_json` without its last brace."""
    label = "null" if result.label is None else _quoted(result.label)
    reason = "null" if result.reason is None else _quoted(result.reason)
    between = "null" if result.verdict is not Verdict.UNSURE else json.dumps(result.between)
    return (
        f'{{"schema": {SCHEMA}, "type": "{kind}", "first_sample": {result.first_sample}, '
        f'"device_time_s": {_number(result.device_time_s, 6)}, "verdict": "{result.verdict.value}", "label": {label}, '
        f'"scores": {_scores_text(result.scores)}, "reason": {reason}, "lost_samples": {result.lost_samples}, '
        f'"novelty": {_number(result.novelty, 4)}, "level_rms": {_number(result.level_rms, 6)}, '
        f'"between": {between}'
    )


def _scores_text(scores: Mapping[str, float] | None) -> str:
    if scores is None:
        return "null"
    parts = [
        # Six decimals without the zeros at the end are what a number between these two, rounded, has anyway.
        f"{label}{score:.6f}".rstrip("0") if 1e-4 <= score <= 0.999 else f"{label}{_number(score, 6)}"
        for label, score in zip(_names(tuple(scores)), scores.values(), strict=True)
    ]
    return f"{{{', '.join(parts)}}}"


@lru_cache(maxsize=64)
def _names(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return labels as the names of members of a JSON object; those of one bundle are always the same."""
    return tuple(f"{_quoted(label)}: " for label in labels)


def _number(value: float | None, digits: int) -> str:
    if value is None or not math.isfinite(value):
        return "null"
    rounded = round(value, digits)
    return repr(rounded) if type(rounded) is float else _ENCODER.encode(rounded)
