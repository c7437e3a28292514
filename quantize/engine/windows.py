"""The positions of a convolution's or a pool's windows on its input.

Source: ComputePaddingHeightWidth and ComputeOutSize in tensorflow/lite/kernels/padding.h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.engine.node import MAX_ELEMENTS, Node
from quantize.errors import ModelFileError


@dataclass(frozen=True)
class Geometry:
    """Windows of an operator on its input; pairs are (height, width).

    Attributes:
        size: Taps of a window.
        stride: Distance between windows, in elements.
        dilation: Distance between taps, in elements.
        before: Elements of padding in front.
        padded: Extent of the input with its padding on both sides.
        output: Number of windows.
        batch: Batch of the input, nearly always 1.
        channels: Channels of the input.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    padded: tuple[int, int]
    output: tuple[int, int]
    batch: int
    channels: int

    @property
    def scratch(self) -> int:
        """Elements of the padded input and of its windows."""
        return self.batch * self.channels * (math.prod(self.padded) + math.prod(self.output) * math.prod(self.size))

    def windows(self, x: NDArray[Any], dtype: Any, subtract: int = 0, padding: float = 0.0) -> NDArray[Any]:
        """Return the windows of x - subtract, shape (n batch, output height, output width, height, width, channels).

        Args:
            x: Shape (n, batch, height, width, channels).
            dtype: Type of the result.
            subtract: Zero point of the input, so that padding is a real 0.
            padding: Value outside the input, after the subtraction.
        """
        x = x.reshape(-1, *x.shape[2:])
        n, height, width, channels = x.shape
        if self.size == self.stride == (1, 1):  # every element is a window, without padding
            return np.subtract(x, subtract, dtype=dtype).reshape(n, height, width, 1, 1, channels)
        padded = np.full((n, *self.padded, channels), padding, dtype)
        inner = padded[:, self.before[0] : self.before[0] + height, self.before[1] : self.before[1] + width]
        np.subtract(x[:, : inner.shape[1], : inner.shape[2]], subtract, out=inner, dtype=dtype)
        step_n, step_h, step_w, step_c = padded.strides
        return np.lib.stride_tricks.as_strided(
            padded,
            (n, *self.output, *self.size, channels),
            (
                step_n,
                step_h * self.stride[0],
                step_w * self.stride[1],
                step_h * self.dilation[0],
                step_w * self.dilation[1],
                step_c,
            ),
            writeable=False,
        )


def geometry(node: Node, height: int, width: int) -> Geometry:
    """Return the windows of an operator with height x width taps.

    Raises:
        ModelFileError: If no window fits, or they hold more than `MAX_ELEMENTS` elements.
    """
    batch, *extent, channels = node.input(0).shape
    options = node.operator.options
    stride = (node.number("stride_h", least=1), node.number("stride_w", least=1))
    dilation = (1, 1)
    if "dilation_h" in options:
        dilation = (node.number("dilation_h", least=1), node.number("dilation_w", least=1))
    spans = [
        _span(extent[axis], size, stride[axis], dilation[axis], same=options["padding"] == "SAME")
        for axis, size in enumerate((height, width))
    ]
    if any(count < 1 for _, _, count in spans):
        raise ModelFileError(
            f"The input of {node.name} measures {extent} (height, width), less than one window of it. Convert the "
            "model again.",
            "no_window",
            operator=node.name,
            got=extent,
        )
    (before_h, padded_h, out_h), (before_w, padded_w, out_w) = spans
    place = Geometry(
        (height, width), stride, dilation, (before_h, before_w), (padded_h, padded_w), (out_h, out_w), batch, channels
    )
    if place.scratch > MAX_ELEMENTS:
        raise ModelFileError(
            f"The windows of {node.name} hold {place.scratch} elements; at most {MAX_ELEMENTS} are allowed. Convert "
            "the model again.",
            "window_elements",
            operator=node.name,
            got=place.scratch,
            limit=MAX_ELEMENTS,
        )
    return place


def _span(extent: int, size: int, stride: int, dilation: int, *, same: bool) -> tuple[int, int, int]:
    """Return (padding in front, padded extent, windows) along one axis."""
    reach = (size - 1) * dilation + 1
    count = -(-extent // stride) if same else (extent - reach + stride) // stride
    missing = max(0, (count - 1) * stride + reach - extent)
    before = missing // 2
    return before, max(before + extent, (count - 1) * stride + reach), count
