"""A small network, trained in seconds on windows that are easy to tell apart, and its int8 file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from ai_edge_litert.interpreter import Interpreter

from drsn_edge.models.config import DrsnConfig, Stage
from drsn_edge.models.drsn import build_model
from quantize.convert import Int8Model, to_int8

WINDOW, AXES, CLASSES = 96, 2, 3
CONFIG = DrsnConfig(WINDOW, AXES, CLASSES, 8, 7, 2, (Stage(8, 1, 2), Stage(12, 1, 2)), 3)

Predict = Callable[[bytes, NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Trained:
    """A trained network, windows that set its ranges, and others to judge it by."""

    model: Any
    calibration: NDArray[np.float32]
    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]


def _tones(n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return windows (n, 1, WINDOW, AXES) that hold 3, 9 or 27 periods of a sine in noise, and which."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, n)
    time = np.arange(WINDOW)[None, :, None] / WINDOW
    phases = rng.uniform(0, 2 * np.pi, (n, 1, AXES))
    tones = np.sin(2 * np.pi * 3.0 ** (labels[:, None, None] + 1) * time + phases)
    return (1.3 * tones + 0.4 * rng.standard_normal(tones.shape)).astype(np.float32)[:, None], labels


@pytest.fixture(scope="session")
def trained() -> Trained:
    keras.utils.set_random_seed(7)
    inputs, labels = _tones(768, seed=1)
    model = build_model(CONFIG)
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(inputs, labels, batch_size=32, epochs=6, verbose=0)
    return Trained(model, inputs[:96], *_tones(300, seed=2))


@pytest.fixture(scope="session")
def int8(trained: Trained) -> Int8Model:
    return to_int8(trained.model, trained.calibration)


@pytest.fixture(scope="session")
def int8_edgetpu(trained: Trained) -> Int8Model:
    return to_int8(trained.model, trained.calibration, "edgetpu")


@pytest.fixture(scope="session")
def interpret() -> Predict:
    """Return an interpreter of its own: nothing of drsn_edge's is trusted here."""

    def logits(data: bytes, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        interpreter = Interpreter(model_content=data)
        interpreter.allocate_tensors()
        (end_in,), (end_out,) = interpreter.get_input_details(), interpreter.get_output_details()
        scale, zero = end_in["quantization"]
        result = []
        for window in inputs:
            codes = np.clip(np.round(window[None] / scale) + zero, -128, 127).astype(np.int8)
            interpreter.set_tensor(end_in["index"], codes)
            interpreter.invoke()
            result.append(interpreter.get_tensor(end_out["index"])[0].astype(np.float32))
        scale, zero = end_out["quantization"]
        return (np.array(result) - zero) * np.float32(scale)

    return logits
