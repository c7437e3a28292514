"""The cost of each preset on a gateway, measured on its int8 file. Needs TensorFlow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
import numpy as np

from drsn_edge.models.config import DrsnConfig, count_macs
from drsn_edge.models.drsn import build_model
from quantize.convert import to_int8
from quantize.tflite.memory import peak_activation_bytes

_CALIBRATION_WINDOWS = 4


@dataclass(frozen=True)
class ModelSize:
    """The cost of one network.

    Attributes:
        name: Name of the preset.
        block: Block kind.
        window: Samples per window.
        parameters: Number of trainable parameters.
        macs: Multiply-accumulates of the trained network for one window, without fixed shortcuts; see
            `drsn_edge.models.config.count_macs`.
        int8_bytes: Length of the int8 .tflite file, in bytes.
        peak_activation_bytes: Peak memory of the file's activations, in bytes; see `quantize.tflite.memory`.
    """

    name: str
    block: str
    window: int
    parameters: int
    macs: int
    int8_bytes: int
    peak_activation_bytes: int


def measure_model(name: str, config: DrsnConfig) -> ModelSize:
    """Build and convert an untrained network, whose weights are always the same.

    Weights of equal bits are stored once, so that the length of the file varies by some bytes with the weights.
    """
    keras.utils.set_random_seed(0)
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
