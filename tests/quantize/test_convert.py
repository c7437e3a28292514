from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from refusals import refused

from quantize.convert import Agreement, Tolerance, agreement, check_agreement, compare, to_int8
from quantize.errors import CalibrationError, ConversionError, MismatchError, QuantizeError
from quantize.targets.lint import INT8_OPERATORS, lint
from quantize.training.activation_ranges import check_calibration


def good(**changes: Any) -> Agreement:
    return replace(Agreement(1000, 0.98, 0.98, 1.0, 0.05), **changes)


def model_of(features: Any) -> keras.Model:
    """Return a network that applies `features` between two convolutions."""
    inputs = keras.Input((1, 32, 2))
    x = features(layers.Conv2D(4, (1, 3), padding="same")(inputs))
    x = layers.Conv2D(3, 1)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return keras.Model(inputs, layers.Flatten()(x))


WINDOWS = np.random.default_rng(0).normal(size=(32, 1, 32, 2)).astype(np.float32)


def test_the_file_holds_int8_operators_only(int8: Any) -> None:
    report = lint(int8.data)
    assert report == int8.lint
    assert report.findings == ()
    assert set(report.operators) <= INT8_OPERATORS
    assert report.operators["SUB"] >= 6  # three per block: the soft threshold is really in there
    assert report.operators["LOGISTIC"] == 2


def test_int8_is_nearly_as_good_as_float(trained: Any, int8: Any, interpret: Any) -> None:
    result = compare(trained.model, int8, trained.inputs, trained.labels, interpret)
    assert result.windows == 300
    assert result.float_accuracy > 0.95
    assert result.int8_accuracy > result.float_accuracy - 0.02
    assert result.same_class > 0.97
    assert 0 < result.logit_rms_error < 0.15
    check_agreement(result, Tolerance(max_drop=0.02))


def test_the_file_follows_a_float_network_that_numpy_knows(interpret: Any) -> None:
    """A single 1x1 convolution and a mean, computed by hand: the conversion as such is right."""
    inputs = keras.Input((1, 32, 2))
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(layers.Conv2D(3, 1)(inputs))
    model = keras.Model(inputs, layers.Flatten()(pooled))
    kernel, bias = np.array([[1.0, -2.0, 0.5], [0.25, 1.0, -1.0]], np.float32), np.array([0.1, 0.0, -0.2], np.float32)
    model.set_weights([kernel[None, None], bias])
    windows = WINDOWS + np.linspace(-1, 1, len(WINDOWS), dtype=np.float32)[:, None, None, None]
    by_hand = (windows[:, 0] @ kernel + bias).mean(axis=1)
    got = interpret(to_int8(model, windows).data, windows)
    assert np.abs(got - by_hand).max() < 0.02 * np.ptp(by_hand)


def test_the_same_windows_give_the_same_bytes(trained: Any, int8: Any) -> None:
    assert to_int8(trained.model, trained.calibration).data == int8.data


def test_conversion_leaves_the_model_as_it_was(trained: Any, int8: Any) -> None:
    before = [weights.copy() for weights in trained.model.get_weights()]
    to_int8(trained.model, trained.calibration[:4])
    for old, new in zip(before, trained.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# Refusals: what has no int8 form.


@pytest.mark.parametrize(
    ("features", "problem", "facts"),
    [
        pytest.param(layers.Lambda(tf.sign, name="my_sign"), "unknown_layer", {"kind": "Lambda"}, id="lambda"),
        pytest.param(layers.LeakyReLU(name="leaky"), "unknown_layer", {"kind": "LeakyReLU"}, id="leaky"),
        pytest.param(layers.ReLU(max_value=6.0, name="six"), "layer_form", {"needs": "a plain relu"}, id="relu6"),
        pytest.param(
            layers.Activation("tanh", name="squash"),
            "layer_form",
            {"needs": "an activation among relu and sigmoid"},
            id="tanh",
        ),
        pytest.param(
            layers.Conv2D(4, (1, 3), dilation_rate=(1, 2), name="wide"),
            "layer_form",
            {"needs": "channels last, no dilation and no groups"},
            id="dilated",
        ),
        pytest.param(
            layers.BatchNormalization(axis=2, name="norm"), "layer_form", {"needs": "the last axis"}, id="norm"
        ),
        pytest.param(layers.MaxPooling2D((1, 2), name="pool"), "unknown_layer", {"kind": "MaxPooling2D"}, id="pool"),
    ],
)
def test_a_layer_without_an_int8_form_is_refused_by_name(features: Any, problem: str, facts: dict[str, Any]) -> None:
    with refused(ConversionError, problem, layer=features.name, **facts):
        to_int8(model_of(features), WINDOWS)


def test_a_relu_that_would_stand_alone_gets_an_operator(interpret: Any) -> None:
    inputs = keras.Input((1, 32, 2))
    x = layers.Conv2D(4, (1, 3), padding="same")(inputs)
    pooled = layers.GlobalAveragePooling2D()(layers.Add()([x, layers.ReLU()(x)]))
    model = keras.Model(inputs, pooled)
    int8 = to_int8(model, WINDOWS)
    assert "RELU" not in int8.lint.operators
    expected = np.asarray(model(WINDOWS))
    assert np.abs(interpret(int8.data, WINDOWS) - expected).max() < 0.05 * np.ptp(expected)


# Refusals: windows that cannot calibrate.


@pytest.mark.parametrize(
    ("windows", "problem"),
    [
        pytest.param(np.zeros((0, 1, 32, 2), np.float32), "windows_shape", id="empty"),
        pytest.param(WINDOWS[:, :, :-1], "windows_shape", id="short-window"),
        pytest.param(WINDOWS[:, 0], "windows_shape", id="three-dimensional"),
        pytest.param(WINDOWS[..., :1], "windows_shape", id="one-axis"),
        pytest.param(
            np.where(np.arange(32) == 5, np.nan, WINDOWS.swapaxes(2, 3)).swapaxes(2, 3), "windows_not_finite", id="nan"
        ),
        pytest.param(np.full_like(WINDOWS, np.inf), "windows_not_finite", id="infinite"),
        pytest.param(np.full_like(WINDOWS, 3.25), "windows_constant", id="constant"),
    ],
)
def test_windows_that_cannot_calibrate_are_refused(windows: Any, problem: str) -> None:
    facts = {"expected": (1, 32, 2), "got": windows.shape} if problem == "windows_shape" else {}
    with refused(CalibrationError, problem, **facts):
        check_calibration(windows, (1, 32, 2))


def test_conversion_checks_its_windows_before_the_work(trained: Any) -> None:
    with refused(CalibrationError, "windows_constant"):
        to_int8(trained.model, np.zeros_like(trained.calibration))


# Agreement, by hand.


def test_agreement_by_hand() -> None:
    expected = np.array([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [0.0, 2.0]], np.float32)
    got = np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 2.0], [0.0, 2.0]], np.float32)
    result = agreement(expected, got, np.array([0, 1, 0, 0]))
    # RMS of the logits about their mean 1 is 1; two of eight values are off by 2: sqrt(2 * 4 / 8) = 1.
    assert result == Agreement(
        windows=4, float_accuracy=0.75, int8_accuracy=0.5, same_class=0.75, logit_rms_error=1.0
    )  # fmt: skip


