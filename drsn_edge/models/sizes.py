"""What each preset costs on a gateway: measured on the int8 file, not estimated. Needs TensorFlow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from drsn_edge.models.config import DrsnConfig, count_macs
from drsn_edge.models.drsn import build_model
from quantize.convert import to_int8
from quantize.tflite.memory import peak_activation_bytes

_CALIBRATION_WINDOWS = 4


@dataclass(frozen=True)
class ModelSize:
    """One network's cost.

    Attributes:
        name: Of the preset.
        block: Block kind.
        window: Samples per window.
        parameters: Trainable ones.
        macs: Multiply-accumulates per window.
        int8_bytes: Length of the int8 .tflite file.
        peak_activation_bytes: Of that file; see `quantize.tflite.memory`.
    """

    name: str
    block: str
    window: int
    parameters: int
    macs: int
    int8_bytes: int
    peak_activation_bytes: int


def measure_model(name: str, config: DrsnConfig) -> ModelSize:
    """Build and convert an untrained network: its values do not matter to its size."""
    model = build_model(config)
    shape = (_CALIBRATION_WINDOWS, config.height, config.window, config.n_axes)
    int8 = to_int8(model, np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    return ModelSize(
        name=name,
        block=config.block,
        window=config.window,
        parameters=sum(math.prod(variable.shape) for variable in model.trainable_variables),
        macs=count_macs(config),
        int8_bytes=len(int8.data),
        peak_activation_bytes=peak_activation_bytes(int8.data),
    )
