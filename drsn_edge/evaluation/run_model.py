"""The Keras model of a run folder, ready for evaluation. The only module of this room that needs Keras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from drsn_edge.datasets.windows import WindowSet
from drsn_edge.evaluation.model import EvaluatedModel
from drsn_edge.models.drsn import threshold_model
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.windows import FloatArray
from drsn_edge.training.fit import predict_logits
from drsn_edge.training.run_folder import Run


def run_model(run: Run) -> EvaluatedModel:
    """Return a run's Keras model."""
    shrinking = threshold_model(run.model)
    settings = run.config.get("settings", {})
    block = run.config.get("network", {}).get("block")
    return EvaluatedModel(
        name=run.name,
        kind="run folder, float32",
        version=None,
        network=settings.get("network"),
        block=block,
        generator=f"drsn-edge {run.config['version']}",
        contract=run.contract,
        labels=run.labels,
        packages=("keras", keras.backend.backend()),  # the name of a backend is the name of its distribution
        logits=lambda windows: predict_logits(run.model, windows, run.contract),
        thresholds=_thresholds(shrinking, run.contract) if shrinking is not None else None,
        no_thresholds=""
        if shrinking is not None
        else f"Blocks of kind {block}, without shrinkage, have no thresholds.",
    )


def _thresholds(model: Any, contract: SignalContract) -> Callable[[WindowSet], Sequence[FloatArray]]:
    def thresholds(windows: WindowSet) -> Sequence[FloatArray]:
        taus = model.predict(network_input(windows.windows, contract, windows.speeds_hz), batch_size=256, verbose=0)
        return taus if isinstance(taus, list) else [taus]  # Keras unpacks a list of one

    return thresholds
