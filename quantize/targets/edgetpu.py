"""Which operators of an int8 file the Edge TPU of a Coral runs. Needs no TensorFlow and no compiler.

The compiler makes one partition for the Edge TPU, from the input to the first operator that does not map. That operator
and all operators behind it run on the CPU.

Operators and restrictions are those that Coral publishes ("TensorFlow models on the Edge TPU", supported operations).
MEAN is restricted only if it reduces over the channels: their number must then be a multiple of 4. The highest versions
of the operators in `_KNOWN_VERSIONS` are those of the last compiler, 16.0. For the other operators Coral publishes no
version: the first version with int8 is taken as the highest. Grouped convolutions are not on the list and are refused.
`quantize.targets.edgetpu_compiler` runs the compiler itself if it is installed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from quantize.targets.placement import OperatorView, Placement, place
from quantize.tflite.file import ModelFile, Tensor

_KNOWN_VERSIONS = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "ADD": 2, "SUB": 2, "MUL": 2, "MAXIMUM": 2,
    "MINIMUM": 2, "MEAN": 2, "LOGISTIC": 2, "RELU": 2,
}  # fmt: skip
_ASSUMED_VERSIONS = {
    "AVERAGE_POOL_2D": 2, "CONCATENATION": 2, "EXPAND_DIMS": 1, "L2_NORMALIZATION": 2, "MAX_POOL_2D": 2, "PACK": 2,
    "PAD": 2, "PRELU": 1, "QUANTIZE": 2, "REDUCE_MAX": 2, "REDUCE_MIN": 2, "RELU6": 2, "RELU_N1_TO_1": 1,
    "RESHAPE": 1, "RESIZE_BILINEAR": 2, "RESIZE_NEAREST_NEIGHBOR": 2, "RSQRT": 2, "SLICE": 2, "SOFTMAX": 2,
    "SPACE_TO_DEPTH": 2, "SPLIT": 2, "SQUARED_DIFFERENCE": 2, "SQUEEZE": 1, "STRIDED_SLICE": 2, "SUM": 2, "TANH": 2,
    "TRANSPOSE": 2, "TRANSPOSE_CONV": 2,
}  # fmt: skip
MAX_VERSIONS = _KNOWN_VERSIONS | _ASSUMED_VERSIONS
"""The Edge TPU's operators with their highest versions."""

_MAX_SOFTMAX = 16_000
_Z_FACTOR = 4


def edgetpu_placement(file: ModelFile) -> Placement:
    """Return which operators map, each judged by itself."""
    return place(file, edgetpu_refuses)


def edgetpu_mapped(file: ModelFile) -> int:
    """Return the number of operators that run on the Edge TPU: all before the first that does not map."""
    refusals = edgetpu_placement(file).refusals
    return refusals[0].index if refusals else len(file.operators)


def edgetpu_refuses(view: OperatorView) -> str | None:
    """Return why an operator does not map to the Edge TPU; None if it does."""
    name, version = view.operator.name, view.operator.version
    if name not in MAX_VERSIONS:
        return "is not among the Edge TPU's operators"
    if version > MAX_VERSIONS[name]:
        return f"has version {version}; the Edge TPU's compiler knows at most {MAX_VERSIONS[name]}"
    for tensor in view.activations:
        if reason := _activation_reason(tensor):
            return reason
    rule = _RULES.get(name)
    return rule(view) if rule else None


def _activation_reason(tensor: Tensor) -> str | None:
    shape = tensor.shape
    if tensor.type not in ("INT8", "UINT8"):
        return f"works on {tensor.type} ({tensor.name!r})"
    if any(size < 1 for size in shape):
        return f"works on a tensor without a fixed size ({tensor.name!r}, {_dims(shape)})"
    if len(shape) > 4:
        return f"works on {len(shape)} dimensions ({_dims(shape)})"
    if math.prod(shape[:-3]) != 1:
        return f"works on a batch of {math.prod(shape[:-3])} ({_dims(shape)})"
    return None


def _convolution(view: OperatorView) -> str | None:
    options = view.operator.options
    if options.get("dilation_h", 1) != options.get("dilation_w", 1):
        return (
            f"has different dilations in its two dimensions ({options.get('dilation_h')} and "
            f"{options.get('dilation_w')})"
        )
    return _constants(view)


def _conv_2d(view: OperatorView) -> str | None:
    x, kernel = view.input(0), view.input(1)
    if x is not None and kernel is not None and x.shape[-1:] != kernel.shape[-1:]:
        return f"is grouped: its input has {_dims(x.shape[-1:])} channels, its kernels have {_dims(kernel.shape[-1:])}"
    return _convolution(view)


def _fully_connected(view: OperatorView) -> str | None:
    weights, output = view.input(1), view.output
    if view.operator.options.get("weights_format", "DEFAULT") != "DEFAULT":
        return "has weights in a format other than the default"
    if view.operator.options.get("keep_num_dims"):
        return "keeps its dimensions, which the Edge TPU does not support"
    if output is not None and math.prod(output.shape[:-1]) != 1:
        return f"has more than one row ({_dims(output.shape)})"
    if view.input(2) is None:
        return "has no bias"
    if weights is not None and len(weights.scales) > 1:
        return "is quantized per channel, which the Edge TPU does not support for dense layers"
    return _constants(view)


def _constants(view: OperatorView) -> str | None:
    computed = any(tensor is not None and tensor.data is None for tensor in (view.input(1), view.input(2)))
    return "has weights that are not constants" if computed else None


def _reduction(view: OperatorView) -> str | None:
    x, axes = view.input(0), view.values(1)
    if x is None or axes is None:
        return "has axes that are not constants"
    rank = len(x.shape)
    reduced = {int(axis) % rank for axis in axes} if rank else set()
    if rank == 4 and 0 in reduced:
        return "reduces over the batch"
    if rank and rank - 1 in reduced and x.shape[-1] % _Z_FACTOR:
        return f"reduces over {x.shape[-1]} channels, not a multiple of {_Z_FACTOR}"
    return None


def _without_activation(view: OperatorView) -> str | None:
    return None if view.activation == "NONE" else f"has the fused activation {view.activation}"


def _softmax(view: OperatorView) -> str | None:
    x = view.input(0)
    if x is not None and (math.prod(x.shape[:-1]) != 1 or math.prod(x.shape) > _MAX_SOFTMAX):
        return f"works on {_dims(x.shape)} instead of one row of at most {_MAX_SOFTMAX}"
    return None


def _strided_slice(view: OperatorView) -> str | None:
    strides, options = view.values(3), view.operator.options
    if strides is None or (strides != 1).any():
        return "has strides other than 1"
    return "adds a dimension" if options.get("ellipsis_mask") or options.get("new_axis_mask") else None


_RULES: dict[str, Callable[[OperatorView], str | None]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _fully_connected,
    "MEAN": _reduction,
    "SUM": _reduction,
    "REDUCE_MAX": _reduction,
    "REDUCE_MIN": _reduction,
    "AVERAGE_POOL_2D": _without_activation,
    "MAX_POOL_2D": _without_activation,
    "CONCATENATION": _without_activation,
    "SOFTMAX": _softmax,
    "STRIDED_SLICE": _strided_slice,
}


def _dims(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a scalar"
