"""Options and constants against TensorFlow's own reader of the schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from refusals import refused
from tensorflow.lite.python import schema_py_generated as schema

from quantize.errors import ModelFileError
from quantize.tflite.file import Tensor, read_model
from quantize.tflite.flatbuffer import File, Table
from quantize.tflite.options import read_options

KERNEL = np.random.default_rng(0).normal(size=(3, 2, 4, 5)).astype(np.float32)


def file_of(function: Callable[[Any], Any], shape: tuple[int, ...] = (1, 8, 12, 4)) -> bytes:
    """Return a float .tflite file of a function without variables."""
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec(shape))
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "conv": lambda x: tf.nn.relu6(tf.nn.conv2d(x, KERNEL, (1, 2, 3, 1), "VALID")),
    "dilated": lambda x: tf.nn.relu(tf.nn.conv2d(x, KERNEL, 1, "SAME", dilations=(1, 2, 3, 1))),
    "depthwise": lambda x: tf.nn.depthwise_conv2d(x, KERNEL[..., :2], (1, 2, 2, 1), "VALID"),
    "average_pool": lambda x: tf.nn.avg_pool2d(x, (2, 3), (1, 2), "VALID"),
    "max_pool": lambda x: tf.nn.max_pool2d(x, (3, 2), (2, 1), "SAME"),
    "dense": lambda x: tf.nn.relu(tf.matmul(tf.reshape(x, (8, 48)), np.ones((48, 3), np.float32))),
    "concatenation": lambda x: tf.concat([x, x * 2.0], axis=2),
    "elementwise": lambda x: tf.nn.relu(x + 1.5) - tf.nn.relu6(x * x),
    "mean": lambda x: tf.reduce_mean(x, (1, 2), keepdims=True) + tf.reshape(tf.reduce_mean(x, (1, 2)), (1, 1, 1, 4)),
    "leaky_relu": lambda x: tf.nn.leaky_relu(x, 0.3),
}
OTHER_NAMES = {"activation": "fused_activation_function", "dilation_w": "dilation_w_factor"} | {
    "dilation_h": "dilation_h_factor", "filter_w": "filter_width", "filter_h": "filter_height",
}  # fmt: skip
ENUMS = {"padding": schema.Padding, "activation": schema.ActivationFunctionType} | {
    "weights_format": schema.FullyConnectedOptionsWeightsFormat
}


def expected_option(key: str, options: Any) -> Any:
    """Return what TensorFlow's reader says about one of our keys."""
    words = OTHER_NAMES.get(key, key).split("_")
    value = getattr(options, words[0] + "".join(word.capitalize() for word in words[1:]))
    if key in ENUMS:
        return next(name for name, code in vars(ENUMS[key]).items() if code == value and not name.startswith("_"))
    return value if key != "new_shape" else tuple(value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_are_what_tensorflow_reads(name: str) -> None:
    data = file_of(FUNCTIONS[name])
    graph = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0)).subgraphs[0]
    ours = read_model(data).operators
    assert any(operator.options for operator in ours)
    for operator, theirs in zip(ours, graph.operators, strict=True):
        for key, value in operator.options.items():
            if theirs.builtinOptions is not None:
                assert value == expected_option(key, theirs.builtinOptions), (operator.name, key)


def test_options_of_known_operators_in_words() -> None:
    (conv,) = (op for op in read_model(file_of(FUNCTIONS["dilated"])).operators if op.name == "CONV_2D")
    assert conv.options == {
        "padding": "SAME", "stride_w": 1, "stride_h": 1, "activation": "RELU", "dilation_w": 3, "dilation_h": 2,
    }  # fmt: skip


def test_constants_are_what_tensorflow_reads(int8: Any) -> None:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(int8.data, 0))
    constants = 0
    for ours, theirs in zip(read_model(int8.data).tensors, model.subgraphs[0].tensors, strict=True):
        buffer = model.buffers[theirs.buffer].data
        assert ours.axis == theirs.quantization.quantizedDimension
        assert (ours.data is None) == (buffer is None)
        if ours.data is not None:
            constants += 1
            assert ours.data == bytes(buffer)
            assert ours.array.shape == ours.shape and not ours.array.flags.writeable
    assert constants > 20


def test_convolution_weights_are_those_of_the_function() -> None:
    file = read_model(file_of(FUNCTIONS["conv"]))
    (conv,) = (op for op in file.operators if op.name == "CONV_2D")
    np.testing.assert_array_equal(file.tensors[conv.inputs[1]].array, KERNEL.transpose(3, 0, 1, 2))


