"""One training or one baseline under one protocol, as plain values for a results file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drsn_edge.evaluation.conditions import NoiseCondition

Value = str | int | float | bool | tuple[Any, ...]


@dataclass(frozen=True)
class Job:
    """One line of a results file, before it is run.

    Attributes:
        protocol: Name of the protocol.
        data: Name of the data set's folder.
        model: A block kind, or a baseline.
        hold_out: Rule of the hold-out set, as for `--hold-out`.
        seed: Seed of the training and of the noise in the test.
        settings: Further training settings by name, sorted; baselines use those of the signal.
        conditions: Noise conditions of the hold-out windows.
        test_hop: Samples between the starts of hold-out windows; 0 stands for the length of a window.
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
    """The score of one model under one condition."""

    condition: NoiseCondition
    windows: int
    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class JobResult:
    """The result of a job.

    Attributes:
        job: The job.
        scores: One score for each condition of the job.
        seconds: Duration of the job in s, on one core that it may have shared.
        versions: Versions of the packages that determine the figures, by name.
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
        KeyError, TypeError, ValueError: If a value is missing or has another type.
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
    """Return settings in a form in which equal settings compare equal: sorted, lists as tuples."""
    return tuple(sorted((name, _frozen(value)) for name, value in values.items()))


def _frozen(value: Any) -> Value:
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value
