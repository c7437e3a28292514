"""What the engine does not run is refused with a reason, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from quantize.engine import Engine
from quantize.engine import engine as engine_module
from quantize.engine.node import Node
from quantize.errors import ModelFileError, QuantizeError, UnsupportedOperatorError
from quantize.tflite.file import ModelFile, Operator, Tensor, read_model

from .conftest import quantized

SHAPE = (1, 4, 6, 2)
KERNEL = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: tf.sign(x), "SIGN|DEQUANTIZE"),
        (lambda x: tf.nn.softmax(x), "SOFTMAX"),
    ],
)
def test_other_operators_are_named(function: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(QuantizeError, match=said):
        Engine(quantized(function, SHAPE))


def test_a_float_model_is_refused() -> None:
    concrete = tf.function(lambda x: x * 2.0).get_concrete_function(tf.TensorSpec(SHAPE))
    model = tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
    with pytest.raises(ModelFileError, match="Expected int8 with one scale in tensor 'x', got FLOAT32"):
        Engine(model)


@pytest.mark.parametrize("data", [b"", b"garbage" * 20, b"\0\0\0\0TFL3" + bytes(64)])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ModelFileError):
        Engine(data)


# A well-formed file with one thing wrong.


@pytest.fixture(scope="module")
def conv_file() -> ModelFile:
    model = quantized(lambda x: tf.nn.relu(tf.nn.conv2d(x, KERNEL, 1, "SAME") + 0.5), SHAPE)
    return read_model(model)


@pytest.fixture
def engine_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModelFile], Engine]:
    """Return what builds an engine of a file's contents, as if they had been read."""

    def build(file: ModelFile) -> Engine:
        monkeypatch.setattr(engine_module, "read_model", lambda _: file)
        return Engine(b"")

    return build


def change_tensor(file: ModelFile, index: int, **changes: Any) -> ModelFile:
    tensors = list(file.tensors)
    tensors[index] = replace(tensors[index], **changes)
    return replace(file, tensors=tuple(tensors))


def change_operator(file: ModelFile, **changes: Any) -> ModelFile:
    options = dict(file.operators[0].options) | changes.pop("options", {})
    return replace(file, operators=(replace(file.operators[0], options=options, **changes),))


def test_the_file_as_it_is_runs(conv_file: ModelFile, engine_of: Callable[[ModelFile], Engine]) -> None:
    assert engine_of(conv_file).run(np.zeros((3, *SHAPE[1:]), np.int8)).shape == (3, 4, 6, 4)


@pytest.mark.parametrize(
    ("role", "changes", "said"),
    [
        ("input", {"scales": (0.0,)}, "scales above 0 and finite in tensor 'x', got 0.0"),
        ("input", {"scales": (-1.0,)}, "above 0 and finite"),
        ("input", {"scales": (float("nan"),)}, "got nan"),
        ("output", {"scales": (float("inf"),)}, "got inf"),
        ("output", {"scales": ()}, "INT8 with 0 scales"),
        ("output", {"scales": (0.1, 0.2), "zero_points": (0, 0)}, "with 2 scales"),
        ("output", {"scales": (1e-38,)}, "scales around CONV_2D that int8 kernels can bridge"),
        ("output", {"zero_points": (128,)}, "zero point from -128 to 127"),
        ("output", {"zero_points": ()}, "0 zero points"),
        ("output", {"type": "INT16"}, "got INT16"),
        ("output", {"shape": (1, 4, 6, 5)}, "shape .1, 4, 6, 4. in tensor"),
        ("input", {"shape": (1, 4, 2**31 - 1, 2)}, "1 to 4194304 elements"),
        ("input", {"shape": (2, 4, 6, 2)}, "batch of 1"),
        ("input", {"shape": (1, 0, 6, 2)}, "1 to 4194304 elements"),
        ("input", {"shape": ()}, "batch of 1"),
        ("input", {"shape": (1, 48)}, "4-D operands"),
        ("weights", {"data": None}, "reads? tensors that are there|comes later"),
        ("weights", {"data": bytes(5)}, "got 5 bytes"),
        ("weights", {"type": "INT32"}, "INT8 in input 1 of CONV_2D, got INT32"),
        ("weights", {"zero_points": (1, 1, 1, 1)}, "zero point of 0"),
        ("weights", {"axis": 3}, "scales along axis 0"),
        ("weights", {"scales": (0.1,) * 3, "zero_points": (0,) * 3}, "scale for each slice"),
        ("weights", {"shape": (4, 3, 6, 1)}, "in groups"),
        ("weights", {"shape": (4, 18)}, "4-D filter"),
        ("bias", {"data": np.full(4, 2**31 - 1, np.int32).tobytes()}, "fit int32"),
        ("bias", {"shape": (2, 2)}, "4 biases"),
        ("bias", {"type": "FLOAT32"}, "INT32 in input 2"),
    ],
)
def test_a_tensor_that_cannot_be(
    role: str,
    changes: dict[str, Any],
    said: str,
    conv_file: ModelFile,
    engine_of: Callable[[ModelFile], Engine],
) -> None:
    source, weights, bias = conv_file.operators[0].inputs
    index = {"input": source, "weights": weights, "bias": bias, "output": conv_file.outputs[0]}[role]
    with pytest.raises(QuantizeError, match=said):
        engine_of(change_tensor(conv_file, index, **changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": {"stride_h": 0}}, "stride_h of at least 1 in CONV_2D, got 0"),
        ({"options": {"stride_w": -1}}, "stride_w"),
        ({"options": {"dilation_w": 0}}, "dilation_w"),
        ({"options": {"dilation_w": 2**30}}, "for a gateway"),
        ({"options": {"padding": "VALID", "dilation_h": 5}}, "as long as its windows"),
        ({"options": {"activation": "TANH"}}, "with a fused TANH"),
        ({"name": "OPERATOR_99"}, "OPERATOR_99"),
        ({"outputs": ()}, "to write one tensor"),
        ({"outputs": (-1,)}, "to write one tensor"),
        ({"inputs": (0,)}, "an input 1 of CONV_2D, got none"),
        ({"inputs": ()}, "on activations, got constants alone"),
    ],
)
def test_an_operator_that_cannot_be(
    changes: dict[str, Any], said: str, conv_file: ModelFile, engine_of: Callable[[ModelFile], Engine]
) -> None:
    with pytest.raises(QuantizeError, match=said):
        engine_of(change_operator(conv_file, **changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs": ()}, "a model of one input and at least one output, got 0 and 1"),
        ({"outputs": ()}, "got 1 and 0"),
        ({"operators": ()}, "outputs that an operator computes"),
    ],
)
def test_a_graph_that_cannot_be(
    changes: dict[str, Any], said: str, conv_file: ModelFile, engine_of: Callable[[ModelFile], Engine]
) -> None:
    with pytest.raises(QuantizeError, match=said):
        engine_of(replace(conv_file, **changes))


