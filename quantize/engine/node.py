"""What a family of operators is given, and what it makes of it."""

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
"""Elements of one tensor for one window, or of the scratch behind it; a gateway's networks have some ten thousand."""


@dataclass(frozen=True)
class Quantization:
    """real = scale * (q - zero_point) for a whole tensor."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Kernel:
    """An operator made ready: everything that does not depend on the windows is computed.

    Attributes:
        integer: From the operands' int8 codes to the result's. Computed tensors have an axis of n windows in front of
            the shape that the file gives them, constants have not.
        real: The same in float32, on dequantised constants.
        shape: The result's for one window.
        work: Multiply-accumulates for one window, beside one pass over the result.
        scratch: Elements that one window needs in between.
    """

    integer: Callable[..., Int8Array]
    real: Callable[..., FloatArray]
    shape: Shape
    work: int = 0
    scratch: int = 0


@dataclass(frozen=True)
class Node:
    """An operator with its tensors; None stands for an optional input left out."""

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
        """Return an option that is a number.

        Raises:
            ModelFileError: If it is below the least that makes sense.
        """
        value = self.operator.options[key]
        if not isinstance(value, int) or value < least:
            raise ModelFileError(f"Expected {key} of at least {least} in {self.name}, got {value}.")
        return value

    def input(self, index: int) -> Tensor:
        """Return an input that must be there.

        Raises:
            ModelFileError: If it is left out.
        """
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None:
            raise ModelFileError(f"Expected an input {index} of {self.name}, got none.")
        return tensor

    def constant(self, index: int, type_name: str) -> NDArray[Any]:
        """Return an input that must be a constant of a type.

        Raises:
            ModelFileError: If it is left out or of another type.
            UnsupportedOperatorError: If it is computed.
        """
        tensor = self.input(index)
        if tensor.type != type_name:
            raise ModelFileError(f"Expected {type_name} in input {index} of {self.name}, got {tensor.type}.")
        if tensor.data is None:
            raise self.unsupported(f"whose input {index} is computed")
        return tensor.array

    def activation(self) -> str:
        """Return the fused activation.

        Raises:
            UnsupportedOperatorError: If it is none that int8 kernels fuse.
        """
        name = self.operator.options["activation"]
        if name not in REAL_BOUNDS:
            raise self.unsupported(f"with a fused {name}")
        return str(name)

    def same_quantization(self) -> None:
        """Raise ModelFileError unless all operands and the result share one scale and zero point."""
        given = {quantization(tensor) for tensor in self.inputs if tensor is not None and tensor.type == "INT8"}
        if given != {quantization(self.output)}:
            raise ModelFileError(f"Expected one scale for all tensors of {self.name}, got several.")

    def unsupported(self, how: str) -> UnsupportedOperatorError:
        """Return the error for a form of the operator that the engine does not run."""
        return UnsupportedOperatorError(
            f"Expected operators that the NumPy engine runs, got {self.name} {how}. Use another runtime."
        )


def quantization(tensor: Tensor) -> Quantization:
    """Return the quantization of an int8 tensor that has one scale.

    Raises:
        ModelFileError: If it is another kind, or its range is empty or not finite.
    """
    if tensor.type != "INT8" or len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        raise ModelFileError(
            f"Expected int8 with one scale in tensor {tensor.name!r}, got {tensor.type} with {len(tensor.scales)} "
            f"scales and {len(tensor.zero_points)} zero points."
        )
    check_scales(tensor)
    (zero_point,) = tensor.zero_points
    if not INT8_MIN <= zero_point <= INT8_MAX:
        raise ModelFileError(f"Expected a zero point from -128 to 127 in tensor {tensor.name!r}, got {zero_point}.")
    return Quantization(tensor.scales[0], zero_point)


def check_scales(tensor: Tensor) -> None:
    """Raise ModelFileError unless every scale of a tensor is above 0 and finite."""
    for scale in tensor.scales:
        if not (scale > 0 and math.isfinite(scale)):
            raise ModelFileError(f"Expected scales above 0 and finite in tensor {tensor.name!r}, got {scale}.")


def dequantize(tensor: Tensor) -> FloatArray:
    """Return the real values of an int8 or int32 constant, with one scale or one for each slice along its axis."""
    check_scales(tensor)
    array = tensor.array
    shape = [1] * array.ndim
    if len(tensor.scales) > 1:
        if not 0 <= tensor.axis < array.ndim or array.shape[tensor.axis] != len(tensor.scales):
            raise ModelFileError(
                f"Expected a scale for each slice of tensor {tensor.name!r}, got {len(tensor.scales)} along axis "
                f"{tensor.axis} of shape {array.shape}."
            )
        shape[tensor.axis] = -1
    if len(tensor.scales) == 0 or len(tensor.zero_points) != len(tensor.scales):
        raise ModelFileError(f"Expected scales and as many zero points in tensor {tensor.name!r}, got other numbers.")
    scales = np.array(tensor.scales, np.float64).reshape(shape)
    return (scales * (array.astype(np.float64) - np.array(tensor.zero_points).reshape(shape))).astype(np.float32)


def activate(x: FloatArray, activation: str) -> FloatArray:
    """Apply a fused activation to real values."""
    low, high = REAL_BOUNDS[activation]
    return x if activation == "NONE" else np.clip(x, np.float32(low), np.float32(high))
