"""What an operator's builder gets (`Node`), and what it returns (`Kernel`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.engine.fixed_point import INT8_MAX, INT8_MIN, REAL_BOUNDS, FloatArray, Int8Array
from quantize.errors import ModelFileError, UnsupportedOperatorError
from quantize.tflite.file import Operator, Tensor
from quantize.tflite.options import Option

Shape = tuple[int, ...]

MAX_ELEMENTS = 2**22
"""Highest number of elements of one tensor, or of its scratch memory, for one window. Networks for a gateway have
some ten thousand."""


@dataclass(frozen=True)
class Quantization:
    """real = scale * (q - zero_point) for a whole tensor."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Kernel:
    """A prepared operator: everything that does not depend on the windows is computed.

    Attributes:
        integer: Function from the int8 codes of the operands to those of the result. Computed tensors have an axis of
            n windows in front of their shape in the file; constants do not.
        real: The same function in float32, on dequantized constants.
        shape: Shape of the result for one window.
        work: Multiply-accumulates for one window, without the pass over the result.
        scratch: Elements of intermediate memory for one window.
    """

    integer: Callable[..., Int8Array]
    real: Callable[..., FloatArray]
    shape: Shape
    work: int = 0
    scratch: int = 0


@dataclass(frozen=True)
class Node:
    """An operator with its tensors; None stands for an optional input that is left out."""

    operator: Operator
    inputs: tuple[Tensor | None, ...]
    output: Tensor

    @property
    def name(self) -> str:
        """TFLite's name of the operator."""
        return self.operator.name

    def option(self, key: str) -> Option:
        """Return one of the operator's options."""
        return self.operator.options[key]

    def number(self, key: str, *, least: int) -> int:
        """Return an option that is a whole number.

        Raises:
            ModelFileError: If it is below `least`.
        """
        value = self.operator.options[key]
        if not isinstance(value, int) or value < least:
            raise ModelFileError(
                f"{self.name} has {key} = {value}, but needs at least {least}. Convert the model again.",
                "option_value",
                operator=self.name,
                option=key,
                got=value,
                least=least,
            )
        return value

    def input(self, index: int) -> Tensor:
        """Return a required input.

        Raises:
            ModelFileError: If it is left out.
        """
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None:
            raise ModelFileError(
                f"{self.name} has no input {index}. Convert the model again.",
                "no_input",
                operator=self.name,
                input=index,
            )
        return tensor

    def constant(self, index: int, type_name: str) -> NDArray[Any]:
        """Return an input that must be a constant of type `type_name`.

        Raises:
            ModelFileError: If it is left out or has another type.
            UnsupportedOperatorError: If it is computed.
        """
        tensor = self.input(index)
        if tensor.type != type_name:
            raise ModelFileError(
                f"Input {index} of {self.name} is {tensor.type}, but must be {type_name}. Convert the model again.",
                "input_type",
                operator=self.name,
                input=index,
                expected=type_name,
                got=tensor.type,
            )
        if tensor.data is None:
            raise self.unsupported(f"whose input {index} is computed")
        return tensor.array

    def activation(self) -> str:
        """Return the fused activation.

        Raises:
            UnsupportedOperatorError: If int8 kernels do not fuse it.
        """
        name = self.operator.options["activation"]
        if name not in REAL_BOUNDS:
            raise self.unsupported(f"with a fused {name}")
        return str(name)

    def same_quantization(self) -> None:
        """Raise ModelFileError unless all operands and the result share one scale and zero point."""
        given = {quantization(tensor) for tensor in self.inputs if tensor is not None and tensor.type == "INT8"}
        if given != {quantization(self.output)}:
            raise ModelFileError(
                f"The tensors of {self.name} have different scales, but must share one. Convert the model again.",
                "different_scales",
                operator=self.name,
            )

    def unsupported(self, how: str) -> UnsupportedOperatorError:
        """Return the error for a form of the operator that the engine does not run."""
        return UnsupportedOperatorError(
            f"The NumPy engine does not run {self.name} {how}. Use another runtime.",
            "operator_form",
            operator=self.name,
            form=how,
        )


def quantization(tensor: Tensor) -> Quantization:
    """Return the quantization of an int8 tensor that has one scale.

    Raises:
        ModelFileError: If the tensor is not int8 with one scale, or its range is empty or not finite.
    """
    if tensor.type != "INT8" or len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        raise ModelFileError(
            f"Tensor {tensor.name!r} is {tensor.type} with {len(tensor.scales)} scales and {len(tensor.zero_points)} "
            "zero points, but must be INT8 with one of each. Convert the model again.",
            "not_int8",
            tensor=tensor.name,
            type=tensor.type,
            scales=len(tensor.scales),
            zero_points=len(tensor.zero_points),
        )
    check_scales(tensor)
    (zero_point,) = tensor.zero_points
    if not INT8_MIN <= zero_point <= INT8_MAX:
        raise ModelFileError(
            f"Tensor {tensor.name!r} has the zero point {zero_point}, outside -128 to 127. Convert the model again.",
            "zero_point",
            tensor=tensor.name,
            got=zero_point,
        )
    return Quantization(tensor.scales[0], zero_point)


def check_scales(tensor: Tensor) -> None:
    """Raise ModelFileError unless every scale of a tensor is above 0 and finite."""
    for scale in tensor.scales:
        if not (scale > 0 and math.isfinite(scale)):
            raise ModelFileError(
                f"Tensor {tensor.name!r} has the scale {scale}, but scales must be finite and above 0. Convert the "
                "model again.",
                "scale",
                tensor=tensor.name,
                got=scale,
            )


def dequantize(tensor: Tensor) -> FloatArray:
    """Return the real values of an int8 or int32 constant with one scale, or with one for each slice along its axis."""
    check_scales(tensor)
    array = tensor.array
    shape = [1] * array.ndim
    if len(tensor.scales) > 1:
        if not 0 <= tensor.axis < array.ndim or array.shape[tensor.axis] != len(tensor.scales):
            raise ModelFileError(
                f"Tensor {tensor.name!r} has {len(tensor.scales)} scales along axis {tensor.axis} of shape "
                f"{array.shape}, but needs one for each slice. Convert the model again.",
                "scale_count",
                tensor=tensor.name,
                got=len(tensor.scales),
                axis=tensor.axis,
                shape=array.shape,
            )
        shape[tensor.axis] = -1
    if len(tensor.scales) == 0 or len(tensor.zero_points) != len(tensor.scales):
        raise ModelFileError(
            f"Tensor {tensor.name!r} has {len(tensor.scales)} scales and {len(tensor.zero_points)} zero points, but "
            "needs as many zero points as scales, and at least one. Convert the model again.",
            "zero_point_count",
            tensor=tensor.name,
            scales=len(tensor.scales),
            zero_points=len(tensor.zero_points),
        )
    scales = np.array(tensor.scales, np.float64).reshape(shape)
    return (scales * (array.astype(np.float64) - np.array(tensor.zero_points).reshape(shape))).astype(np.float32)


def activate(x: FloatArray, activation: str) -> FloatArray:
    """Apply a fused activation to real values."""
    low, high = REAL_BOUNDS[activation]
    return x if activation == "NONE" else np.clip(x, np.float32(low), np.float32(high))
