"""The classifier against the interpreter itself and against independent arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from refusals import refused

from drsn_edge.errors import RuntimeUnavailableError
from drsn_edge.runtime import classifier as classifier_module
from drsn_edge.runtime import interpreters
from drsn_edge.runtime.classifier import Classifier, dequantize_int8, quantize_int8, softmax
from drsn_edge.runtime.interpreters import open_interpreter

CODES = np.arange(-128, 128).astype(np.int8)
SCALES = st.floats(2**-20, 2**10)
ZERO_POINTS = st.integers(-128, 127)


@given(SCALES, ZERO_POINTS)
def test_every_code_survives_the_round_trip(scale: float, zero_point: int) -> None:
    real = dequantize_int8(CODES, scale, zero_point)
    assert real.dtype == np.float32
    np.testing.assert_allclose(real, [scale * (int(code) - zero_point) for code in CODES], rtol=1e-6)
    np.testing.assert_array_equal(quantize_int8(real, scale, zero_point), CODES)


@given(SCALES, ZERO_POINTS, arrays(np.float32, 20, elements=st.floats(-1e6, 1e6, width=32)))
def test_quantize_is_the_nearest_code_and_saturates(scale: float, zero_point: int, values: Any) -> None:
    codes = quantize_int8(values, scale, zero_point)
    assert codes.dtype == np.int8
    lowest, highest = scale * (-128 - zero_point), scale * (127 - zero_point)
    error = np.abs(dequantize_int8(codes, scale, zero_point) - np.clip(values.astype(np.float64), lowest, highest))
    assert error.max() <= scale * (0.5 + 1e-4)


def test_saturation_and_ties() -> None:
    values = np.array([-1e9, -64.5, -0.5, 0.0, 0.25, 0.75, 63.5, 1e9, np.inf, -np.inf], np.float32)
    np.testing.assert_array_equal(quantize_int8(values, 0.5, 0), [-128, -128, -1, 0, 0, 2, 127, 127, 127, -128])


@given(arrays(np.float32, (3, 4), elements=st.floats(-300, 300, width=32)))
def test_softmax_against_its_definition(logits: Any) -> None:
    expected = [[1 / sum(np.exp(np.float64(other) - one) for other in row) for one in row] for row in logits]
    probabilities = softmax(logits)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1.0, rtol=1e-12)


def test_logits_are_those_of_the_interpreter(tiny_model: bytes) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(model_content=tiny_model)
    interpreter.allocate_tensors()
    (given_in,), (given_out, *_) = interpreter.get_input_details(), interpreter.get_output_details()
    windows = np.random.default_rng(3).normal(0, 2, (20, 1, 64, 2)).astype(np.float32)
    expected = []
    for window in windows:
        scale, zero_point = given_in["quantization"]
        codes = np.clip(np.round(window / np.float32(scale)) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(given_in["index"], codes[None])
        interpreter.invoke()
        scale, zero_point = given_out["quantization"]
        expected.append(scale * (interpreter.get_tensor(given_out["index"])[0].astype(float) - zero_point))
    found = Classifier(tiny_model, "litert").logits(windows)
    assert found.dtype == np.float32
    assert len(np.unique(found, axis=0)) > 5  # else the windows prove nothing
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_windows_do_not_influence_each_other(tiny_model: bytes) -> None:
    windows = np.random.default_rng(4).normal(size=(5, 1, 64, 2)).astype(np.float32)
    classifier = Classifier(tiny_model, threads=2)
    together = classifier.logits(windows)
    np.testing.assert_array_equal(together[::-1], classifier.logits(windows[::-1]))


def test_what_the_model_takes_and_returns(tiny_model: bytes) -> None:
    classifier = Classifier(tiny_model)
    assert classifier.runtime in ("litert", "tflite-runtime")  # NumPy's own engine is the last resort
    assert (classifier.input.shape, classifier.output.shape) == ((1, 1, 64, 2), (1, 3))
    assert classifier.input.scale > 0 and classifier.output.scale > 0


@pytest.mark.parametrize("runtime", ["litert", "tflite-runtime", "numpy"])
def test_a_named_runtime_never_falls_back(runtime: str, monkeypatch: pytest.MonkeyPatch, tiny_model: bytes) -> None:
    def missing() -> Any:
        raise ModuleNotFoundError("No module named 'it'")

    loaders = {
        name: (missing if name == runtime else lambda: pytest.fail("fell back"))
        for name in ("litert", "tflite-runtime", "numpy")
    }
    monkeypatch.setattr(interpreters, "_LOADERS", loaders)
    reasons = [f"{runtime}: No module named 'it'"]
    with refused(RuntimeUnavailableError, "not_installed", wanted=(runtime,), reasons=reasons):
        Classifier(tiny_model, runtime)


def test_auto_takes_the_next_one(monkeypatch: pytest.MonkeyPatch, tiny_model: bytes) -> None:
    def missing() -> Any:
        raise ImportError("not here")

    numpy = interpreters._LOADERS["numpy"]
    monkeypatch.setattr(interpreters, "_LOADERS", {"litert": missing, "tflite-runtime": numpy})
    assert Classifier(tiny_model).runtime == "tflite-runtime"
    monkeypatch.setattr(interpreters, "_LOADERS", {"litert": missing, "tflite-runtime": missing})
    wanted = ("litert", "tflite-runtime")
    with refused(RuntimeUnavailableError, "not_installed", wanted=wanted, reasons=[f"{n}: not here" for n in wanted]):
        Classifier(tiny_model)


def test_auto_takes_numpy_where_no_interpreter_is_installed(monkeypatch: pytest.MonkeyPatch, tiny_model: bytes) -> None:
    def missing() -> Any:
        raise ImportError("not here")

    loaders = {"litert": missing, "tflite-runtime": missing, "numpy": interpreters._LOADERS["numpy"]}
    assert list(loaders) == list(interpreters._LOADERS)
    monkeypatch.setattr(interpreters, "_LOADERS", loaders)
    assert Classifier(tiny_model).runtime == "numpy"


def test_an_interpreter_that_breaks_does_not_fall_back_to_numpy(
    monkeypatch: pytest.MonkeyPatch, tiny_model: bytes
) -> None:
    def broken(**_: Any) -> Any:
        raise RuntimeError("refused")

    monkeypatch.setitem(interpreters._LOADERS, "litert", lambda: broken)
    with refused(RuntimeUnavailableError, "cannot_load", runtime="litert", reason="refused"):
        Classifier(tiny_model)


def test_numpy_gives_the_logits_of_the_reference_kernels(tiny_model: bytes) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    classifier = Classifier(tiny_model, "numpy", threads=2)
    windows = np.random.default_rng(3).normal(0, 2, (20, 1, 64, 2)).astype(np.float32)
    found = classifier.logits(windows)
    resolver = litert.OpResolverType.BUILTIN_REF
    interpreter = litert.Interpreter(model_content=tiny_model, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    (given_in,), (given_out,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (classifier.input.scale, classifier.input.zero_point) == given_in["quantization"]
    assert (classifier.output.scale, classifier.output.zero_point) == given_out["quantization"]
    assert classifier.input.shape == tuple(given_in["shape"]) and classifier.output.shape == tuple(given_out["shape"])
    for window_q, logits in zip(quantize_int8(windows, *given_in["quantization"]), found, strict=True):
        interpreter.set_tensor(given_in["index"], window_q[None])
        interpreter.invoke()
        expected = dequantize_int8(interpreter.get_tensor(given_out["index"])[0], *given_out["quantization"])
        np.testing.assert_array_equal(logits, expected)


@pytest.mark.parametrize("model", [b"", b"garbage" * 100, b"\0\0\0\0TFL3" + bytes(64)], ids=len)
def test_garbage_is_no_model_for_numpy(model: bytes) -> None:
    with refused(RuntimeUnavailableError, "cannot_load", runtime="numpy"):
        Classifier(model, "numpy")


def test_an_interpreter_that_breaks_on_loading_says_which(monkeypatch: pytest.MonkeyPatch, tiny_model: bytes) -> None:
    def broken(**_: Any) -> Any:
        raise AttributeError("_ARRAY_API not found")

    monkeypatch.setattr(interpreters, "_LOADERS", {"litert": lambda: broken})
    with refused(RuntimeUnavailableError, "cannot_load", runtime="litert", reason="_ARRAY_API not found"):
        open_interpreter(tiny_model, "litert")


@pytest.mark.parametrize("model", [b"", b"x", b"garbage" * 100, b"\0\0\0\0TFL3" + bytes(64)], ids=len)
def test_garbage_is_no_model(model: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with refused(RuntimeUnavailableError, "cannot_load"):
        Classifier(model)
    assert capfd.readouterr().err == ""


def test_a_truncated_model_is_refused(tiny_model: bytes) -> None:
    for length in range(0, len(tiny_model) - 1000, 500):
        with pytest.raises(RuntimeUnavailableError):
            Classifier(tiny_model[:length])


class FakeInterpreter:
    """Reports given tensors and is never run."""

    def __init__(self, inputs: list[Any], outputs: list[Any]) -> None:
        self._inputs, self._outputs = inputs, outputs

    def get_input_details(self) -> list[Any]:
        return self._inputs

    def get_output_details(self) -> list[Any]:
        return self._outputs


def tensor(dtype: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": np.array([1, 3], np.int32), "quantization": (0.5, 0), "index": 0}


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([np.float32], [np.int8]),
        ([np.int8], [np.float32]),
        ([np.uint8], [np.uint8]),
        ([np.int8, np.int8], [np.int8]),
        ([], [np.int8]),
        ([np.int8], []),
    ],
)
def test_only_int8_models_with_one_input_are_taken(
    inputs: list[Any], outputs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeInterpreter([tensor(dtype) for dtype in inputs], [tensor(dtype) for dtype in outputs])
    monkeypatch.setattr(classifier_module, "open_interpreter", lambda *_: ("fake", fake))
    with refused(RuntimeUnavailableError, "not_int8"):
        Classifier(b"")


def test_a_float_model_is_refused() -> None:
    tf = pytest.importorskip("tensorflow")
    function = tf.function(lambda x: x * 2.0).get_concrete_function(tf.TensorSpec((1, 4)))
    model = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    with refused(RuntimeUnavailableError, "not_int8"):
        Classifier(model)
