"""Read a Keras model as a `Graph`: its computation in inference, with one step for each int8 operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from quantize.errors import ConversionError
from quantize.network.graph import FloatArray, Graph, Step

KNOWN = (
    "Conv2D, DepthwiseConv2D, Dense, BatchNormalization, ReLU, Activation (linear, relu, sigmoid), Dropout, Identity, "
    "Add, Subtract, Multiply, GlobalAveragePooling2D, Flatten, Reshape, and sums, differences, products, relu and "
    "means of keras.ops"
)
"""Layers and functions that a model may use, as the error names them."""


def read_keras(model: Any) -> Graph:
    """Return the steps of a functional Keras model with one input and one output.

    Raises:
        ConversionError: If it is another kind of model, or if a layer has no int8 form here; the error names the layer.
    """
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(outputs) != 1 or not hasattr(model, "operations"):
        raise ConversionError(
            "Only a functional Keras model with one input and one output can be converted.", "model_kind"
        )
    reader = _Reader()
    for operation in model.operations:
        reader.read(operation)
    output = reader.names[id(outputs[0])]
    steps = [step for step in reader.steps if step.name != output]
    return Graph((*steps, next(step for step in reader.steps if step.name == output)))


Operands = list[Any]
"""Names of steps (str) and numbers."""


class _Reader:
    """Collects the steps, and for each Keras tensor the name of the step that computes it."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.names: dict[int, str] = {}

    def read(self, operation: Any) -> None:
        kind, nodes = type(operation).__name__, operation._inbound_nodes
        if kind not in _READERS:
            raise ConversionError(
                f"Layer {operation.name!r} is a {kind}, which cannot be converted to int8. Use {KNOWN}.",
                "unknown_layer",
                layer=operation.name,
                kind=kind,
            )
        if len(nodes) != 1:
            raise ConversionError(
                f"Layer {operation.name!r} is used {len(nodes)} times. Use each layer once.",
                "shared_layer",
                layer=operation.name,
                got=len(nodes),
            )
        args = [value for value in nodes[0].arguments.args]
        listed = args[0] if args and isinstance(args[0], (list, tuple)) else args
        operands = [self.names.get(id(value), value) for value in listed]
        result = nodes[0].output_tensors[0]
        steps = _READERS[kind](operation, operands, tuple(result.shape[1:]))
        self.steps.extend(steps)
        self.names[id(result)] = steps[-1].name if steps else str(operands[0])


def _refuse(layer: Any, needs: str) -> ConversionError:
    return ConversionError(
        f"Layer {layer.name!r} cannot be converted to int8: it needs {needs}.",
        "layer_form",
        layer=layer.name,
        needs=needs,
    )


def _step(layer: Any, op: str, operands: Operands, shape: tuple[int, ...], **more: Any) -> list[Step]:
    if not all(isinstance(operand, str) for operand in operands):
        raise _refuse(layer, "tensors as operands")
    trainable = bool(getattr(layer, "trainable", True))
    return _activated(layer, Step(layer.name, op, tuple(operands), shape, trainable=trainable, **more))


def _activated(layer: Any, step: Step) -> list[Step]:
    """Return the step, and the step of the layer's activation if it has one."""
    activation = getattr(layer, "activation", None)
    name = keras.activations.serialize(activation) if activation is not None else "linear"
    if name == "linear":
        return [step]
    if name not in ("relu", "sigmoid"):
        raise _refuse(layer, "an activation among linear, relu and sigmoid")
    return [step, Step(f"{step.name}/{name}", str(name), (step.name,), step.shape)]


def _input(layer: Any, operands: Operands, shape: tuple[int, ...]) -> list[Step]:
    if None in shape:
        raise _refuse(layer, "a fixed shape")
    return [Step(layer.name, "input", (), shape)]


def _nothing(layer: Any, operands: Operands, shape: tuple[int, ...]) -> list[Step]:
    return []


def _convolution(op: str) -> Callable[[Any, Operands, tuple[int, ...]], list[Step]]:
    def read(layer: Any, operands: Operands, shape: tuple[int, ...]) -> list[Step]:
        if layer.data_format != "channels_last" or set(layer.dilation_rate) != {1} or getattr(layer, "groups", 1) != 1:
            raise _refuse(layer, "channels last, no dilation and no groups")
        if layer.padding not in ("same", "valid"):
            raise _refuse(layer, "padding same or valid")
        kernel, bias = _kernel_and_bias(layer)
        return _step(layer, op, operands, shape, kernel=kernel, bias=bias, strides=layer.strides, padding=layer.padding)

    return read


def _dense(layer: Any, operands: Operands, shape: tuple[int, ...]) -> list[Step]:
    kernel, bias = _kernel_and_bias(layer)
    return _step(layer, "dense", operands, shape, kernel=kernel, bias=bias)


def _kernel_and_bias(layer: Any) -> tuple[FloatArray, FloatArray | None]:
    weights = [np.asarray(array, np.float32) for array in layer.get_weights()]
    return weights[0], weights[1] if len(weights) > 1 else None


