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
"""Highest number of multiply-accumulates for one window, about some seconds; a pass over an element counts as 16."""

_PASS = 16
_CHUNK_ELEMENTS = 2**19
"""Highest number of elements that are computed together, so that they stay in the processor's cache."""

Array = NDArray[Any]


@dataclass(frozen=True)
class _Step:
    """One operator with the tensors that it reads and the tensor that it writes."""

    kernel: Kernel
    inputs: tuple[int, ...]
    output: int


class Engine:
    """An int8 .tflite file, run in integers by NumPy alone.

    Attributes:
        file: Contents of the file.
        input: Index of the input tensor.
        outputs: Indices of the output tensors.
    """

    def __init__(self, model: bytes) -> None:
        """Prepare a model: read it, check every tensor, and compute everything that does not depend on the windows.

        Raises:
            ModelFileError: If the bytes are not a complete .tflite file, or its tensors do not fit its operators.
            UnsupportedOperatorError: If an operator is not in `BUILDERS`, or has a form that the engine does not run.
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
        """Return the scale and zero point of an activation by its index in the file."""
        return quantization(self.file.tensors[tensor])

    def run(self, inputs_q: Int8Array) -> Int8Array:
        """Return the codes of the first output, shape (n, ...).

        Args:
            inputs_q: Codes of n windows, shape (n, *shape of the input tensor without its batch of 1).

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

        Each has shape (n, ...): an axis of n windows, then the shape of the tensor without its batch of 1, if any.

        Args:
            inputs_q: Codes as for `run`. All intermediate results of all windows are kept in memory.

        Raises:
            ModelFileError: If the codes are not int8 of the input's shape.
        """
        self._check(inputs_q, np.int8)
        return self._plain(self._values(inputs_q, real=False, keep=True))

    def step_times_s(self, inputs_q: Int8Array) -> list[tuple[str, float]]:
        """Return the name of each operator and its time for all windows in s, in the order of the graph.

        Args:
            inputs_q: Codes as for `trace`.

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
        """Return the real values of every activation: the same graph in float32 on dequantized constants.

        Values are not rounded, and saturate in fused activations only. The difference from `trace` is the quantization
        of the activations.

        Args:
            inputs: Real windows, float32, shape as for `run`.

        Raises:
            ModelFileError: If the windows have another type or shape.
        """
        self._check(inputs, np.float32)
        return self._plain(self._values(inputs, real=True, keep=True))

    def recompute(self, values: Mapping[int, Int8Array]) -> Mapping[int, Int8Array]:
        """Return the result of each operator on operands that another implementation computed.

        This shows the difference of each operator alone, without the differences of the operators before it.

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
        """Return whether a tensor is still needed after the step with this number."""
        return tensor == self.outputs[0] or self._last_use.get(tensor, -1) > step

    def _check(self, inputs: Array, dtype: Any) -> None:
        shape = self.file.tensors[self.input].shape[1:]
        if inputs.dtype != dtype or inputs.shape[1:] != shape or inputs.ndim != len(shape) + 1:
            raise ModelFileError(
                f"The model takes windows of shape (n, {', '.join(map(str, shape))}) in {np.dtype(dtype)}, got "
                f"{inputs.shape} in {inputs.dtype}.",
                "windows",
                expected_shape=shape,
                expected_type=str(np.dtype(dtype)),
                got_shape=inputs.shape,
                got_type=str(inputs.dtype),
            )


def _ends(file: ModelFile) -> tuple[int, tuple[int, ...]]:
    if len(file.inputs) != 1 or not file.outputs or min(file.inputs + file.outputs) < 0:
        raise UnsupportedOperatorError(
            f"The model has {len(file.inputs)} inputs and {len(file.outputs)} outputs. The NumPy engine runs models "
            "with one input and at least one output. Use another runtime.",
            "model_ends",
            inputs=len(file.inputs),
            outputs=len(file.outputs),
        )
    return file.inputs[0], file.outputs


def _steps(file: ModelFile, start: int) -> tuple[_Step, ...]:
    """Return the prepared operators in the file's order.

    Raises:
        ModelFileError: If a tensor does not fit, or is read before it is written.
        UnsupportedOperatorError: If an operator is not in `BUILDERS`.
    """
    _check_activation(file.tensors[start], file.tensors[start].shape)
    if len(file.tensors[start].shape) < 2 or file.tensors[start].shape[0] != 1:
        raise UnsupportedOperatorError(
            f"The model's input has shape {file.tensors[start].shape}. The NumPy engine runs inputs with a batch of 1. "
            "Use another runtime.",
            "batch",
            shape=file.tensors[start].shape,
        )
    written, steps, work = {start}, [], 0
    for operator in file.operators:
        step = _step(file, operator, written)
        written.add(step.output)
        steps.append(step)
        work += step.kernel.work + _PASS * math.prod(step.kernel.shape)
        if work > MAX_WORK:
            raise ModelFileError(
                f"The model needs more than {MAX_WORK} operations for a window, too many for a gateway. Use a smaller "
                "network.",
                "too_many_operations",
                limit=MAX_WORK,
            )
    if not written.issuperset(file.outputs):
        raise ModelFileError(
            "The model has an output that no operator computes. Convert the model again.", "output_not_computed"
        )
    return tuple(steps)


def _step(file: ModelFile, operator: Operator, written: set[int]) -> _Step:
    if operator.name not in BUILDERS:
        raise UnsupportedOperatorError(
            f"The NumPy engine does not run {operator.name}. Use another runtime.",
            "unknown_operator",
            operator=operator.name,
        )
    if len(operator.outputs) != 1 or operator.outputs[0] < 0 or operator.outputs[0] in written:
        raise ModelFileError(
            f"{operator.name} must write exactly one tensor, which no other operator writes. Convert the model again.",
            "operator_outputs",
            operator=operator.name,
        )
    inputs = tuple(index for index in operator.inputs if index >= 0)
    if any(index not in written and file.tensors[index].data is None for index in inputs):
        raise ModelFileError(
            f"{operator.name} reads a tensor that no earlier operator has written. Convert the model again.",
            "read_before_written",
            operator=operator.name,
        )
    if written.isdisjoint(inputs):
        raise UnsupportedOperatorError(
            f"{operator.name} reads constants alone, which the NumPy engine does not run. Use another runtime.",
            "constants_alone",
            operator=operator.name,
        )
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
        raise ModelFileError(
            f"The scales around {node.name} need {exc}, which int8 kernels cannot represent. Convert the model again.",
            "scale_factor",
            operator=node.name,
            reason=str(exc),
        ) from exc


def _check_operands(name: str, kernel: Kernel, count: int) -> None:
    """Raise ModelFileError unless a kernel takes `count` operands."""
    try:
        signature(kernel.integer).bind(*range(count))
    except TypeError as exc:
        raise ModelFileError(
            f"{name} has {count} inputs, and cannot have that many or that few. Convert the model again.",
            "input_count",
            operator=name,
            got=count,
        ) from exc


def _check_activation(tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ModelFileError unless a tensor holds int8 codes and has the computed shape."""
    quantization(tensor)
    if tensor.shape != shape:
        raise ModelFileError(
            f"Tensor {tensor.name!r} has shape {tensor.shape}, but its operator computes shape {shape}. Convert the "
            "model again.",
            "tensor_shape",
            tensor=tensor.name,
            expected=shape,
            got=tensor.shape,
        )
    if min(shape, default=1) < 1 or math.prod(shape) > MAX_ELEMENTS:
        raise ModelFileError(
            f"Tensor {tensor.name!r} has shape {shape}, but must have 1 to {MAX_ELEMENTS} elements. Convert the model "
            "again.",
            "tensor_elements",
            tensor=tensor.name,
            got=shape,
            limit=MAX_ELEMENTS,
        )


def _plain_shape(tensor: Tensor) -> tuple[int, ...]:
    """Return a tensor's shape without its batch of 1, if it has one."""
    return tensor.shape[1:] if len(tensor.shape) > 1 and tensor.shape[0] == 1 else tensor.shape


def _last_use(steps: tuple[_Step, ...]) -> dict[int, int]:
    """Return the number of the last step that reads each tensor."""
    return {index: number for number, step in enumerate(steps) for index in step.inputs}


def _real(tensor: Tensor) -> Array:
    """Return a constant operand in real values; shapes and axes have no scale and stay unchanged."""
    return dequantize(tensor) if tensor.scales else tensor.array