def test_a_tensor_is_written_once(conv_file: ModelFile, engine_of: Callable[[ModelFile], Engine]) -> None:
    with pytest.raises(ModelFileError, match="that none wrote before"):
        engine_of(replace(conv_file, operators=conv_file.operators * 2))


def activation(shape: tuple[int, ...], scale: float = 0.1, zero_point: int = 0) -> Tensor:
    return Tensor(f"{shape}", shape, "INT8", (scale,), (zero_point,))


def test_endless_work_is_refused(engine_of: Callable[[ModelFile], Engine]) -> None:
    tensors = tuple(activation((1, 2**21)) for _ in range(100))
    operators = tuple(Operator("ABS", 1, (number,), (number + 1,)) for number in range(99))
    with pytest.raises(ModelFileError, match="two billion operations"):
        engine_of(ModelFile(tensors, operators, (0,), (99,)))


@pytest.mark.parametrize(
    ("name", "shapes", "options", "said"),
    [
        ("ADD", [(1, 4), (1, 5), (1, 5)], {"activation": "NONE"}, "that fit each other"),
        ("RESHAPE", [(1, 4), (1, 5)], {}, "number of elements"),
        ("CONCATENATION", [(1, 4), (1, 4), (1, 8)], {"axis": 2, "activation": "NONE"}, "of one rank"),
        ("CONCATENATION", [(1, 4), (1, 4, 1), (1, 8)], {"axis": 1, "activation": "NONE"}, "of one rank"),
        ("CONCATENATION", [(1, 4, 2), (1, 4, 3), (1, 8, 2)], {"axis": 1, "activation": "NONE"}, "alike but for axis 1"),
        ("ABS", [(1, 4), (1, 5)], {}, "Expected shape .1, 4. in tensor"),
    ],
)
def test_operands_that_do_not_fit(
    name: str,
    shapes: list[tuple[int, ...]],
    options: dict[str, Any],
    said: str,
    engine_of: Callable[[ModelFile], Engine],
) -> None:
    start = activation((1, 1))
    inputs = tuple(range(1, len(shapes)))
    file = ModelFile((start, *(activation(shape) for shape in shapes)), (), (0,), (len(shapes),))
    operator = Operator(name, 1, inputs, (len(shapes),), options)
    node = Node(operator, tuple(file.tensors[index] for index in inputs), file.tensors[-1])
    with pytest.raises(QuantizeError, match=said):
        engine_module._check_activation(node.output, engine_module._built(node).shape)


@pytest.mark.parametrize("name", ["MAXIMUM", "RESHAPE", "PAD", "MAX_POOL_2D"])
def test_scales_that_must_be_one(name: str) -> None:
    node = Node(Operator(name, 1, (0, 1), (2,), {}), (activation((1, 4)), activation((1, 4))), activation((1, 4), 0.2))
    with pytest.raises(ModelFileError, match=f"one scale for all tensors of {name}"):
        engine_module._built(node)


@pytest.mark.parametrize(
    "windows",
    [
        np.zeros((2, 4, 6, 3), np.int8),
        np.zeros((4, 6, 2), np.int8),
        np.zeros((2, 4, 6, 2), np.float32),
        np.zeros((2, 4, 6, 2), np.uint8),
    ],
)
def test_windows_of_another_kind(windows: Any, conv_file: ModelFile, engine_of: Callable[[ModelFile], Engine]) -> None:
    engine = engine_of(conv_file)
    for run in (engine.run, engine.trace):
        with pytest.raises(ModelFileError, match=r"windows of shape \(n, 4, 6, 2\) in int8, got"):
            run(windows)
    with pytest.raises(ModelFileError, match="in float32, got"):
        engine.trace_float(windows.astype(np.float64))


def test_errors_are_of_one_family() -> None:
    assert issubclass(UnsupportedOperatorError, QuantizeError)
