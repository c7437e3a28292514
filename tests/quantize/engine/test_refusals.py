"""What the engine does not run is refused with a reason, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from refusals import refused

from quantize.engine import Engine
from quantize.engine import engine as engine_module
from quantize.engine.node import Node
from quantize.errors import ModelFileError, QuantizeError, UnsupportedOperatorError
from quantize.tflite.file import ModelFile, Operator, Tensor, read_model

from .conftest import quantized

SHAPE = (1, 4, 6, 2)
KERNEL = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (lambda x: tf.sign(x), "DEQUANTIZE"),
        (lambda x: tf.nn.softmax(x), "SOFTMAX"),
    ],
)
def test_other_operators_are_named(function: Callable[[Any], Any], operator: str) -> None:
    with refused(UnsupportedOperatorError, "unknown_operator", operator=operator):
        Engine(quantized(function, SHAPE))


def test_a_float_model_is_refused() -> None:
    concrete = tf.function(lambda x: x * 2.0).get_concrete_function(tf.TensorSpec(SHAPE))
    model = tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
    with refused(ModelFileError, "not_int8", tensor="x", type="FLOAT32"):
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
    ("role", "changes", "problem", "facts"),
    [
        ("input", {"scales": (0.0,)}, "scale", {"tensor": "x", "got": 0.0}),
        ("input", {"scales": (-1.0,)}, "scale", {"got": -1.0}),
        ("input", {"scales": (float("nan"),)}, "scale", {"got": "nan"}),
        ("output", {"scales": (float("inf"),)}, "scale", {"got": "inf"}),
        ("output", {"scales": ()}, "not_int8", {"type": "INT8", "scales": 0}),
        ("output", {"scales": (0.1, 0.2), "zero_points": (0, 0)}, "not_int8", {"scales": 2}),
        ("output", {"scales": (1e-38,)}, "scale_factor", {"operator": "CONV_2D"}),
        ("output", {"zero_points": (128,)}, "zero_point", {"got": 128}),
        ("output", {"zero_points": ()}, "not_int8", {"zero_points": 0}),
        ("output", {"type": "INT16"}, "not_int8", {"type": "INT16"}),
        ("output", {"shape": (1, 4, 6, 5)}, "tensor_shape", {"expected": (1, 4, 6, 4), "got": (1, 4, 6, 5)}),
        ("input", {"shape": (1, 4, 2**31 - 1, 2)}, "tensor_elements", {"tensor": "x", "limit": 4194304}),
        ("input", {"shape": (2, 4, 6, 2)}, "batch", {"shape": (2, 4, 6, 2)}),
        ("input", {"shape": (1, 0, 6, 2)}, "tensor_elements", {"got": (1, 0, 6, 2)}),
        ("input", {"shape": ()}, "batch", {"shape": ()}),
        ("input", {"shape": (1, 48)}, "dimensions", {"operator": "CONV_2D", "expected": 4}),
        ("weights", {"data": None}, "read_before_written", {"operator": "CONV_2D"}),
        ("weights", {"data": bytes(5)}, "wrong_size", {"got": 5}),
        ("weights", {"type": "INT32"}, "input_type", {"input": 1, "operator": "CONV_2D", "got": "INT32"}),
        ("weights", {"zero_points": (1, 1, 1, 1)}, "weights_zero_point", {"operator": "CONV_2D"}),
        ("weights", {"axis": 3}, "scale_axis", {"expected": 0, "got": 3}),
        ("weights", {"scales": (0.1,) * 3, "zero_points": (0,) * 3}, "scale_count", {"got": 3, "axis": 0}),
        ("weights", {"shape": (4, 3, 6, 1)}, "operator_form", {"operator": "CONV_2D", "form": "in groups"}),
        ("weights", {"shape": (4, 18)}, "filter_dimensions", {"expected": 4, "got": (4, 18)}),
        ("bias", {"data": np.full(4, 2**31 - 1, np.int32).tobytes()}, "accumulator", {"operator": "CONV_2D"}),
        ("bias", {"shape": (2, 2)}, "bias_shape", {"expected": 4, "got": (2, 2)}),
        ("bias", {"type": "FLOAT32"}, "input_type", {"input": 2, "expected": "INT32", "got": "FLOAT32"}),
    ],
)
def test_a_tensor_that_cannot_be(
    role: str,
    changes: dict[str, Any],
    problem: str,
    facts: dict[str, Any],
    conv_file: ModelFile,
    engine_of: Callable[[ModelFile], Engine],
) -> None:
    source, weights, bias = conv_file.operators[0].inputs
    index = {"input": source, "weights": weights, "bias": bias, "output": conv_file.outputs[0]}[role]
    error = UnsupportedOperatorError if problem in ("batch", "operator_form") else ModelFileError
    with refused(error, problem, **facts):
        engine_of(change_tensor(conv_file, index, **changes))


@pytest.mark.parametrize(
    ("changes", "error", "problem", "facts"),
    [
        ({"options": {"stride_h": 0}}, ModelFileError, "option_value", {"option": "stride_h", "got": 0, "least": 1}),
        ({"options": {"stride_w": -1}}, ModelFileError, "option_value", {"option": "stride_w", "got": -1}),
        ({"options": {"dilation_w": 0}}, ModelFileError, "option_value", {"option": "dilation_w", "got": 0}),
        ({"options": {"dilation_w": 2**30}}, ModelFileError, "window_elements", {"limit": 4194304}),
        ({"options": {"padding": "VALID", "dilation_h": 5}}, ModelFileError, "no_window", {"got": [4, 6]}),
        ({"options": {"activation": "TANH"}}, UnsupportedOperatorError, "operator_form", {"form": "with a fused TANH"}),
        ({"name": "OPERATOR_99"}, UnsupportedOperatorError, "unknown_operator", {"operator": "OPERATOR_99"}),
        ({"outputs": ()}, ModelFileError, "operator_outputs", {"operator": "CONV_2D"}),
        ({"outputs": (-1,)}, ModelFileError, "operator_outputs", {"operator": "CONV_2D"}),
        ({"inputs": (0,)}, ModelFileError, "no_input", {"operator": "CONV_2D", "input": 1}),
        ({"inputs": ()}, UnsupportedOperatorError, "constants_alone", {"operator": "CONV_2D"}),
    ],
)
def test_an_operator_that_cannot_be(
    changes: dict[str, Any],
    error: type[QuantizeError],
    problem: str,
    facts: dict[str, Any],
    conv_file: ModelFile,
    engine_of: Callable[[ModelFile], Engine],
) -> None:
    with refused(error, problem, **facts):
        engine_of(change_operator(conv_file, **changes))


@pytest.mark.parametrize(
    ("changes", "error", "problem", "facts"),
    [
        ({"inputs": ()}, UnsupportedOperatorError, "model_ends", {"inputs": 0, "outputs": 1}),
        ({"outputs": ()}, UnsupportedOperatorError, "model_ends", {"inputs": 1, "outputs": 0}),
        ({"operators": ()}, ModelFileError, "output_not_computed", {}),
    ],
)
def test_a_graph_that_cannot_be(
    changes: dict[str, Any],
    error: type[QuantizeError],
    problem: str,
    facts: dict[str, Any],
    conv_file: ModelFile,
    engine_of: Callable[[ModelFile], Engine],
) -> None:
    with refused(error, problem, **facts):
        engine_of(replace(conv_file, **changes))


def test_a_tensor_is_written_once(conv_file: ModelFile, engine_of: Callable[[ModelFile], Engine]) -> None:
    with refused(ModelFileError, "operator_outputs", operator="CONV_2D"):
        engine_of(replace(conv_file, operators=conv_file.operators * 2))


def activation(shape: tuple[int, ...], scale: float = 0.1, zero_point: int = 0) -> Tensor:
    return Tensor(f"{shape}", shape, "INT8", (scale,), (zero_point,))


def test_endless_work_is_refused(engine_of: Callable[[ModelFile], Engine]) -> None:
    tensors = tuple(activation((1, 2**21)) for _ in range(100))
    operators = tuple(Operator("ABS", 1, (number,), (number + 1,)) for number in range(99))
    with refused(ModelFileError, "too_many_operations", limit=2**31):
        engine_of(ModelFile(tensors, operators, (0,), (99,)))


@pytest.mark.parametrize(
    ("name", "shapes", "options", "problem", "facts"),
    [
        ("ADD", [(1, 4), (1, 5), (1, 5)], {"activation": "NONE"}, "operand_shapes", {"operator": "ADD"}),
        ("RESHAPE", [(1, 4), (1, 5)], {}, "element_count", {"operator": "RESHAPE"}),
        ("CONCATENATION", [(1, 4), (1, 4), (1, 8)], {"axis": 2, "activation": "NONE"}, "operand_dimensions", {}),
        ("CONCATENATION", [(1, 4), (1, 4, 1), (1, 8)], {"axis": 1, "activation": "NONE"}, "operand_dimensions", {}),
        (
            "CONCATENATION",
            [(1, 4, 2), (1, 4, 3), (1, 8, 2)],
            {"axis": 1, "activation": "NONE"},
            "operand_sizes",
            {"axis": 1},
        ),
        ("ABS", [(1, 4), (1, 5)], {}, "tensor_shape", {"expected": (1, 4)}),
    ],
)
def test_operands_that_do_not_fit(
    name: str,
    shapes: list[tuple[int, ...]],
    options: dict[str, Any],
    problem: str,
    facts: dict[str, Any],
    engine_of: Callable[[ModelFile], Engine],
) -> None:
    start = activation((1, 1))
    inputs = tuple(range(1, len(shapes)))
    file = ModelFile((start, *(activation(shape) for shape in shapes)), (), (0,), (len(shapes),))
    operator = Operator(name, 1, inputs, (len(shapes),), options)
    node = Node(operator, tuple(file.tensors[index] for index in inputs), file.tensors[-1])
    with refused(ModelFileError, problem, **facts):
        engine_module._check_activation(node.output, engine_module._built(node).shape)


@pytest.mark.parametrize("name", ["MAXIMUM", "RESHAPE", "PAD", "MAX_POOL_2D"])
def test_scales_that_must_be_one(name: str) -> None:
    node = Node(Operator(name, 1, (0, 1), (2,), {}), (activation((1, 4)), activation((1, 4))), activation((1, 4), 0.2))
    with refused(ModelFileError, "different_scales", operator=name):
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
        with refused(
            ModelFileError, "windows", expected_shape=(4, 6, 2), expected_type="int8", got_shape=windows.shape
        ):
            run(windows)
    with refused(ModelFileError, "windows", expected_type="float32", got_type="float64"):
        engine.trace_float(windows.astype(np.float64))


def test_errors_are_of_one_family() -> None:
    assert issubclass(UnsupportedOperatorError, QuantizeError)
