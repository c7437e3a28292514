"""The classifier: scaled windows in, logits of an int8 model out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RuntimeUnavailableError
from drsn_edge.runtime.interpreters import open_interpreter
from drsn_edge.runtime.names import Delegate
from drsn_edge.runtime.tensor import TensorSpec
from drsn_edge.signal.windows import FloatArray


class Classifier:
    """An int8 .tflite model that is ready to run.

    Attributes:
        runtime: Name of the interpreter that runs the model.
        input: Tensor of the window that the model takes.
        output: Tensor of the logits that the model returns.
    """

    def __init__(self, model: bytes, runtime: str = "auto", threads: int = 1, delegate: Delegate | None = None) -> None:
        """Load a .tflite model; to run a bundle use `drsn_edge.bundle.open_model.open_classifier`.

        Args:
            model: Content of the .tflite file.
            runtime: See `open_interpreter`.
            threads: See `open_interpreter`.
            delegate: See `open_interpreter`.

        Raises:
            RuntimeUnavailableError: If no interpreter can run the model, or it does not have one int8 input and int8
                logits.
        """
        self.runtime, self._interpreter = open_interpreter(model, runtime, threads, delegate)
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or not outputs or any(end["dtype"] is not np.int8 for end in (inputs[0], outputs[0])):
            words = "The model does not have one int8 input and int8 logits. Convert it with `drsn-edge convert`."
            raise RuntimeUnavailableError(words, "not_int8")
        self.input, self.output = _describe("window", inputs[0]), _describe("logits", outputs[0])
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]

    def logits(self, inputs: FloatArray) -> FloatArray:
        """Return real-valued logits, shape (n, classes), float32.

        Args:
            inputs: Scaled windows, shape (n, 1, window, axes).
        """
        return dequantize_int8(self.codes(inputs), self.output.scale, self.output.zero_point)

    def codes(self, inputs: FloatArray) -> NDArray[np.int8]:
        """Return the logits as the model computes them, int8, shape (n, classes); `inputs` as in `logits`."""
        return self.codes_of(self.quantized(inputs))

    def quantized(self, inputs: FloatArray) -> NDArray[np.int8]:
        """Return scaled windows as int8 input of the model, in the same shape."""
        return quantize_int8(inputs, self.input.scale, self.input.zero_point)

    def codes_of(self, inputs_q: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return the logits as the model computes them from the result of `quantized`, int8, shape (n, classes).

        Raises:
            RuntimeUnavailableError: If the runtime stopped computing, such as an Edge TPU that was unplugged.
        """
        set_tensor, invoke, get_tensor = (
            self._interpreter.set_tensor, self._interpreter.invoke, self._interpreter.get_tensor,
        )  # fmt: skip
        codes = np.empty((len(inputs_q), math.prod(self.output.shape[1:])), np.int8)
        for at, found in enumerate(codes):
            set_tensor(self._input_index, inputs_q[at : at + 1])
            try:
                invoke()
            except RuntimeError as exc:
                said = " ".join(str(exc).split())
                words = f"{self.runtime} stopped computing: {said}"
                raise RuntimeUnavailableError(words, "stopped", runtime=self.runtime) from exc
            found[:] = get_tensor(self._output_index).reshape(-1)
        return codes

    def warm_up(self) -> None:
        """Run once on zeros: the first run of an interpreter takes longer, and on an Edge TPU it loads the weights."""
        self.codes_of(np.zeros(self.input.shape, np.int8))


def quantize_int8(values: FloatArray, scale: float, zero_point: int) -> NDArray[np.int8]:
    """Return int8 codes of real values; values outside the range saturate."""
    codes = values / np.float32(scale)
    np.rint(codes, out=codes)
    codes += zero_point
    np.clip(codes, -128, 127, out=codes)
    return codes.astype(np.int8)


def dequantize_int8(codes_q: NDArray[np.int8], scale: float, zero_point: int) -> FloatArray:
    """Return real = scale * (q - zero_point)."""
    return (codes_q.astype(np.float32) - zero_point) * np.float32(scale)


def softmax(logits: FloatArray, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return probabilities along the last axis, in float: int8 steps of 1/256 would be too coarse.

    Args:
        logits: Logits, shape (..., classes).
        temperature: Divisor of the logits, > 0; see `drsn_edge.bundle.manifest.Manifest.temperature`.
    """
    below = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    if temperature != 1.0:
        below /= temperature
    exponentials = np.exp(below)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def _describe(name: str, detail: dict[str, Any]) -> TensorSpec:
    scale, zero_point = detail["quantization"]
    return TensorSpec(name, tuple(int(size) for size in detail["shape"]), float(scale), int(zero_point))