def test_agreement_of_equal_logits_is_perfect() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    result = agreement(logits, logits, logits.argmax(axis=1))
    assert result == Agreement(50, 1.0, 1.0, 1.0, 0.0)


def test_logits_without_any_spread_agree_with_nothing() -> None:
    flat = np.ones((5, 3), np.float32)
    with pytest.raises(MismatchError):
        check_agreement(agreement(flat, flat, np.zeros(5, np.int64)), Tolerance())


@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (1, 2), (3, 2), (4,)])
def test_logits_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with refused(MismatchError, "logits_shape", expected=(4, 2), got=shape, labels=4):
        agreement(np.eye(4, 2, dtype=np.float32), np.ones(shape, np.float32), np.zeros(4, np.int64))


def test_no_windows_are_no_agreement() -> None:
    with pytest.raises(MismatchError):
        agreement(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), np.zeros(0, np.int64))


# Tolerance.


def test_agreement_within_tolerance_passes() -> None:
    check_agreement(good(), Tolerance())
    check_agreement(good(int8_accuracy=0.99), Tolerance(max_drop=0.0))


def test_a_drop_of_exactly_what_is_allowed_passes() -> None:
    check_agreement(good(float_accuracy=0.98, int8_accuracy=0.97), Tolerance(max_drop=0.01))
    check_agreement(good(float_accuracy=1.0, int8_accuracy=0.9), Tolerance(max_drop=0.1))


def test_one_window_more_than_allowed_is_refused() -> None:
    with refused(MismatchError, "accuracy_drop", got=pytest.approx(0.011), limit=0.01, windows=1000):
        check_agreement(good(float_accuracy=0.98, int8_accuracy=0.969), Tolerance(max_drop=0.01))


@pytest.mark.parametrize("error", [0.36, 1.0, float("inf"), float("nan")])
def test_logits_that_do_not_follow_are_refused_whatever_the_accuracy(error: float) -> None:
    with refused(MismatchError, "logits", got=error, limit=Tolerance().max_logit_rms_error, windows=1000):
        check_agreement(good(logit_rms_error=error), Tolerance(max_drop=1.0))


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(lambda n: np.random.default_rng(0).normal(size=(n, 3)), id="noise"),
        pytest.param(lambda n: np.zeros((n, 3)), id="zeros"),
        pytest.param(lambda n: np.full((n, 3), np.nan), id="nan"),
        pytest.param(lambda n: np.ones((n, 1)), id="one-column"),
        pytest.param(lambda n: np.ones((n, 3)) * 1e30, id="huge"),
    ],
)
def test_a_file_that_answers_garbage_is_refused(trained: Any, int8: Any, garbage: Any) -> None:
    with pytest.raises(MismatchError), np.errstate(all="ignore"):
        result = compare(
            trained.model, int8, trained.inputs, trained.labels, lambda _, inputs: garbage(len(inputs)),
        )  # fmt: skip
        check_agreement(result, Tolerance(max_drop=1.0))


def test_the_file_of_another_network_is_refused(trained: Any, interpret: Any) -> None:
    keras.utils.set_random_seed(99)
    stranger = keras.models.clone_model(trained.model)  # the same shapes, fresh weights
    other = to_int8(stranger, trained.calibration)
    result = compare(trained.model, other, trained.inputs, trained.labels, interpret)
    with pytest.raises(MismatchError):
        check_agreement(result, Tolerance(max_drop=1.0))


def test_the_errors_have_one_root() -> None:
    assert all(issubclass(kind, QuantizeError) for kind in (CalibrationError, ConversionError, MismatchError))
