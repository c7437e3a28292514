"""Every operator, bit for bit against TFLite's reference kernels, and its float twin against TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from quantize.engine import Engine
from quantize.engine.engine import BUILDERS

from .conftest import Reference, quantized, windows_for

SHAPE = (1, 6, 14, 4)


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def convolved(activation: Any = None, **arguments: Any) -> Callable[[Any], Any]:
    options = {"strides": 1, "padding": "SAME"} | arguments

    def function(x: Any) -> Any:
        y = tf.nn.conv2d(x, normal(3, 2, 4, 5), **options) + normal(5, seed=1)
        return activation(y) if activation else y

    return function


def depthwise(multiplier: int, strides: int, padding: str) -> Callable[[Any], Any]:
    kernel = normal(3, 2, 4, multiplier)
    return lambda x: tf.nn.depthwise_conv2d(x, kernel, (1, strides, strides, 1), padding) + normal(4 * multiplier)


def dense(bias: bool = True) -> Callable[[Any], Any]:
    return lambda x: tf.matmul(tf.reshape(x, (1, 336)), normal(336, 7)) + (normal(7, seed=2) if bias else 0.0)


CHANNELS = normal(4, seed=9)
UNEVEN = normal(1, 1, 4, 4) * 9.0**CHANNELS
CASES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "conv": ("CONV_2D", convolved()),
    "conv-relu": ("CONV_2D", convolved(tf.nn.relu)),
    "conv-relu6": ("CONV_2D", convolved(tf.nn.relu6)),
    "conv-valid-strided": ("CONV_2D", convolved(strides=(1, 2, 3, 1), padding="VALID")),
    "conv-same-strided": ("CONV_2D", convolved(strides=(1, 3, 2, 1))),
    "conv-dilated": ("CONV_2D", convolved(dilations=(1, 2, 3, 1))),
    "conv-without-bias": ("CONV_2D", lambda x: tf.nn.conv2d(x, normal(1, 5, 4, 3), 1, "SAME")),
    "conv-of-tiny-and-huge-channels": ("CONV_2D", lambda x: tf.nn.conv2d(x, UNEVEN, 1, "SAME")),
    "depthwise": ("DEPTHWISE_CONV_2D", depthwise(1, 1, "SAME")),
    "depthwise-strided": ("DEPTHWISE_CONV_2D", depthwise(1, 2, "VALID")),
    "depthwise-multiplied": ("DEPTHWISE_CONV_2D", depthwise(3, 1, "SAME")),
    "dense": ("FULLY_CONNECTED", dense()),
    "dense-without-bias": ("FULLY_CONNECTED", dense(bias=False)),
    "add": ("ADD", lambda x: x + tf.nn.relu(x * 3.0)),
    "add-constant": ("ADD", lambda x: x + CHANNELS),
    "add-relu": ("ADD", lambda x: tf.nn.relu(x + 0.01 * tf.nn.relu(x * -1.0))),
    "sub": ("SUB", lambda x: tf.nn.relu(x) - 100.0 * tf.nn.relu(x * -1.0)),
    "sub-relu": ("SUB", lambda x: tf.nn.relu(x - tf.reduce_mean(tf.nn.relu(x), (1, 2), keepdims=True))),
    "sub-from-constant": ("SUB", lambda x: 0.5 - x),
    "mul": ("MUL", lambda x: x * tf.nn.sigmoid(tf.reduce_mean(x, (1, 2), keepdims=True))),
    "mul-constant": ("MUL", lambda x: tf.nn.relu6(x * CHANNELS)),
    "mul-itself": ("MUL", lambda x: x * x),
    "maximum": ("MAXIMUM", lambda x: tf.maximum(x, x * -0.5)),
    "minimum": ("MINIMUM", lambda x: tf.minimum(x, 0.25)),
    "mean": ("MEAN", lambda x: tf.reduce_mean(x * 2.0, (1, 2), keepdims=True)),
    "mean-dropping-axes": ("MEAN", lambda x: tf.reduce_mean(x, (1, 2))),
    "mean-over-channels": ("MEAN", lambda x: tf.reduce_mean(x, -1, keepdims=True)),
    "mean-of-everything": ("MEAN", lambda x: tf.reduce_mean(x, (3, 1, 2), keepdims=True)),
    "mean-over-the-batch": ("MEAN", lambda x: tf.reduce_mean(tf.reshape(x, (3, 14, 8)), 0)),
    "logistic": ("LOGISTIC", tf.nn.sigmoid),
    "tanh": ("TANH", tf.nn.tanh),
    "relu": ("RELU", tf.nn.relu),
    "relu6": ("RELU6", tf.nn.relu6),
    "leaky-relu": ("LEAKY_RELU", lambda x: tf.nn.leaky_relu(x, 0.3)),
    "leaky-relu-absolute": ("LEAKY_RELU", lambda x: tf.nn.leaky_relu(x, -1.0)),
    "abs": ("ABS", tf.abs),
    "average-pool": ("AVERAGE_POOL_2D", lambda x: tf.nn.avg_pool2d(x, (2, 3), (1, 2), "SAME")),
    "average-pool-valid": ("AVERAGE_POOL_2D", lambda x: tf.nn.avg_pool2d(x, 3, 1, "VALID")),
    "max-pool": ("MAX_POOL_2D", lambda x: tf.nn.max_pool2d(x, (3, 2), 2, "SAME")),
    "reshape": ("RESHAPE", lambda x: tf.reshape(x, (1, 14, 24))),
    "reshape-without-a-batch": ("RESHAPE", lambda x: tf.reshape(x, (84, 4)) * CHANNELS),
    "add-of-fewer-axes": ("ADD", lambda x: x + tf.reshape(tf.reduce_mean(x, (1, 2)), (4,))),
    "dense-of-rows": ("FULLY_CONNECTED", lambda x: tf.matmul(tf.reshape(x, (84, 4)), normal(4, 3)) + normal(3)),
    "conv-of-a-batch": ("CONV_2D", lambda x: tf.nn.conv2d(tf.reshape(x, (2, 3, 14, 4)), normal(2, 2, 4, 3), 1, "SAME")),
    "pool-of-a-batch": ("AVERAGE_POOL_2D", lambda x: tf.nn.avg_pool2d(tf.reshape(x, (2, 3, 14, 4)), 2, 1, "SAME")),
    "concatenation-of-a-batch": ("CONCATENATION", lambda x: tf.concat([x, x * 0.5], 0)),
    "concatenation": ("CONCATENATION", lambda x: tf.concat([x, x * -2.0, tf.nn.relu(x)], 2)),
    "pad": ("PAD", lambda x: tf.pad(x, ((0, 0), (1, 2), (0, 3), (2, 0)))),
    "quantize": ("QUANTIZE", lambda x: tf.maximum(x * 3.0, tf.nn.sigmoid(x))),
}  # fmt: skip


@pytest.mark.parametrize("offset", [0.0, 2.0], ids=["centred", "shifted"])
@pytest.mark.parametrize("name", CASES)
def test_codes_are_those_of_the_reference_kernels(name: str, offset: float) -> None:
    operator, function = CASES[name]
    model = quantized(function, SHAPE, offset=offset)
    engine, reference = Engine(model), Reference(model)
    assert operator in {each.name for each in engine.file.operators}
    windows = windows_for(SHAPE)
    ours = engine.trace(windows)
    theirs = reference.trace(windows, tuple(ours))
    for index, codes in ours.items():
        np.testing.assert_array_equal(codes, theirs[index], err_msg=engine.file.tensors[index].name)
    np.testing.assert_array_equal(engine.run(windows), theirs[engine.outputs[0]])


def test_every_operator_is_tried() -> None:
    assert {operator for operator, _ in CASES.values()} == set(BUILDERS)


@pytest.mark.parametrize("name", ["dense", "dense-without-bias"])
def test_dense_layers_with_one_scale(name: str) -> None:
    model = quantized(CASES[name][1], SHAPE, per_channel_dense=False)
    engine = Engine(model)
    weights = [engine.file.tensors[op.inputs[1]] for op in engine.file.operators if op.name == "FULLY_CONNECTED"]
    assert [len(tensor.scales) for tensor in weights] == [1]
    windows = windows_for(SHAPE)
    theirs = Reference(model).trace(windows, engine.outputs)
    np.testing.assert_array_equal(engine.run(windows), theirs[engine.outputs[0]])


@pytest.mark.parametrize("seed", range(6))
def test_the_logistic_at_many_scales(seed: int) -> None:
    spread = float(10.0 ** np.random.default_rng(seed).uniform(-2, 2))
    model = quantized(tf.nn.sigmoid, (1, 256), spread=spread, offset=spread * (seed - 3))
    engine = Engine(model)
    codes = np.arange(-128, 128).astype(np.int8)[None]
    theirs = Reference(model).trace(codes, engine.outputs)
    np.testing.assert_array_equal(engine.run(codes), theirs[engine.outputs[0]])


@pytest.mark.parametrize("name", [name for name in CASES if not name.endswith("constant") and "huge" not in name])
def test_the_float_twin_computes_the_function(name: str) -> None:
    """Within the rounding of the weights: half a step of each, which the twin keeps."""
    _, function = CASES[name]
    engine = Engine(quantized(function, SHAPE))
    windows = np.random.default_rng(3).normal(size=(3, *SHAPE[1:])).astype(np.float32)
    found = engine.trace_float(windows)[engine.outputs[0]]
    expected = np.stack([np.asarray(function(tf.constant(window[None]))) for window in windows]).reshape(found.shape)
    assert found.dtype == np.float32
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.02 * np.sqrt(np.mean(expected**2)) + 1e-6
