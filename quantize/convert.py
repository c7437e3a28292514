"""Keras model in, int8 .tflite bytes out, or an error that names the reason.

The model is read as a `Graph`, rewritten for int8 kernels, and passed to TensorFlow's converter as a function of
constants with a fake-quant node behind each operator. Every range, and so every scale in the file, is therefore chosen
here. The converter never gets variables: it would keep them as resources and write, without an error, a file whose
logits are wrong. For the same reason each conversion ends with a comparison of the file and the Keras model on real
windows, through the interpreter that the gateway uses.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from quantize.errors import ConversionError, MismatchError
from quantize.network.graph import Graph, Step, evaluate
from quantize.network.keras_graph import read_keras
from quantize.network.rewrite import for_int8
from quantize.quiet import quiet_native_stderr
from quantize.targets.lint import LintReport, lint
from quantize.training.activation_ranges import calibrate_ranges
from quantize.training.fake_quant import Ranges, check_ranges

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
PredictLogits = Callable[[bytes, FloatArray], FloatArray]
"""(the .tflite file, network inputs) -> real-valued logits: the gateway's interpreter, supplied by the caller."""


_MOST_NUMBERS = 1 << 14
"""Highest size of a constant that is repeated over a whole tensor; a larger one would fill the fastest cache."""

_ROUNDING = 1e-9
"""Far less than one window of any set. It lets 0.98 - 0.97, which is above 0.01 in binary, pass as a drop of 0.01."""


@dataclass(frozen=True)
class Agreement:
    """How the int8 file compares with the Keras model on the same windows.

    Attributes:
        windows: Number of windows compared.
        float_accuracy: Share of windows that the Keras model classifies correctly, 0 to 1.
        int8_accuracy: Share of windows that the file classifies correctly, 0 to 1.
        same_class: Share of windows that both assign to the same class, 0 to 1.
        logit_rms_error: RMS of the difference of the logits, divided by the RMS of the Keras model's logits about
            their mean.
    """

    windows: int
    float_accuracy: float
    int8_accuracy: float
    same_class: float
    logit_rms_error: float


@dataclass(frozen=True)
class Tolerance:
    """What a file may lose against the Keras model before it is refused.

    Attributes:
        max_drop: Accuracy that int8 may lose, as a share (0.01 is one point).
        max_logit_rms_error: Highest error of the logits; above it the file computes something else, whatever its
            accuracy. A correct int8 file of a shrinkage network stays below about 0.1; a file with lost weights is
            near or above 1.
    """

    max_drop: float = 0.01
    max_logit_rms_error: float = 0.35


@dataclass(frozen=True)
class Int8Model:
    """A .tflite file that holds int8 operators only, with its lint report."""

    data: bytes
    lint: LintReport


def to_int8(model: Any, calibration: FloatArray, target: str = "cpu") -> Int8Model:
    """Convert a Keras model to an int8 .tflite file with int8 input and output, with ranges from calibration alone.

    Args:
        model: Functional Keras model with one float32 input and one output.
        calibration: Scaled windows that set the activations' ranges, shape (n, 1, window, axes). The same windows in
            the same order give the same bytes.
        target: One of `quantize.targets.names.TARGETS`.

    Raises:
        CalibrationError: If the windows are empty, not finite, constant, or differ in shape from the model's input.
        ConversionError: If a layer has no int8 form, the converter fails, or an operator remains that is not int8.
    """
    graph = for_int8(read_keras(model), target)
    return write_int8(*calibrate_ranges(graph, calibration), target=target)


def write_int8(graph: Graph, ranges: Ranges, target: str = "cpu") -> Int8Model:
    """Write a graph of float numbers as an int8 .tflite file.

    Args:
        graph: The network to write.
        ranges: Range of each step's result.
        target: One of `quantize.targets.names.TARGETS`.

    Raises:
        CalibrationError: If a step has no range, or its range is empty or not finite.
        ConversionError: If the converter fails or leaves an operator that is not int8.
    """
    check_ranges(graph, ranges)
    with quiet_native_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they advise on other ways to call the converter
        converter = tf.lite.TFLiteConverter.from_concrete_functions([_frozen(graph, ranges, target)])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # The converter demands it but does not use it: the ranges are those of the fake-quant nodes.
        converter.representative_dataset = lambda: [[np.zeros((1, *graph.input.shape), np.float32)]]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        converter._experimental_disable_per_channel_quantization_for_dense_layers = target != "cpu"
        try:
            data: bytes = converter.convert()
        except Exception as exc:  # the converter raises bare Exceptions of its own and of MLIR
            raise ConversionError(
                f"TensorFlow could not convert this model to int8: {exc}", "converter_failed", reason=str(exc)
            ) from exc
    report = lint(data, target)
    if report.findings:
        raise ConversionError(
            f"The int8 file does not suit the target {target}: {'; '.join(report.findings)}. Change these layers, or "
            "choose another --target.",
            "unsuitable",
            target=target,
            findings=report.findings,
        )
    return Int8Model(data, report)


