"""Keras model in, int8 .tflite bytes out, or a reason why not.

The model is read as a `Graph`, rewritten for int8 kernels, and given to TensorFlow's converter as a function of
constants with a fake-quant node behind each operator: so every range, and with it every scale in the file, is ours.
The converter is never handed variables: it would keep them as resources and write, without an error, a file that
answers nonsense. So each conversion also ends with a comparison of the file with the Keras model on real windows,
through the interpreter that the gateway will use.
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
"""(the .tflite file, network inputs) -> real-valued logits: the gateway's interpreter, passed in by the caller."""


_MOST_NUMBERS = 1 << 14
"""Of a constant repeated over a whole tensor: more would leave the fastest cache to nothing else."""

_ROUNDING = 1e-9
"""Far below one window in any set: 0.98 - 0.97 is a drop of 0.01, though not in binary."""


@dataclass(frozen=True)
class Agreement:
    """How the int8 file compares with the Keras model on the same windows.

    Attributes:
        windows: Number of windows compared.
        float_accuracy: Share of windows that the Keras model gets right.
        int8_accuracy: Share of windows that the file gets right.
        same_class: Share of windows to which both give the same class.
        logit_rms_error: RMS difference of the logits over the RMS of the Keras model's logits about their mean.
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
        max_logit_rms_error: Above this the file computes something else, whatever the accuracy says. An honest int8
            file of a shrinkage network stays below about 0.1; a file with lost weights is near or above 1.
    """

    max_drop: float = 0.01
    max_logit_rms_error: float = 0.35


@dataclass(frozen=True)
class Int8Model:
    """A .tflite file that holds int8 operators only, and what it is made of."""

    data: bytes
    lint: LintReport


def to_int8(model: Any, calibration: FloatArray, target: str = "cpu") -> Int8Model:
    """Convert a Keras model to an int8 .tflite file with int8 input and output, its ranges from calibration alone.

    Args:
        model: Functional Keras model of one float32 input and one output.
        calibration: Scaled windows that set the activations' ranges, shape (n, 1, window, axes). The same windows in
            the same order give the same bytes.
        target: One of `quantize.targets.names.TARGETS`.

    Raises:
        CalibrationError: If the windows are empty, not finite, all alike, or of another shape than the model's input.
        ConversionError: If a layer has no int8 form, the converter fails, or an operator is left that is not int8.
    """
    graph = for_int8(read_keras(model), target)
    return write_int8(*calibrate_ranges(graph, calibration), target=target)


def write_int8(graph: Graph, ranges: Ranges, target: str = "cpu") -> Int8Model:
    """Write a graph of float numbers as an int8 .tflite file.

    Args:
        graph: What to write.
        ranges: Of each step's result.
        target: What the file shall run on.

    Raises:
        CalibrationError: If a step has no range, or one that is empty or no number.
        ConversionError: If the converter fails or leaves an operator that is not int8.
    """
    check_ranges(graph, ranges)
    with quiet_native_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its advice is for other ways of calling it
        converter = tf.lite.TFLiteConverter.from_concrete_functions([_frozen(graph, ranges, target)])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # Asked for whatever it says: the ranges are those of the fake-quant nodes.
        converter.representative_dataset = lambda: [[np.zeros((1, *graph.input.shape), np.float32)]]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        converter._experimental_disable_per_channel_quantization_for_dense_layers = target != "cpu"
        try:
            data: bytes = converter.convert()
        except Exception as exc:  # the converter raises bare Exceptions of its own and of MLIR
            raise ConversionError(f"TensorFlow could not convert this model to int8: {exc}") from exc
    report = lint(data, target)
    if report.findings:
        raise ConversionError(
            f"Expected int8 operators that the target {target} runs, got: {'; '.join(report.findings)}."
        )
    return Int8Model(data, report)


def compare(model: Any, int8: Int8Model, inputs: FloatArray, labels: IntArray, predict: PredictLogits) -> Agreement:
    """Run the same scaled windows through the Keras model and the file.

    Args:
        model: The Keras model that the file was made of.
        int8: The file.
        inputs: Shape (n, 1, window, axes).
        labels: Class of each window, shape (n,).
        predict: The interpreter to trust.

    Raises:
        MismatchError: If the interpreter's logits are not even of the Keras model's shape.
    """
    expected = np.asarray(model.predict(inputs, batch_size=256, verbose=0))
    got = predict(int8.data, inputs)
    return agreement(expected, got, labels)


def agreement(expected: FloatArray, got: FloatArray, labels: IntArray) -> Agreement:
    """Compare two sets of logits, shape (n, classes), against each other and against the labels (n,).

    Raises:
        MismatchError: If they are not of one shape with a row per label.
    """
    if got.shape != expected.shape or len(labels) != len(expected) or len(labels) == 0:
        raise MismatchError(
            f"Expected the file's logits in the shape of the Keras model's, {expected.shape}, for {len(labels)} "
            f"labels, got {got.shape}."
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
    """Raise MismatchError if the file lost more than it may."""
    if not result.logit_rms_error <= tolerance.max_logit_rms_error:
        raise MismatchError(
            f"Expected the int8 file to follow the Keras model's logits within {tolerance.max_logit_rms_error:.0%}, "
            f"got {result.logit_rms_error:.0%} over {result.windows} windows. Nothing was written."
        )
    drop = result.float_accuracy - result.int8_accuracy
    if drop > tolerance.max_drop + _ROUNDING:
        raise MismatchError(
            f"Expected int8 to lose at most {100 * tolerance.max_drop:.2f} points, got {100 * drop:.2f} "
            f"({result.float_accuracy:.4f} -> {result.int8_accuracy:.4f} over {result.windows} windows). "
            "Nothing was written. Train longer, or allow more with --max-drop."
        )


def _frozen(graph: Graph, ranges: Ranges, target: str) -> Any:
    """Return the graph as a concrete function of fixed batch 1, without variables, whose tensors carry their ranges."""

    def after(step: Step, value: Any) -> Any:
        if step.op == "reshape":  # has its operand's
            return value
        low, high = ranges[step.name]
        return tf.quantization.fake_quant_with_min_max_args(value, low, high)

    written = Graph(tuple(_written(step, ranges[step.name][1], target) for step in graph))
    spec = tf.TensorSpec((1, *graph.input.shape), tf.float32, name=graph.input.name)
    return tf.function(lambda window: evaluate(written, window, after=after)).get_concrete_function(spec)


def _written(step: Step, high: float, target: str) -> Step:
    """Return the step as an operator that the target's fast kernels take, and that the converter keeps."""
    if step.op == "abs":
        return replace(step, op="leaky", kernel=np.full((), -1.0, np.float32))
    if step.op == "hold":
        # A relu alone becomes part of an offset, of half a step of the result: neither the converter nor XNNPACK
        # leaves one that is next to nothing in its place.
        return replace(step, op="offset", bias=np.full(1, high / 512, np.float32))
    if step.op in ("offset", "scale") and target == "cpu":
        return replace(step, bias=_whole(step.bias, step.shape), kernel=_whole(step.kernel, step.shape))
    return step


def _whole(numbers: FloatArray | None, shape: tuple[int, ...]) -> FloatArray | None:
    """Return numbers per channel repeated over a whole tensor, which saves XNNPACK a call of its kernel per time step.

    One number for all channels it takes at once.
    """
    if numbers is None or numbers.size == 1 or math.prod(shape) > _MOST_NUMBERS:
        return numbers
    return np.broadcast_to(numbers, (1, *shape)).copy()
