"""The model of a run folder, ready for evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_the_versions_on_record_are_those_of_the_backend_that_computed(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    from drsn_edge.evaluation.run_model import run_model
    from drsn_edge.training.run_folder import load_run

    run = load_run(trained_run)
    assert run_model(run).packages == ("keras", "tensorflow")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert run_model(run).packages == ("keras", "jax")