def compare(model: Any, int8: Int8Model, inputs: FloatArray, labels: IntArray, predict: PredictLogits) -> Agreement:
    """Run the same scaled windows through the Keras model and the file.

    Args:
        model: The Keras model that the file was made from.
        int8: The file.
        inputs: Shape (n, 1, window, axes).
        labels: Class of each window, shape (n,).
        predict: The gateway's interpreter.

    Raises:
        MismatchError: If the interpreter's logits differ in shape from those of the Keras model.
    """
    expected = np.asarray(model.predict(inputs, batch_size=256, verbose=0))
    got = predict(int8.data, inputs)
    return agreement(expected, got, labels)


def agreement(expected: FloatArray, got: FloatArray, labels: IntArray) -> Agreement:
    """Compare two sets of logits, shape (n, classes), with each other and with the labels, shape (n,).

    Raises:
        MismatchError: If their shapes differ, there is no label, or there is not one row for each label.
    """
    if got.shape != expected.shape or len(labels) != len(expected) or len(labels) == 0:
        raise MismatchError(
            f"The int8 file returns logits of shape {got.shape}, the Keras model of shape {expected.shape}, for "
            f"{len(labels)} labels: they cannot be compared.",
            "logits_shape",
            expected=expected.shape,
            got=got.shape,
            labels=len(labels),
        )
    spread = float(np.sqrt(np.mean(np.square(expected - expected.mean()))))
    error = float(np.sqrt(np.mean(np.square(got - expected))))
    classes, classes_q = expected.argmax(axis=1), got.argmax(axis=1)
    return Agreement(
        windows=len(labels),
        float_accuracy=float(np.mean(classes == labels)),
        int8_accuracy=float(np.mean(classes_q == labels)),
        same_class=float(np.mean(classes == classes_q)),
        logit_rms_error=error / spread if spread > 0 else float("inf"),
    )


def check_agreement(result: Agreement, tolerance: Tolerance) -> None:
    """Raise MismatchError if the file lost more than the tolerance allows."""
    if not result.logit_rms_error <= tolerance.max_logit_rms_error:
        raise MismatchError(
            f"The logits of the int8 file differ from those of the Keras model by {result.logit_rms_error:.0%} (RMS, "
            f"{result.windows} windows); at most {tolerance.max_logit_rms_error:.0%} is allowed. Nothing was written.",
            "logits",
            got=result.logit_rms_error,
            limit=tolerance.max_logit_rms_error,
            windows=result.windows,
        )
    drop = result.float_accuracy - result.int8_accuracy
    if drop > tolerance.max_drop + _ROUNDING:
        raise MismatchError(
            f"int8 lowers the accuracy by {100 * drop:.2f} points ({result.float_accuracy:.4f} -> "
            f"{result.int8_accuracy:.4f}, {result.windows} windows); at most {100 * tolerance.max_drop:.2f} points are "
            "allowed. Nothing was written. Train longer, fine-tune with --qat, or allow more with --max-drop.",
            "accuracy_drop",
            got=drop,
            limit=tolerance.max_drop,
            windows=result.windows,
        )


def _frozen(graph: Graph, ranges: Ranges, target: str) -> Any:
    """Return the graph as a concrete function with batch 1, without variables, whose tensors carry their ranges."""

    def after(step: Step, value: Any) -> Any:
        if step.op == "reshape":  # has the range of its operand
            return value
        low, high = ranges[step.name]
        return tf.quantization.fake_quant_with_min_max_args(value, low, high)

    written = Graph(tuple(_written(step, ranges[step.name][1], target) for step in graph))
    spec = tf.TensorSpec((1, *graph.input.shape), tf.float32, name=graph.input.name)
    return tf.function(lambda window: evaluate(written, window, after=after)).get_concrete_function(spec)


def _written(step: Step, high: float, target: str) -> Step:
    """Return the step as an operator that the target's fast kernels run and that the converter keeps."""
    if step.op == "abs":
        return replace(step, op="leaky", kernel=np.full((), -1.0, np.float32))
    if step.op == "hold":
        # A relu alone becomes part of an offset of half a step of the result. The converter or XNNPACK would remove an
        # offset that is close to zero.
        return replace(step, op="offset", bias=np.full(1, high / 512, np.float32))
    if step.op in ("offset", "scale") and target == "cpu":
        return replace(step, bias=_whole(step.bias, step.shape), kernel=_whole(step.kernel, step.shape))
    return step


def _whole(numbers: FloatArray | None, shape: tuple[int, ...]) -> FloatArray | None:
    """Return numbers per channel repeated over a whole tensor, so that XNNPACK calls its kernel once.

    With numbers per channel XNNPACK calls its kernel for each time step. A single number needs no repetition.
    """
    if numbers is None or numbers.size == 1 or math.prod(shape) > _MOST_NUMBERS:
        return numbers
    return np.broadcast_to(numbers, (1, *shape)).copy()
