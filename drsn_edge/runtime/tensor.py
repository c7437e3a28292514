"""Inputs and outputs of int8 models: name, shape and quantization of a tensor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorSpec:
    """An int8 input or output of a model: real = scale * (q - zero_point).

    Attributes:
        name: Name of the tensor.
        shape: Dimensions, the batch of 1 first.
        scale: Real value of one step of int8, above 0.
        zero_point: The int8 code that stands for 0.0, -128 to 127.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
