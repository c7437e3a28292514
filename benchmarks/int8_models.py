"""The networks of the int8 benchmarks: untrained, but with values like those after a training.

Speed depends on shapes and operators alone, but a converter also uses values: it would remove a batch normalization of
ones and zeros, or a range of zero width. Each network therefore gets random factors of batch normalization, and the
moving statistics of data that passes through it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from drsn_edge.models import drsn
from drsn_edge.models.config import preset
from drsn_edge.signal.windows import FloatArray
from quantize.convert import to_int8
from quantize.quiet import quiet_native_stderr

FORMS = ("rsbu-cw", "residual", "sign")
"""Our shrinkage block, the same block without shrinkage, and shrinkage as the authors' programs write it."""

TYPES = ("int8", "float32")
TASKS = {"1 axis, 10 classes": (1, 10), "3 axes, 13 classes": (3, 13)}
_WINDOW = 1024
_WINDOWS = 64
_STATISTICS_STEPS = 30
"""At a momentum of 0.9, all but 4 % of the moving statistics come from the data."""


@dataclass(frozen=True)
class Variant:
    """One .tflite file to measure."""

    form: str
    type: str
    data: bytes

    @property
    def name(self) -> str:
        return f"{self.form} {self.type}"


def build_variants(task: str, network: str = "small", forms: tuple[str, ...] = FORMS) -> list[Variant]:
    """Return every form of a preset in int8 and float32, for one of `TASKS`."""
    axes, classes = TASKS[task]
    windows = np.random.default_rng(0).standard_normal((_WINDOWS, 1, _WINDOW, axes)).astype(np.float32)
    variants = []
    for form in forms:
        model = build_network(network, form, axes, classes)
        settle(model, windows)
        int8 = naive_int8(model, windows) if form == "sign" else to_int8(model, windows).data
        variants += [Variant(form, "int8", int8), Variant(form, "float32", float32(model))]
    return variants


def build_network(network: str, form: str, axes: int, classes: int) -> Any:
    """Return an untrained Keras model of one of `FORMS`."""
    keras.utils.set_random_seed(0)
    block = "rsbu-cw" if form == "sign" else form
    config = preset(network, window=_WINDOW, n_axes=axes, n_classes=classes, block=block)
    if form != "sign":
        return drsn.build_model(config)
    with patch.object(drsn, "shrink", shrink_by_sign):
        return drsn.build_model(config)


def shrink_by_sign(x: Any, hidden: int, *, shared: bool, tau_name: str | None = None) -> Any:
    """Return `drsn.shrink` in the textbook form, whose SIGN has no int8 kernel."""
    pooled = ops.mean(ops.abs(x), axis=(1, 2), keepdims=True)
    tau = keras.layers.Multiply(name=tau_name)([drsn._subnet(pooled, hidden, x.shape[-1]), pooled])
    return ops.sign(x) * ops.maximum(ops.abs(x) - tau, 0.0)


def settle(model: Any, windows: FloatArray) -> None:
    """Draw the factors of batch normalization, and settle its statistics on windows (n, 1, window, axes)."""
    random = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(random.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(random.normal(0.0, 0.2, layer.beta.shape))
    for _ in range(_STATISTICS_STEPS):
        model(windows, training=True)


def float32(model: Any) -> bytes:
    """Return the same frozen graph as a float32 .tflite file."""
    return _convert(tf.lite.TFLiteConverter.from_concrete_functions([_frozen(model)]))


def naive_int8(model: Any, windows: FloatArray) -> bytes:
    """Return the model as int8, with float islands for operators without an int8 kernel."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([_frozen(model)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([window[None]] for window in windows)
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return _convert(converter)


def _frozen(model: Any) -> Any:
    """Return the model as a concrete function with batch 1 and constants instead of variables."""
    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    function = tf.function(lambda window: model(window, training=False)).get_concrete_function(spec)
    return convert_variables_to_constants_v2(function)


def _convert(converter: Any) -> bytes:
    with quiet_native_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data: bytes = converter.convert()
    return data