def _batch_norm(layer: Any, operands: Operands, shape: tuple[int, ...]) -> list[Step]:
    if layer.axis not in (-1, len(shape)):
        raise _refuse(layer, "the last axis")
    mean, variance = (
        keras.ops.convert_to_numpy(v).astype(np.float64) for v in (layer.moving_mean, layer.moving_variance)
    )
    gamma = keras.ops.convert_to_numpy(layer.gamma).astype(np.float64) if layer.scale else np.ones_like(mean)
    beta = keras.ops.convert_to_numpy(layer.beta).astype(np.float64) if layer.center else np.zeros_like(mean)
    factor = gamma / np.sqrt(variance + layer.epsilon)
    scale = Step(f"{layer.name}/scale", "scale", tuple(operands), shape, kernel=factor.astype(np.float32))
    offset = (beta - mean * factor).astype(np.float32)
    return [scale, Step(layer.name, "offset", (scale.name,), shape, bias=offset)]


def _relu(layer: Any, operands: Operands, shape: tuple[int, ...]) -> list[Step]:
    if getattr(layer, "negative_slope", 0.0) or getattr(layer, "threshold", 0.0) or getattr(layer, "max_value", None):
        raise _refuse(layer, "a plain relu")
    return _step(layer, "relu", operands, shape)


def _activation(layer: Any, operands: Operands, shape: tuple[int, ...]) -> list[Step]:
    name = keras.activations.serialize(layer.activation)
    if name not in ("relu", "sigmoid"):
        raise _refuse(layer, "an activation among relu and sigmoid")
    return [Step(layer.name, str(name), tuple(operands), shape)]


def _binary(op: str) -> Callable[[Any, Operands, tuple[int, ...]], list[Step]]:
    def read(layer: Any, operands: Operands, shape: tuple[int, ...]) -> list[Step]:
        numbers = [operand for operand in operands if not isinstance(operand, str)]
        if not numbers:
            return _sum_of_many(layer, op, operands, shape)
        first = operands[0]
        if len(operands) != 2 or not isinstance(first, str) or op not in ("mul", "add", "sub"):
            raise _refuse(layer, "a tensor and then a number")
        number = np.asarray(keras.ops.convert_to_numpy(operands[1]), np.float32)
        if op == "mul":
            return [Step(layer.name, "scale", (first,), shape, kernel=number)]
        return [Step(layer.name, "offset", (first,), shape, bias=number if op == "add" else -number)]

    return read


def _sum_of_many(layer: Any, op: str, operands: Operands, shape: tuple[int, ...]) -> list[Step]:
    """Return a chain of steps of two operands each."""
    steps, left = [], operands[0]
    for number, right in enumerate(operands[1:], start=2):
        name = layer.name if number == len(operands) else f"{layer.name}/{number}"
        steps.append(Step(name, op, (left, right), shape))
        left = name
    return steps


def _mean(layer: Any, operands: Operands, shape: tuple[int, ...]) -> list[Step]:
    axes = tuple(layer.axis) if isinstance(layer.axis, (tuple, list)) else (layer.axis,)
    if axes in ((-1,), (3,)) and layer.keepdims:
        return [_mean_over_channels(layer, operands, shape)]
    if axes != (1, 2):
        raise _refuse(layer, "a mean over the axes 1 and 2, or the last with its dimension kept")
    return _pooled(layer, operands, shape)


def _mean_over_channels(layer: Any, operands: Operands, shape: tuple[int, ...]) -> Step:
    """Return the mean as a 1x1 convolution, because MEAN over channels has no fast int8 kernel."""
    channels = layer._inbound_nodes[0].input_tensors[0].shape[-1]
    kernel = np.full((1, 1, channels, 1), 1 / channels, np.float32)
    return Step(layer.name, "conv", tuple(operands), shape, kernel=kernel, padding="valid", trainable=False)


def _pooled(layer: Any, operands: Operands, shape: tuple[int, ...]) -> list[Step]:
    channels = shape[-1]
    mean = Step(layer.name, "mean", tuple(operands), (1, 1, channels))
    if layer.keepdims:
        return [mean]
    return [mean, Step(f"{layer.name}/flat", "reshape", (mean.name,), (channels,))]


_READERS: Mapping[str, Callable[[Any, Operands, tuple[int, ...]], list[Step]]] = {
    "InputLayer": _input,
    "Dropout": _nothing,
    "Identity": _nothing,
    "Conv2D": _convolution("conv"),
    "DepthwiseConv2D": _convolution("depthwise"),
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "ReLU": _relu,
    "Relu": _relu,
    "Activation": _activation,
    "Sigmoid": lambda layer, operands, shape: _step(layer, "sigmoid", operands, shape),
    "Add": _binary("add"),
    "Subtract": _binary("sub"),
    "Multiply": _binary("mul"),
    "GlobalAveragePooling2D": _pooled,
    "Mean": _mean,
    "Flatten": lambda layer, operands, shape: _step(layer, "reshape", operands, shape),
    "Reshape": lambda layer, operands, shape: _step(layer, "reshape", operands, shape),
}
