"""Recordings made up for splits and windows, and one small training on simulated ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from drsn_edge.evaluation.after_training import evaluate
from drsn_edge.recordings.recording import Recording
from drsn_edge.simulation.simulator import simulate_dataset
from drsn_edge.training.train import Training, TrainSettings, train

SETTINGS = TrainSettings("time=0.3", "nano", window=256, hop=128, epochs=6, batch_size=8, learning_rate=1e-2)

MakeRecording = Callable[..., Recording]


@pytest.fixture(scope="session")
def make_recording() -> MakeRecording:
    """Return a function that makes a recording; its samples are noise of its own unless given."""

    def make(name: str = "a", n: int = 1000, label: str | None = "calm", **changes: Any) -> Recording:
        samples = np.random.default_rng(list(name.encode())).normal(size=(n, 1)).astype(np.float32)
        values: dict[str, Any] = {
            "samples": samples, "sample_rate_hz": 1000.0, "axes": ("x",), "unit": "g", "group": name, "fields": {},
        }  # fmt: skip
        return Recording(name=name, label=label, **{**values, **changes})

    return make


@pytest.fixture(scope="session")
def simulated() -> list[Recording]:
    return simulate_dataset(("healthy", "imbalance"), n_machines=3, duration_s=2.0)


@pytest.fixture(scope="session")
def settings() -> TrainSettings:
    return SETTINGS


@pytest.fixture(scope="session")
def training(simulated: list[Recording]) -> Training:
    return train(simulated, SETTINGS)


@pytest.fixture(scope="session")
def metrics(training: Training) -> dict[str, Any]:
    return evaluate(training)
