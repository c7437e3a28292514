from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from quantize.convert import write_int8
from quantize.network.graph import evaluate
from quantize.network.keras_graph import read_keras
from quantize.network.rewrite import for_int8
from quantize.training.activation_ranges import calibrate_ranges, find_ranges
from quantize.training.qat import Student, distillation_loss, same_class, student_and_teacher


@pytest.fixture(scope="module")
def student(trained: Any) -> Student:
    graph = for_int8(read_keras(trained.model))
    return Student(*calibrate_ranges(graph, trained.calibration))


def test_the_student_computes_what_the_file_does(student: Student, trained: Any, interpret: Any) -> None:
    """Logits differ by a few steps of the output at most, as kernels round inside, and much less than from float."""
    file = write_int8(*student.trained())
    ours = np.asarray(student(trained.inputs))
    theirs = interpret(file.data, trained.inputs)
    low, high = student.trained()[1][student.graph.output.name]
    steps = np.abs(ours - theirs) / ((high - low) / 255)
    assert np.mean(steps < 2.5) > 0.95
    assert np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1)) > 0.98


def test_fixed_kernels_and_ranges_are_not_trained(student: Student) -> None:
    fixed = {step.name for step in student.graph if not step.trainable}
    assert fixed  # the shortcuts
    paths = {id(variable) for variable in student.trainable_variables}
    for key, variable in student._numbers.items():
        assert (id(variable) in paths) == (key[0] not in fixed)


def test_teaching_brings_a_disturbed_student_back_to_its_teacher(trained: Any) -> None:
    graph = for_int8(read_keras(trained.model))
    ranges = {name: (0.5 * low, 0.5 * high) for name, (low, high) in find_ranges(graph, trained.calibration).items()}
    ranges = {**ranges, **{step.name: (0.0, 255 / 256) for step in graph if step.op == "sigmoid"}}
    keras.utils.set_random_seed(0)
    student = Student(graph, ranges)
    model, learner = student_and_teacher(student, graph)
    learner.compile(keras.optimizers.Adam(1e-3), distillation_loss)
    wanted = np.asarray(evaluate(graph, trained.inputs))

    def error() -> float:
        return float(np.mean(np.square(np.asarray(model(trained.inputs)) - wanted)))

    before = error()
    learner.fit(trained.inputs, np.zeros(len(trained.inputs)), epochs=8, batch_size=30, verbose=0)
    assert error() < 0.7 * before


def test_loss_and_agreement_by_hand() -> None:
    logits = np.log(np.array([[[0.5, 0.5], [0.5, 0.5]], [[0.9, 0.1], [0.25, 0.75]]], np.float32))
    loss = np.asarray(distillation_loss(None, logits))
    squares = (np.log(0.9 / 0.25) ** 2 + np.log(0.75 / 0.1) ** 2) / 2
    np.testing.assert_allclose(loss, [np.log(2), -0.25 * np.log(0.9) - 0.75 * np.log(0.1) + 0.1 * squares], rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(same_class(None, logits)), [1, 0])
