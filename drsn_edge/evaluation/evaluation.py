"""Evaluate a model on windows as recorded and with each kind of noise, and summarise its thresholds."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

from drsn_edge import __version__
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.evaluation.conditions import NoiseCondition, noise_conditions, with_noise
from drsn_edge.evaluation.data import EvaluationData
from drsn_edge.evaluation.metrics import Judgement, all_figures, figures, judge
from drsn_edge.evaluation.model import EvaluatedModel
from drsn_edge.evaluation.thresholds import Thresholds, summarise_thresholds, thresholds_to_json
from drsn_edge.evaluation.words import RecordingErrors, errors_by_recording, judgement_in_words
from drsn_edge.signal.contract import contract_to_json

SCHEMA = 1
DEFAULT_SNRS_DB = (-8.0, -4.0, 0.0, 4.0, 8.0, 12.0)


@dataclass(frozen=True)
class Evaluation:
    """All results of an evaluation.

    Attributes:
        model: The model.
        data: The windows.
        seed: Seed of the noise.
        clean: Figures of the windows as recorded.
        noisy: Figures with noise, in the order of `noise_conditions`.
        thresholds: Thresholds for the windows as recorded; None if the model shows none.
    """

    model: EvaluatedModel
    data: EvaluationData
    seed: int
    clean: Judgement
    noisy: dict[NoiseCondition, Judgement]
    thresholds: Thresholds | None

    @property
    def errors(self) -> tuple[RecordingErrors, ...]:
        """Errors of each recording without added noise, the largest share first."""
        windows = self.data.windows
        return errors_by_recording(windows.recordings, windows.labels, self.clean.named, self.model.labels)

    @property
    def in_words(self) -> str:
        """Summary in sentences."""
        return judgement_in_words(self.clean, self.noisy, self.errors, self.model.labels)


@dataclass(frozen=True)
class Provenance:
    """How the figures were made.

    Attributes:
        versions: Version of each package that took part.
        command: Command as typed.
        date: Date and time in ISO 8601, UTC.
    """

    versions: dict[str, str]
    command: str
    date: str


def provenance(model: EvaluatedModel, command: str) -> Provenance:
    """Return the provenance of figures that are made now."""
    versions = {name: version(name) for name in ("numpy", "scikit-learn", *model.packages)}
    return Provenance(
        versions={"drsn-edge": __version__, "python": platform.python_version(), **versions},
        command=command,
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def evaluate_model(
    model: EvaluatedModel,
    data: EvaluationData,
    snrs_db: Sequence[float],
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Evaluate a model on every window of `data`.

    Args:
        model: The model.
        data: Windows in the unit of the model's contract.
        snrs_db: Signal-to-noise ratios of each kind of noise, in dB.
        seed: Seed of the noise.
        progress: Called after each condition with the number of conditions done and of all.

    Raises:
        DrsnEdgeError: If a signal-to-noise ratio is out of range.
    """
    conditions = noise_conditions(snrs_db)
    windows, labels, n_classes = data.windows, data.windows.labels, len(model.labels)

    def judged(windows: WindowSet, done: int) -> Judgement:
        result = judge(model.logits(windows), labels, n_classes, model.temperature)
        if progress is not None:
            progress(done, len(conditions) + 1)
        return result

    return Evaluation(
        model=model,
        data=data,
        seed=seed,
        clean=judged(windows, 1),
        noisy={each: judged(with_noise(windows, each, seed), done) for done, each in enumerate(conditions, start=2)},
        thresholds=summarise_thresholds(model.thresholds(windows), labels, n_classes) if model.thresholds else None,
    )


def evaluation_to_json(evaluation: Evaluation, provenance: Provenance) -> dict[str, Any]:
    """Return the evaluation as plain JSON values, schema 1: fields are only ever added."""
    model, thresholds = evaluation.model, evaluation.thresholds
    return {
        "schema": SCHEMA,
        "type": "evaluation",
        "model": {**model.facts(), "contract": contract_to_json(replace(model.contract, decimation=None))},
        "data": evaluation.data.facts(),
        "judgement": evaluation.in_words,
        "clean": all_figures(evaluation.clean),
        "recordings": [asdict(each) for each in evaluation.errors],
        "noise": [{**asdict(each), **figures(judgement)} for each, judgement in evaluation.noisy.items()],
        "noise_seed": evaluation.seed,
        "thresholds": thresholds_to_json(thresholds, model.labels) if thresholds else None,
        "no_thresholds": model.no_thresholds or None,
        **asdict(provenance),
    }
