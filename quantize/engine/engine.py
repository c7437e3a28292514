"""The graph: from a .tflite file's bytes to codes, tensor by tensor."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.engine import convolution, elementwise, pooling, reduction, shapes, tables
from quantize.engine.fixed_point import FloatArray, Int8Array
from quantize.engine.node import MAX_ELEMENTS, Kernel, Node, Quantization, dequantize, quantization
from quantize.errors import ModelFileError, UnsupportedOperatorError
from quantize.tflite.file import ModelFile, Operator, Tensor, read_model

BUILDERS: dict[str, Callable[[Node], Kernel]] = {
    "ADD": elementwise.add,
    "SUB": elementwise.add,
    "MUL": elementwise.mul,
    "MAXIMUM": elementwise.extremum,
    "MINIMUM": elementwise.extremum,
    "CONV_2D": convolution.conv_2d,
    "DEPTHWISE_CONV_2D": convolution.depthwise_conv_2d,
    "FULLY_CONNECTED": convolution.fully_connected,
    "MEAN": reduction.mean,
    "LOGISTIC": tables.curve,
    "TANH": tables.curve,
    "RELU": tables.relu,
    "RELU6": tables.relu,
    "LEAKY_RELU": tables.leaky_relu,
    "ABS": tables.absolute,
    "QUANTIZE": tables.requantize,
    "AVERAGE_POOL_2D": pooling.average_pool_2d,
    "MAX_POOL_2D": pooling.max_pool_2d,
    "RESHAPE": shapes.reshape,
    "CONCATENATION": shapes.concatenation,
    "PAD": shapes.pad,
}
"""The operators that the engine runs."""

MAX_WORK = 2**31
"""Multiply-accumulates for one window, a pass over an element counted as 16: some seconds."""

_PASS = 16
_CHUNK_ELEMENTS = 2**19
"""Elements that the windows computed together may need at a time, so that they stay near the processor."""

Array = NDArray[Any]


@dataclass(frozen=True)
class _Step:
    """One operator: which tensors it reads, which one it writes."""

    kernel: Kernel
    inputs: tuple[int, ...]
    output: int


class Engine:
    """An int8 .tflite file, run in integers by NumPy alone.

    Attributes:
        file: What the file says.
        input: Index of the input tensor.
        outputs: Indices of the output tensors.
    """

    def __init__(self, model: bytes) -> None:
        """Prepare a model: read it, check every tensor, and compute what does not depend on the windows.

        Raises:
            ModelFileError: If the bytes are no whole .tflite file, or its tensors do not fit its operators.
            UnsupportedOperatorError: If an operator is not in `BUILDERS`, or in a form that the engine does not run.
        """
        self.file = read_model(model)
        self.input, self.outputs = _ends(self.file)
        self._steps = _steps(self.file, self.input)
        used = {index for step in self._steps for index in step.inputs}
        constants = [index for index in sorted(used) if self.file.tensors[index].data is not None]
        self._constants = {index: self.file.tensors[index].array for index in constants}
        self._real_constants = {index: _real(self.file.tensors[index]) for index in constants}
        written = [self.input, *(step.output for step in self._steps)]
        largest = max(math.prod(self.file.tensors[index].shape) for index in written)
        scratch = max((step.kernel.scratch for step in self._steps), default=0)
        self._chunk = max(1, _CHUNK_ELEMENTS // max(largest, scratch))
        self._last_use = _last_use(self._steps)

    def quantization(self, tensor: int) -> Quantization:
        """Return scale and zero point of an activation, by its index in the file."""
        return quantization(self.file.tensors[tensor])

    def run(self, inputs_q: Int8Array) -> Int8Array:
        """Return the codes of the first output, shape (n, ...).

        Args:
            inputs_q: Codes of the windows, shape (n, ...) as the input tensor but for its first axis.

        Raises:
            ModelFileError: If the codes are not int8 of that shape.
        """
        self._check(inputs_q, np.int8)
        result = np.empty((len(inputs_q), *_plain_shape(self.file.tensors[self.outputs[0]])), np.int8)
        for first in range(0, len(inputs_q), self._chunk):
            part = slice(first, first + self._chunk)
            result[part] = self._values(inputs_q[part], real=False, keep=False)[self.outputs[0]].reshape(
                result[part].shape
            )
        return result

    def trace(self, inputs_q: Int8Array) -> Mapping[int, Int8Array]:
        """Return the codes of every activation by its index in the file, in the order of the graph.

        Each has shape (n, ...): that of the tensor, without its batch of 1 where it has one, behind the windows' axis.

        Args:
            inputs_q: As for `run`; all intermediate results of all of them are kept.

        Raises:
            ModelFileError: If the codes are not int8 of the input's shape.
        """
        self._check(inputs_q, np.int8)
        return self._plain(self._values(inputs_q, real=False, keep=True))

    def step_times_s(self, inputs_q: Int8Array) -> list[tuple[str, float]]:
        """Return the name of each operator with the time that it took for all of the windows, in the graph's order.

        Args:
            inputs_q: As for `trace`.

        Raises:
            ModelFileError: If the codes are not int8 of the input's shape.
        """
        self._check(inputs_q, np.int8)
        values: dict[int, Array] = {self.input: np.ascontiguousarray(inputs_q)[:, None]}
        times = []
        for step, operator in zip(self._steps, self.file.operators, strict=True):
            operands = [values[index] if index in values else self._constants[index] for index in step.inputs]
            began = time.perf_counter()
            values[step.output] = step.kernel.integer(*operands)
            times.append((operator.name, time.perf_counter() - began))
        return times

    def trace_float(self, inputs: FloatArray) -> Mapping[int, FloatArray]:
        """Return the real values of every activation: the same graph in float32 on dequantised constants.

        Nothing is rounded or saturates but by a fused activation. What differs from `trace` is the quantization of the
        activations alone.

        Args:
            inputs: Real windows, float32, shape as for `run`.

        Raises:
            ModelFileError: If they are of another type or shape.
        """
        self._check(inputs, np.float32)
        return self._plain(self._values(inputs, real=True, keep=True))

    def recompute(self, values: Mapping[int, Int8Array]) -> Mapping[int, Int8Array]:
        """Return what each operator makes of operands that another implementation computed.

        So the difference of an operator shows by itself, not mixed with those of the operators before it.

        Args:
            values: Codes of every activation by its index in the file, shape (n, ...) as `trace` returns them.
        """
        whole = {index: x.reshape(len(x), *self.file.tensors[index].shape) for index, x in values.items()}
        known = {**self._constants, **whole}
        return self._plain(
            {step.output: step.kernel.integer(*(known[index] for index in step.inputs)) for step in self._steps}
        )

    def _plain(self, values: dict[int, Array]) -> dict[int, Array]:
        return {index: x.reshape(len(x), *_plain_shape(self.file.tensors[index])) for index, x in values.items()}

    def _values(self, inputs: Array, *, real: bool, keep: bool) -> dict[int, Array]:
        constants = self._real_constants if real else self._constants
        values: dict[int, Array] = {self.input: np.ascontiguousarray(inputs)[:, None]}
        for number, step in enumerate(self._steps):
            operands = [values[index] if index in values else constants[index] for index in step.inputs]
            values[step.output] = (step.kernel.real if real else step.kernel.integer)(*operands)
            if not keep:
                values = {index: value for index, value in values.items() if self._needed(index, number)}
        return values

    def _needed(self, tensor: int, step: int) -> bool:
        """Tell whether a tensor is still needed after the step of this number."""
        return tensor == self.outputs[0] or self._last_use.get(tensor, -1) > step

    def _check(self, inputs: Array, dtype: Any) -> None:
        shape = self.file.tensors[self.input].shape[1:]
        if inputs.dtype != dtype or inputs.shape[1:] != shape or inputs.ndim != len(shape) + 1:
            raise ModelFileError(
                f"Expected windows of shape (n, {', '.join(map(str, shape))}) in {np.dtype(dtype)}, got "
                f"{inputs.shape} in {inputs.dtype}."
            )


def _ends(file: ModelFile) -> tuple[int, tuple[int, ...]]:
    if len(file.inputs) != 1 or not file.outputs or min(file.inputs + file.outputs) < 0:
        raise UnsupportedOperatorError(
            f"Expected a model of one input and at least one output, got {len(file.inputs)} and {len(file.outputs)}. "
            "Use another runtime."
        )
    return file.inputs[0], file.outputs


def _steps(file: ModelFile, start: int) -> tuple[_Step, ...]:
    """Return the operators made ready, in the file's order.

    Raises:
        ModelFileError: If a tensor does not fit, or is read before it is written.
        UnsupportedOperatorError: If an operator is none of `BUILDERS`.
    """
    _check_activation(file.tensors[start], file.tensors[start].shape)
    if len(file.tensors[start].shape) < 2 or file.tensors[start].shape[0] != 1:
        raise UnsupportedOperatorError(f"Expected an input with a batch of 1, got shape {file.tensors[start].shape}.")
    written, steps, work = {start}, [], 0
    for operator in file.operators:
        step = _step(file, operator, written)
        written.add(step.output)
        steps.append(step)
        work += step.kernel.work + _PASS * math.prod(step.kernel.shape)
        if work > MAX_WORK:
            raise ModelFileError("Expected a network for a gateway, got one of more than two billion operations.")
    if not written.issuperset(file.outputs):
        raise ModelFileError("Expected outputs that an operator computes, got others.")
    return tuple(steps)


def _step(file: ModelFile, operator: Operator, written: set[int]) -> _Step:
    if operator.name not in BUILDERS:
        raise UnsupportedOperatorError(
            f"Expected operators that the NumPy engine runs, got {operator.name}. Use another runtime."
        )
    if len(operator.outputs) != 1 or operator.outputs[0] < 0 or operator.outputs[0] in written:
        raise ModelFileError(f"Expected {operator.name} to write one tensor that none wrote before, got another list.")
    inputs = tuple(index for index in operator.inputs if index >= 0)
    if any(index not in written and file.tensors[index].data is None for index in inputs):
        raise ModelFileError(f"Expected {operator.name} to read tensors that are there, got one that comes later.")
    if written.isdisjoint(inputs):
        raise UnsupportedOperatorError(f"Expected {operator.name} on activations, got constants alone.")
    output = operator.outputs[0]
    operands = tuple(file.tensors[index] if index >= 0 else None for index in operator.inputs)
    kernel = _built(Node(operator, operands, file.tensors[output]))
    _check_operands(operator.name, kernel, len(inputs))
    _check_activation(file.tensors[output], kernel.shape)
    return _Step(kernel, inputs, output)


def _built(node: Node) -> Kernel:
    quantization(node.output)
    try:
        with np.errstate(all="ignore"):  # a factor that overflows is refused below
            return BUILDERS[node.name](node)
    except OverflowError as exc:
        raise ModelFileError(f"Expected scales around {node.name} that int8 kernels can bridge, got {exc}.") from exc


def _check_operands(name: str, kernel: Kernel, count: int) -> None:
    """Raise ModelFileError unless a kernel takes so many operands."""
    try:
        signature(kernel.integer).bind(*range(count))
    except TypeError as exc:
        raise ModelFileError(f"Expected another number of inputs of {name}, got {count}.") from exc


def _check_activation(tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ModelFileError unless a tensor holds int8 codes in the shape that was computed."""
    quantization(tensor)
    if tensor.shape != shape:
        raise ModelFileError(f"Expected shape {shape} in tensor {tensor.name!r}, got {tensor.shape}.")
    if min(shape, default=1) < 1 or math.prod(shape) > MAX_ELEMENTS:
        raise ModelFileError(f"Expected 1 to {MAX_ELEMENTS} elements in tensor {tensor.name!r}, got shape {shape}.")


def _plain_shape(tensor: Tensor) -> tuple[int, ...]:
    """Return a tensor's shape without its batch of 1, where it has one."""
    return tensor.shape[1:] if len(tensor.shape) > 1 and tensor.shape[0] == 1 else tensor.shape


def _last_use(steps: tuple[_Step, ...]) -> dict[int, int]:
    """Return the number of the last step that reads each tensor."""
    return {index: number for number, step in enumerate(steps) for index in step.inputs}


def _real(tensor: Tensor) -> Array:
    """Return a constant operand in real values; shapes and axes, which have no scale, as they are."""
    return dequantize(tensor) if tensor.scales else tensor.array
