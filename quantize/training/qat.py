"""Quantization-aware training: a network that rounds like its int8 file learns to agree with the float network.

The student is the graph with fake quantization on every tensor and every number; batch normalization is already folded
into the kernels. Kernels, biases, constants and ranges are trained. Fixed kernels are not: the 0/1 kernels of
shortcuts, and linear discriminants. The teacher is the network in floating point. The loss is the cross-entropy of the
student's classes with the teacher's, plus a share of the squared error of the logits. It needs no labels, and the
student learns nothing that the teacher does not know. All backends of Keras are supported.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from quantize.network.graph import Graph, Step, Tensor, evaluate
from quantize.training.fake_quant import (
    Ranges,
    check_ranges,
    fixed_range,
    nudged_range,
    quantise_results,
    quantised_parameters,
    source_of_range,
)

_LOGITS_SHARE = 0.1
"""Share of the squared error in the loss. Where the teacher is sure of a class, cross-entropy has no more gradient."""


class Student(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """The graph with fake quantization: inputs (batch, *graph.input.shape) to logits (batch, classes)."""

    def __init__(self, graph: Graph, ranges: Ranges, **kwargs: Any) -> None:
        """Start from the graph's numbers and the ranges of its calibration.

        Raises:
            CalibrationError: If a step has no range, or its range is empty or not finite.
        """
        super().__init__(**kwargs)
        check_ranges(graph, ranges)
        self.graph = graph
        self._sources = source_of_range(graph)
        steps = graph.by_name()
        self._numbers = {
            key: self._variable(numbers, trainable=steps[key[0]].trainable) for key, numbers in graph.parameters.items()
        }
        owners = sorted(set(self._sources.values()), key=list(steps).index)
        self._ends = {name: self._variables_of(ranges[name], trainable=not fixed_range(steps[name])) for name in owners}

    def _variables_of(self, ends: tuple[float, float], *, trainable: bool) -> tuple[Any, Any]:
        low, high = (self._variable(np.float32(end), trainable=trainable) for end in ends)
        return low, high

    def _variable(self, value: Any, *, trainable: bool) -> Any:
        value = np.asarray(value, np.float32)
        return self.add_weight(shape=value.shape, initializer=keras.initializers.Constant(value), trainable=trainable)

    def call(self, inputs: Tensor) -> Tensor:
        """Return the logits of the int8 file, except for rounding inside its kernels."""
        numbers = quantised_parameters(self.graph, self._numbers)
        return evaluate(self.graph, inputs, numbers, after=quantise_results(self._ends))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the logits."""
        return (input_shape[0], *self.graph.output.shape)

    def trained(self) -> tuple[Graph, dict[str, tuple[float, float]]]:
        """Return the graph with the numbers for the int8 file, and the ranges."""
        numbers = {
            key: ops.convert_to_numpy(value) for key, value in quantised_parameters(self.graph, self._numbers).items()
        }
        steps = [_with_numbers(step, numbers) for step in self.graph]
        found = {name: [float(ops.convert_to_numpy(end)) for end in ends] for name, ends in self._ends.items()}
        steps_by_name = self.graph.by_name()
        ranges = {
            name: fixed_range(steps_by_name[source]) or nudged_range(*found[source])
            for name, source in self._sources.items()
        }
        return Graph(tuple(steps)), ranges


def _with_numbers(step: Step, numbers: dict[tuple[str, str], Any]) -> Step:
    parts = {part: numbers[step.name, part] for part in ("kernel", "bias") if (step.name, part) in numbers}
    return replace(step, **parts)


def student_and_teacher(student: Student, teacher: Graph) -> tuple[Any, Any]:
    """Return the student as a model, and a model of both to train: (batch, 2, classes), the student's logits first.

    Args:
        student: The student before its training.
        teacher: The trained network in floating point.
    """
    inputs = keras.Input(student.graph.input.shape, name="window")
    logits = student(inputs)
    taught = _Teacher(teacher)(inputs)
    return keras.Model(inputs, logits), keras.Model(inputs, ops.stack([logits, taught], axis=1))


class _Teacher(keras.layers.Layer):  # type: ignore[misc]
    """The graph in floating point; it is not trained."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(trainable=False)
        self._graph = graph

    def call(self, inputs: Tensor) -> Tensor:
        return ops.stop_gradient(evaluate(self._graph, inputs))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], *self._graph.output.shape)


def distillation_loss(labels: Tensor, logits: Tensor) -> Tensor:
    """Return the distance of the student's classes and logits from the teacher's, shape (batch,).

    Args:
        labels: Ignored; a Keras loss takes labels.
        logits: Logits of `student_and_teacher`, shape (batch, 2, classes).
    """
    ours, theirs = logits[:, 0], logits[:, 1]
    classes = keras.losses.categorical_crossentropy(ops.softmax(theirs), ours, from_logits=True)
    return classes + _LOGITS_SHARE * ops.mean(ops.square(ours - theirs), axis=-1)


def same_class(labels: Tensor, logits: Tensor) -> Tensor:
    """Return 1 for each window that both assign to the same class, else 0; arguments as for `distillation_loss`."""
    classes = ops.argmax(logits, axis=-1)
    return ops.cast(ops.equal(classes[:, 0], classes[:, 1]), "float32")
