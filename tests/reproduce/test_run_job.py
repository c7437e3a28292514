from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from drsn_edge.evaluation.classical import BASELINES
from drsn_edge.evaluation.conditions import CLEAN, NoiseCondition
from drsn_edge.recordings.recording import Recording
from drsn_edge.reproduce.jobs import Job, as_settings
from drsn_edge.reproduce.run_job import run_job
from drsn_edge.simulation.simulator import simulate_dataset

Data = Mapping[str, tuple[Recording, ...]]

SETTINGS = {"network": "nano", "window": 256, "hop": 128, "epochs": 6, "batch_size": 8, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def data() -> Data:
    return {"simulated": tuple(simulate_dataset(("healthy", "outer_race"), n_machines=3, duration_s=2.0))}


def job(model: str, **changes: Any) -> Job:
    values = {"protocol": "p", "data": "simulated", "model": model, "hold_out": "time=0.3", "seed": 0, "test_hop": 64}
    return Job(
        **{**values, **changes}, settings=as_settings(SETTINGS), conditions=(CLEAN, NoiseCondition("gaussian", -20.0))
    )


@pytest.mark.parametrize("model", ["rsbu-cw", *BASELINES])
def test_every_model_learns_and_noise_hurts_it(model: str, data: Data) -> None:
    outcome = run_job(job(model), data)
    clean, noisy = outcome.scores
    assert clean.accuracy > 0.85
    assert noisy.accuracy < clean.accuracy
    assert clean.windows == noisy.windows == 6 * (1 + (1920 - 256) // 64)
    assert outcome.versions["drsn-edge"]


def test_a_job_gives_the_same_outcome_again(data: Data) -> None:
    first, second = (run_job(job("lda"), data).scores for _ in range(2))
    assert first == second
