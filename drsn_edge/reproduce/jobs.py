"""One training or one baseline under one protocol, as plain values that a results file can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drsn_edge.evaluation.conditions import NoiseCondition

Value = str | int | float | bool | tuple[Any, ...]


@dataclass(frozen=True)
class Job:
    """One line of a results file before it is run.

    Attributes:
        protocol: Name of the list of jobs that it belongs to.
        data: Name of the data set's folder.
        model: A block kind, or a baseline.
        hold_out: As `--hold-out` takes it.
        seed: Of the training and of the noise in the test.
        settings: Further training settings by name, sorted; baselines take the signal's part of them.
        conditions: How the held-out windows are shown.
        test_hop: Samples between the starts of held-out windows; 0 stands for a window.
    """

    protocol: str
    data: str
    model: str
    hold_out: str
    seed: int
    settings: tuple[tuple[str, Value], ...]
    conditions: tuple[NoiseCondition, ...]
    test_hop: int = 0


@dataclass(frozen=True)
class Score:
    """What one model reached under one condition."""

    condition: NoiseCondition
    windows: int
    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class JobResult:
    """A job that was run.

    Attributes:
        job: Which.
        scores: One per condition of the job.
        seconds: It took, on one core that it may have shared.
        versions: Of what decides the figures, by name.
    """

    job: Job
    scores: tuple[Score, ...]
    seconds: float
    versions: Mapping[str, str]


def result_to_json(result: JobResult) -> dict[str, Any]:
    """Return a result as plain JSON values."""
    job = result.job
    return {
        **{name: getattr(job, name) for name in ("protocol", "data", "model", "hold_out", "seed", "test_hop")},
        "settings": dict(job.settings),
        "scores": [
            {
                "noise": score.condition.kind,
                "snr_db": score.condition.snr_db,
                "windows": score.windows,
                "accuracy": round(score.accuracy, 6),
                "macro_f1": round(score.macro_f1, 6),
            }
            for score in result.scores
        ],
        "seconds": round(result.seconds, 1),
        "versions": dict(result.versions),
    }


def result_from_json(values: Mapping[str, Any]) -> JobResult:
    """Return the result that `result_to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: If a value is missing or of another kind.
    """
    scores = tuple(
        Score(NoiseCondition(str(s["noise"]), float(s["snr_db"])), int(s["windows"]), s["accuracy"], s["macro_f1"])
        for s in values["scores"]
    )
    job = Job(
        **{name: str(values[name]) for name in ("protocol", "data", "model", "hold_out")},
        seed=int(values["seed"]),
        settings=as_settings(values["settings"]),
        conditions=tuple(score.condition for score in scores),
        test_hop=int(values["test_hop"]),
    )
    return JobResult(job, scores, float(values["seconds"]), dict(values["versions"]))


def as_settings(values: Mapping[str, Any]) -> tuple[tuple[str, Value], ...]:
    """Return settings in the one form in which equal ones compare equal: sorted, lists as tuples."""
    return tuple(sorted((name, _frozen(value)) for name, value in values.items()))


def _frozen(value: Any) -> Value:
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value