CONSTANT = Tensor("w", (2, 3), "INT16", (), (), data=bytes(range(12)))


def test_a_constant_by_hand() -> None:
    np.testing.assert_array_equal(CONSTANT.array, [[0x100, 0x302, 0x504], [0x706, 0x908, 0xB0A]])


@pytest.mark.parametrize(
    ("change", "problem", "facts"),
    [
        ({"shape": (2, 4)}, "wrong_size", {"shape": (2, 4), "type": "INT16", "got": 12}),
        ({"shape": (-2, -3)}, "wrong_size", {"shape": (-2, -3)}),
        ({"shape": (2**31, 2**31, 2**31)}, "wrong_size", {"shape": (2**31, 2**31, 2**31)}),
        ({"type": "INT32"}, "wrong_size", {"type": "INT32"}),
        ({"type": "TYPE_17"}, "unknown_type", {"got": "TYPE_17"}),
        ({"data": None}, "not_constant", {}),
    ],
)
def test_a_constant_that_does_not_fill_its_shape_is_refused(
    change: dict[str, Any], problem: str, facts: dict[str, Any]
) -> None:
    with refused(ModelFileError, problem, tensor="w", **facts):
        _ = replace(CONSTANT, **change).array


def buffer_behind_the_tables(data: bytes, payload: bytes, start: int | None = None) -> bytes:
    """Return the file with its largest buffer moved behind the tables, as writers of files above 2 GB do."""
    import flatbuffers

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    largest = max(model.buffers, key=lambda buffer: 0 if buffer.data is None else len(buffer.data))
    largest.data, largest.offset, largest.size = None, 2**40, len(payload)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    tables = bytes(builder.Output())
    old = (2**40).to_bytes(8, "little")
    assert tables.count(old) == 1
    return tables.replace(old, (len(tables) if start is None else start).to_bytes(8, "little")) + payload


def test_a_constant_behind_the_tables_is_found() -> None:
    data = file_of(FUNCTIONS["conv"])
    (weights,) = (t for t in read_model(data).tensors if t.shape == (5, 3, 2, 4))
    payload = np.arange(120, dtype=np.float32).tobytes()
    moved = read_model(buffer_behind_the_tables(data, payload))
    assert [t.array.tobytes() for t in moved.tensors if t.shape == weights.shape] == [payload]


@pytest.mark.parametrize("start", [2**30, 2**63])
def test_a_constant_outside_the_file_is_refused(start: int) -> None:
    data = buffer_behind_the_tables(file_of(FUNCTIONS["conv"]), bytes(480), start)
    with refused(ModelFileError, "damaged") as caught:
        read_model(data)
    assert caught.value.facts["reason"] == f"a vector of 480 bytes at byte {start}"


# Bad options.


def table_of(*fields: int) -> Table:
    """Return a table of one-byte fields, all present."""
    vtable = bytes([4 + 2 * len(fields), 0, 0, 0, *(byte for n in range(len(fields)) for byte in (4 + n, 0))])
    return Table(File(vtable + len(vtable).to_bytes(4, "little") + bytes(fields)), len(vtable))


def test_options_by_hand_and_by_default() -> None:
    assert read_options("ADD", 11, table_of(3)) == {"activation": "RELU6"}
    assert read_options("ADD", 0, None) == {"activation": "NONE"}
    assert read_options("MEAN", 27, table_of(1)) == {"keep_dims": True}
    assert read_options("CONV_2D", 0, None)["dilation_w"] == 1
    assert read_options("SIGN", 123, table_of()) == {}


@pytest.mark.parametrize(("name", "number", "value"), [("ADD", 28, 0), ("ADD", 11, 6), ("ADD", 11, 255)])
def test_foreign_and_unknown_options_are_refused(name: str, number: int, value: int) -> None:
    with pytest.raises(IndexError):
        read_options(name, number, table_of(value))


def test_unknown_options_in_a_file_are_a_damaged_file() -> None:
    data = file_of(lambda x: tf.nn.relu6(x + 1.5))
    places = [place.start() for place in re.finditer(b"\x03", data)]
    broken = [data[:place] + b"\x63" + data[place + 1 :] for place in places]
    outcomes = []
    for one in broken:
        try:
            outcomes.append(read_model(one).operators[0].options.get("activation"))
        except ModelFileError as exc:
            outcomes.append(str(exc.facts.get("reason")))
    assert "tuple index out of range" in outcomes
