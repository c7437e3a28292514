"""The operators of an int8 file that tflite-runtime 2.14, its last version, runs. Needs no interpreter.

The highest versions were measured with the wheel: its interpreter refuses a file with "Didn't find op for builtin
opcode" as soon as a version is one too high. tflite-runtime runs int8 operators with TFLite's own kernels, without
XNNPACK. It also runs dense layers that are quantized per channel, on one row and on several.
"""

from __future__ import annotations

from quantize.targets.placement import OperatorView

MAX_VERSIONS = {
    "ABS": 5, "ADD": 5, "AVERAGE_POOL_2D": 3, "BATCH_MATMUL": 4, "BROADCAST_TO": 3, "CAST": 5, "CONCATENATION": 4,
    "CONV_2D": 7, "DEPTHWISE_CONV_2D": 7, "DEQUANTIZE": 5, "DIV": 2, "EXPAND_DIMS": 1, "EXP": 2, "FULLY_CONNECTED": 10,
    "HARD_SWISH": 1, "LEAKY_RELU": 2, "LOGISTIC": 3, "MAXIMUM": 4, "MAX_POOL_2D": 3, "MEAN": 3, "MINIMUM": 4, "MUL": 7,
    "PACK": 4, "PAD": 4, "PADV2": 4, "QUANTIZE": 3, "RELU": 3, "RELU6": 3, "RESHAPE": 1, "RSQRT": 2, "SELECT_V2": 2,
    "SLICE": 6, "SOFTMAX": 3, "SQUARE": 1, "SQUARED_DIFFERENCE": 2, "SQUEEZE": 2, "STRIDED_SLICE": 8, "SUB": 5,
    "SUM": 2, "TANH": 3, "TRANSPOSE": 6,
}  # fmt: skip
"""Operators that an int8 file may hold, with the highest version that tflite-runtime 2.14.0 knows."""


def old_runtime_refuses(view: OperatorView) -> str | None:
    """Return why tflite-runtime 2.14 cannot run an operator; None if it can."""
    name, version = view.operator.name, view.operator.version
    if name not in MAX_VERSIONS:
        return "is not known to run in tflite-runtime 2.14"
    if version > MAX_VERSIONS[name]:
        return f"has version {version}; tflite-runtime 2.14 knows at most {MAX_VERSIONS[name]}"
    if name == "DIV" and any(tensor.type == "INT8" for tensor in view.activations):
        return "has no int8 kernel in tflite-runtime 2.14"
    return None
