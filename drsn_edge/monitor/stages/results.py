"""What the monitor says: the values that its sinks receive, and their JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from drsn_edge.verdicts import OF_MACHINE, Verdict

SCHEMA = 1
"""Of the JSON lines: fields are only ever added."""


@dataclass(frozen=True)
class WindowResult:
    """The verdict on one window.

    Attributes:
        first_sample: Index of the window's first sample in the sensor's session.
        device_time_s: Sensor's time of that sample.
        verdict: CLASS only for a window without any damage.
        label: The class, None unless CLASS; the scores of UNKNOWN say which one is nearest.
        scores: Probability of each class, None for NO_VERDICT.
        reason: Why there is no verdict; None for CLASS and UNKNOWN.
        lost_samples: Samples missing in this window.
        novelty: Distance from what was trained, as a multiple of the limit: above 1 is UNKNOWN. None where the bundle
            does not know, or there is no verdict.
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
        """Return NO_VERDICT, and why."""
        return cls(first_sample, device_time_s, Verdict.NO_VERDICT, None, None, reason, lost_samples)

    @classmethod
    def of_class(
        cls,
        first_sample: int,
        device_time_s: float,
        label: str,
        scores: Mapping[str, float],
        novelty: float | None = None,
        level_rms: float | None = None,
    ) -> WindowResult:
        """Return CLASS, with its label."""
        return cls(first_sample, device_time_s, Verdict.CLASS, label, scores, None, 0, novelty, level_rms)

    @classmethod
    def unknown(
        cls,
        first_sample: int,
        device_time_s: float,
        scores: Mapping[str, float],
        novelty: float | None = None,
        level_rms: float | None = None,
    ) -> WindowResult:
        """Return UNKNOWN, with the scores that say which class is nearest."""
        return cls(first_sample, device_time_s, Verdict.UNKNOWN, None, scores, None, 0, novelty, level_rms)

    @property
    def state(self) -> tuple[Verdict, str | None]:
        """What a decision is about: the verdict with its label or its reason."""
        return self.verdict, self.label if self.verdict is Verdict.CLASS else self.reason

    @property
    def is_measured(self) -> bool:
        """Whether the window shows the machine: it has a verdict, or a reason that says something of the machine."""
        return self.verdict is not Verdict.NO_VERDICT or self.reason in OF_MACHINE


@dataclass(frozen=True)
class Decision:
    """The debounced verdict changed.

    Attributes:
        window: The result that made it change.
        since: Device time in seconds at the start of the first window of the votes that made it change.
    """

    window: WindowResult
    since: float


class AlarmState(str, Enum):
    """What became of an alarm."""

    RAISED = "RAISED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    CLEARED = "CLEARED"


@dataclass(frozen=True)
class Alarm:
    """An alarm changed; see `drsn_edge.monitor.stages.alarms`.

    Attributes:
        name: The class, or UNKNOWN.
        state: What it is from now on.
        first_sample: Of the window that changed it.
        device_time_s: Likewise.
        since: Device time in seconds at the start of the window from which on it was pending.
        evidence: Of that moment, 0 to 1.
        capture: File that gets the signal around it, None where none is kept.
    """

    name: str
    state: AlarmState
    first_sample: int
    device_time_s: float
    since: float
    evidence: float
    capture: str | None = None


@dataclass(frozen=True)
class Severity:
    """How much the machine vibrates; see `drsn_edge.signal.vibration.Measures`.

    Attributes:
        first_sample: Index of the stretch's first sample in the sensor's session.
        device_time_s: Sensor's time of that sample.
        zone: A to D by the user's limits, None without limits or velocity.
        unit: Of the accelerations.
        bearing_db: How far the bearing's lines stand out, by name; None where geometry or speed is not known.
        agrees: Whether they say what the class says, None where that cannot be told; see
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
    """What a whole run saw.

    Attributes:
        samples_received: Samples delivered by the link.
        samples_lost: Samples that the sensor produced and the link did not deliver.
        windows: Windows judged.
        verdicts: Windows per verdict.
        labels: Windows per class.
        sample_rate_hz: Rate by the sensor's clock, None until it could be measured.
        link: Counters of the link (frames, CRC errors, ...).
        link_losses: Times that the port was lost.
        windows_skipped: Windows that were not judged because the machine was too slow; they are among those without a
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


Result = WindowResult | Decision | Alarm | Severity | Summary


def to_json(result: Result) -> dict[str, Any]:
    """Return a result as the plain values of one JSON line; None for a number that is not finite."""
    if isinstance(result, Summary):
        return {"schema": SCHEMA, "type": "summary", **vars(result), "sample_rate_hz": _finite(result.sample_rate_hz)}
    if isinstance(result, Severity | Alarm):
        rounded = {name: _rounded(v, 6) if isinstance(v, float) else v for name, v in vars(result).items()}
        return {"schema": SCHEMA, "type": type(result).__name__.lower(), **rounded}
    if isinstance(result, Decision):
        return {**_window_json(result.window), "type": "decision", "since": _rounded(result.since, 6)}
    return _window_json(result)


def _finite(value: float | None) -> float | None:
    """Return a number that JSON has, None for NaN and infinity."""
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
    }
