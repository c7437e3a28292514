"""The models of a run and of its bundle, and an evaluation without any model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drsn_edge.bundle.bundle import read_bundle
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.evaluation.data import EvaluationData
from drsn_edge.evaluation.evaluation import Evaluation, Provenance, evaluate_model
from drsn_edge.evaluation.model import EvaluatedModel, bundle_model
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.contract import SignalContract


@pytest.fixture(scope="session")
def run(trained_run: Path) -> Any:
    from drsn_edge.training.run_folder import load_run

    return load_run(trained_run)


@pytest.fixture(scope="session")
def float_target(run: Any) -> EvaluatedModel:
    from drsn_edge.evaluation.run_model import run_model

    return run_model(run)


@pytest.fixture(scope="session")
def int8_target(trained_bundle: Path) -> EvaluatedModel:
    return bundle_model(read_bundle(trained_bundle))


@pytest.fixture
def make_recording(tiny_contract: SignalContract) -> Callable[..., Recording]:
    """Return a function that makes a recording that fits `tiny_contract` unless changed."""

    def make(name: str = "a", n: int = 300, label: str | None = "calm", **changes: Any) -> Recording:
        samples = np.random.default_rng(list(name.encode())).normal(size=(n, 2)).astype(np.float32)
        return replace(Recording(name, samples, 4000.0, ("x", "y"), "g", label, name, {"load": 0}), **changes)

    return make


@pytest.fixture
def make_evaluation(tiny_contract: SignalContract) -> Callable[..., Evaluation]:
    """Return a function that evaluates a model that knows its labels by the sign of the windows, where it can."""

    def make(labels: tuple[str, ...] = ("calm", "worn"), shrinks: bool = True, **changes: Any) -> Evaluation:
        n = len(labels)
        classes = np.repeat(np.arange(n), 6)
        windows = np.random.default_rng(0).normal(size=(len(classes), 64, 2)).astype(np.float32)
        target = EvaluatedModel(
            name="pump", kind="made up", version="1.0.0", network="nano", block="rsbu-cw", generator="tests",
            contract=tiny_contract, labels=labels, packages=("numpy",),
            logits=lambda shown: np.abs(shown.windows[:, :n, 0]),
            thresholds=(lambda shown: [np.abs(shown.windows[:, None, None, k]) for k in range(8)]) if shrinks else None,
            no_thresholds="" if shrinks else "There is no shrinkage.",
        )  # fmt: skip
        names = np.array([labels[each] for each in classes])
        data = EvaluationData(
            WindowSet(windows, classes, names, classes * 0, np.full(len(classes), np.nan)),
            "folder",
            "load=3",
            "Held out.",
            (),
        )
        return evaluate_model(replace(target, **changes), data, (0.0, 8.0), 0)

    return make


@pytest.fixture
def made() -> Provenance:
    return Provenance({"drsn-edge": "0.1.0"}, "drsn-edge evaluate pump", "2026-01-01T00:00:00+00:00")
