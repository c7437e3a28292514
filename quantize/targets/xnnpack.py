"""Which operators of an int8 file XNNPACK runs on a CPU. Needs no TensorFlow and no interpreter.

After `Interpreter(...).allocate_tensors()` with the default delegate, each partition is one node named DELEGATE in
`_get_ops_details()`. The rules below agree with that count on ai-edge-litert 2.3 (x86-64) for one network per operator
and form; the tests compare the two on those networks and on the project's own. tflite-runtime 2.14 has no DELEGATE node
for an int8 file: XNNPACK's int8 kernels are switched off in it.

XNNPACK runs an ADD or SUB only if the scale of each input is 2^-10 to below 2^8 times that of the output. 0 - x is
therefore refused, because its constant 0 gets a scale near 4e-9; 1 - x and x * -1 are not.

Source: tensorflow/lite/delegates/xnnpack/xnnpack_delegate.cc.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from quantize.targets.placement import OperatorView, Placement, place
from quantize.tflite.file import ModelFile, Tensor

_ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
_SUM_RATIOS = (2.0**-10, 2.0**8)
_PRODUCT_RATIOS = (2.0**-16, 2.0**8)
_LEAKY_RATIOS = (2.0**-8, 2.0**7)
_MAX_DIMENSIONS = 6

FLOAT_OPERATORS = frozenset({"ADD", "SUB", "MUL", "NEG", "ABS"})
"""Operators that XNNPACK is known to run in float. In an int8 file they are islands, which the lint reports anyway."""


def xnnpack_placement(file: ModelFile) -> Placement:
    """Return which operators XNNPACK runs, and in how many partitions."""
    return place(file, xnnpack_refuses)


def xnnpack_refuses(view: OperatorView) -> str | None:
    """Return why XNNPACK leaves an operator to another kernel; None if XNNPACK runs it."""
    name = view.operator.name
    if name in ("QUANTIZE", "DEQUANTIZE"):
        return None
    if all(tensor.type == "FLOAT32" for tensor in view.activations):
        return None if name in FLOAT_OPERATORS else "has no known float kernel"
    if name not in INT8_RULES:
        return "has no fast int8 kernel"
    if any(tensor.type != "INT8" for tensor in view.activations):
        return "works on activations that are not int8"
    if any(len(tensor.shape) > _MAX_DIMENSIONS for tensor in view.tensors):
        return f"works on more than {_MAX_DIMENSIONS} dimensions"
    if view.activation not in _ACTIVATIONS:
        return f"has the fused activation {view.activation}"
    return INT8_RULES[name](view)


def _anything(view: OperatorView) -> str | None:
    return None


def _sum(view: OperatorView) -> str | None:
    ratios = [_scale(tensor) / _scale(view.output) for tensor in (view.input(0), view.input(1))]
    low, high = _SUM_RATIOS
    if not all(low <= ratio < high for ratio in ratios):
        return f"has an input whose scale is {min(ratios, key=_closeness):.2g} times its output's"
    return None


def _product(view: OperatorView) -> str | None:
    ratio = _scale(view.input(0)) * _scale(view.input(1)) / _scale(view.output)
    low, high = _PRODUCT_RATIOS
    return None if low <= ratio < high else f"has inputs whose scales' product is {ratio:.2g} times its output's scale"


def _leaky(view: OperatorView) -> str | None:
    above = _scale(view.input(0)) / _scale(view.output)
    below = abs(float(view.operator.options.get("alpha", math.nan)) * above)  # type: ignore[arg-type]
    low, high = _LEAKY_RATIOS
    if not all(low <= ratio <= high for ratio in (above, below)):
        return (
            f"has slopes of {above:.2g} above 0 and {below:.2g} below 0, in steps of its output per step of its input"
        )
    return None


def _weights(view: OperatorView) -> str | None:
    if any(tensor is not None and tensor.data is None for tensor in (view.input(1), view.input(2))):
        return "has weights that are not constants"
    if view.operator.options.get("weights_format", "DEFAULT") != "DEFAULT":
        return "has weights in a format other than the default"
    return None


def _reduction(view: OperatorView) -> str | None:
    return "has axes that are not constants" if view.values(1) is None else None


def _slice(view: OperatorView) -> str | None:
    return "has ends that are not constants" if view.values(1) is None or view.values(2) is None else None


def _max_pool(view: OperatorView) -> str | None:
    options = view.operator.options
    return "pools over a single position" if options.get("filter_h") == options.get("filter_w") == 1 else None


def _strided_slice(view: OperatorView) -> str | None:
    strides = view.values(3)
    if strides is None or (strides != 1).any():
        return "has strides other than 1"
    masks = ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    return "adds or removes a dimension" if any(view.operator.options.get(mask) for mask in masks) else None


INT8_RULES: dict[str, Callable[[OperatorView], str | None]] = {
    "ADD": _sum,
    "SUB": _sum,
    "MUL": _product,
    "CONV_2D": _weights,
    "DEPTHWISE_CONV_2D": _weights,
    "FULLY_CONNECTED": _weights,
    "TRANSPOSE_CONV": _anything,
    "MEAN": _reduction,
    "SUM": _reduction,
    "REDUCE_MAX": _reduction,
    "REDUCE_MIN": _reduction,
    "MAX_POOL_2D": _max_pool,
    "LOGISTIC": _anything,
    "TANH": _anything,
    "LEAKY_RELU": _leaky,
    "RESHAPE": _anything,
    "CONCATENATION": _anything,
    "SPLIT": _anything,
    "PAD": _anything,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
}
"""The operators that XNNPACK runs in int8, each with its conditions besides int8 activations."""


def _scale(tensor: Tensor | None) -> float:
    """Return the scale of a tensor; NaN if it does not have exactly one. Every comparison with NaN fails."""
    return tensor.scales[0] if tensor is not None and len(tensor.scales) == 1 and tensor.scales[0] > 0 else math.nan


def _closeness(ratio: float) -> float:
    """Return a smaller number the further a ratio is from 1."""
    return -abs(math.log(ratio)) if ratio > 0 else 0.0
