"""A bundle whose model is never run."""

from __future__ import annotations

import pytest

from drsn_edge.bundle.bundle import MODEL, Bundle, sha256
from drsn_edge.bundle.manifest import Budget, Manifest
from drsn_edge.bundle.promise import Promise, RiskPoint
from drsn_edge.runtime.tensor import TensorSpec
from drsn_edge.signal.contract import SignalContract


@pytest.fixture(scope="session")
def bundle(tiny_contract: SignalContract) -> Bundle:
    model = b"never run here"
    manifest = Manifest(
        name="tiny",
        version="1.2.3",
        contract=tiny_contract,
        labels=("calm", "schädlich"),
        input=TensorSpec("window", (1, 1, 64, 2), 0.03125, 15),
        outputs=(TensorSpec("logits", (1, 2), 0.1, -4),),
        parts={MODEL: sha256(model)},
        generator="tests",
        floor="1.0.0",
        votes="3/4",
        unknown_share=0.01,
        noise_limit=0.004,
        golden_tolerance_lsb=3.0,
        operators=("CONV_2D", "MUL"),
        budget=Budget(10.0, 50.0),
        promise=Promise(1.5, "another rpm of these machines", 3, 900, (RiskPoint(0.5, 0.04, 0.9, 0.97),)),
    )
    return Bundle(manifest, model)
