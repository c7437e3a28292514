"""The settings of TFLite's operators as named values. Needs no TensorFlow and no interpreter.

Source: the schema at tensorflow/compiler/mlir/lite/schema/schema.fbs (field numbers and defaults follow it).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quantize.tflite.flatbuffer import Table

Option = int | float | bool | str | tuple[int, ...]
Options = Mapping[str, Option]

_PADDINGS = ("SAME", "VALID")
_ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
_WEIGHTS_FORMATS = ("DEFAULT", "SHUFFLED4x16INT8")

Reader = Callable[[Table | None, int], Option]


@dataclass(frozen=True)
class _Layout:
    """The options of an operator: type number in the union, and fields in the schema's order from field 0.

    A field that is not used here is None.
    """

    type: int
    fields: tuple[tuple[str, Reader] | None, ...]


def read_options(name: str, type_number: int, table: Table | None) -> Options:
    """Return the options of an operator; options that the file lacks have the schema's defaults.

    Args:
        name: TFLite's name of the operator. An operator that is not in `_LAYOUTS` has no options.
        type_number: Type of the table in the union `BuiltinOptions`; 0 for none.
        table: The table of options in the file.

    Raises:
        IndexError: If the options are those of another operator, or a value is not in the schema.
    """
    layout = _LAYOUTS.get(name)
    if layout is None:
        return {}
    if table is not None and type_number != layout.type:
        raise IndexError(f"options of type {type_number} for {name}")
    named = ((field, number) for number, field in enumerate(layout.fields) if field)
    return {key: read(table, number) for (key, read), number in named}


def _number(kind: str, default: int = 0) -> Reader:
    return lambda table, field: default if table is None else table.number(field, kind, default)


def _float(table: Table | None, field: int) -> Option:
    bits = 0 if table is None else table.number(field, "I")
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def _flag(table: Table | None, field: int) -> Option:
    return table is not None and bool(table.number(field, "B"))


def _choice(names: tuple[str, ...]) -> Reader:
    # The index is never below 0: the byte is read as unsigned.
    return lambda table, field: names[0 if table is None else table.number(field, "B")]


def _shape(table: Table | None, field: int) -> Option:
    return () if table is None else table.numbers(field, "i")


_INT = _number("i")
_FACTOR = _number("i", default=1)
_PADDING = ("padding", _choice(_PADDINGS))
_ACTIVATION = ("activation", _choice(_ACTIVATIONS))
_STRIDES = (("stride_w", _INT), ("stride_h", _INT))
_DILATIONS = (("dilation_w", _FACTOR), ("dilation_h", _FACTOR))
_POOL = _Layout(5, (_PADDING, *_STRIDES, ("filter_w", _INT), ("filter_h", _INT), _ACTIVATION))

_LAYOUTS = {
    "CONV_2D": _Layout(1, (_PADDING, *_STRIDES, _ACTIVATION, *_DILATIONS)),
    "DEPTHWISE_CONV_2D": _Layout(2, (_PADDING, *_STRIDES, ("depth_multiplier", _INT), _ACTIVATION, *_DILATIONS)),
    "AVERAGE_POOL_2D": _POOL,
    "MAX_POOL_2D": _POOL,
    "FULLY_CONNECTED": _Layout(
        8,
        (
            _ACTIVATION,
            ("weights_format", _choice(_WEIGHTS_FORMATS)),
            ("keep_num_dims", _flag),
            ("asymmetric_quantize_inputs", _flag),
        ),
    ),
    "CONCATENATION": _Layout(10, (("axis", _INT), _ACTIVATION)),
    "ADD": _Layout(11, (_ACTIVATION,)),
    "RESHAPE": _Layout(17, (("new_shape", _shape),)),
    "MUL": _Layout(21, (_ACTIVATION,)),
    "MEAN": _Layout(27, (("keep_dims", _flag),)),
    "SUB": _Layout(28, (_ACTIVATION,)),
    "STRIDED_SLICE": _Layout(
        32,
        (
            ("begin_mask", _INT),
            ("end_mask", _INT),
            ("ellipsis_mask", _INT),
            ("new_axis_mask", _INT),
            ("shrink_axis_mask", _INT),
        ),
    ),
    "LEAKY_RELU": _Layout(75, (("alpha", _float),)),
}
