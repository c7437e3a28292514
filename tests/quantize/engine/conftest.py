"""TFLite's reference kernels, the judge of the engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

Int8Array = NDArray[np.int8]


class Reference:
    """An interpreter with the reference kernels, every intermediate tensor kept."""

    def __init__(self, model: bytes) -> None:
        self._interpreter = Interpreter(
            model_content=model,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        self.shape = tuple(int(size) for size in self._input["shape"])

    def trace(self, inputs_q: Int8Array, tensors: Sequence[int]) -> dict[int, Int8Array]:
        """Return the codes of the tensors of these indices for windows (n, ...)."""
        found: dict[int, list[Int8Array]] = {index: [] for index in tensors}
        for window in inputs_q:
            self._interpreter.set_tensor(self._input["index"], window[None])
            self._interpreter.invoke()
            for index, parts in found.items():
                codes = self._interpreter.get_tensor(index)
                parts.append(codes[0] if codes.ndim > 1 and len(codes) == 1 else codes)
        return {index: np.stack(parts) for index, parts in found.items()}


def windows_for(shape: tuple[int, ...], seed: int = 0, n: int = 8) -> Int8Array:
    """Return random, moderate, extreme and constant codes, shape (3 n + 4, ...)."""
    rng = np.random.default_rng(seed)
    size = (n, *shape[1:])
    moderate = np.clip(np.rint(rng.normal(0, 30, size)), -128, 127)
    extreme = np.where(rng.random(size) < 0.5, -128, 127)
    constants = [np.full((1, *shape[1:]), code) for code in (-128, -1, 0, 127)]
    return np.concatenate([rng.integers(-128, 128, size), moderate, extreme, *constants]).astype(np.int8)


def quantized(
    function: Callable[[Any], Any],
    shape: tuple[int, ...],
    *,
    spread: float = 1.0,
    offset: float = 0.0,
    per_channel_dense: bool = True,
) -> bytes:
    """Return the int8 .tflite file of a function without variables, calibrated on normal noise."""
    rng = np.random.default_rng(5)
    samples = [(offset + spread * rng.standard_normal(shape)).astype(np.float32) for _ in range(24)]
    concrete = tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(shape))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: [[sample] for sample in samples]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = not per_channel_dense
    return bytes(converter.convert())


@pytest.fixture(scope="session")
def tones_model(int8: Any) -> bytes:
    """Return the int8 file of the network trained on tones."""
    return int8.data
