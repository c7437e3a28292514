"""The NumPy engine with the interface of an interpreter: the runtime for machines without any other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.engine import Engine


class NumpyInterpreter:
    """An interpreter computed by `quantize.engine`: slower, with the same codes as TFLite's reference kernels."""

    def __init__(self, model_content: bytes, num_threads: int = 1) -> None:
        """Load a .tflite model.

        Args:
            model_content: Content of the .tflite file.
            num_threads: Ignored, and there so that all interpreters are opened alike; NumPy's BLAS has its own setting.

        Raises:
            QuantizeError: If the model is damaged, or holds an operator that the engine does not run.
        """
        self._engine = Engine(model_content)
        self._values: dict[int, NDArray[np.int8]] = {}

    def allocate_tensors(self) -> None:
        """Do nothing: the engine is ready after its construction."""

    def get_input_details(self) -> list[dict[str, Any]]:
        """Return index, shape, dtype and quantization of the input."""
        return [self._details(self._engine.input)]

    def get_output_details(self) -> list[dict[str, Any]]:
        """Return index, shape, dtype and quantization of each output."""
        return [self._details(index) for index in self._engine.outputs]

    def set_tensor(self, index: int, value: NDArray[np.int8]) -> None:
        """Set the codes of the input, shape (1, ...)."""
        self._values[index] = value

    def invoke(self) -> None:
        """Compute the codes of the outputs."""
        window_q = self._values[self._engine.input]
        first, *others = self._engine.outputs
        if others:
            trace = self._engine.trace(window_q)
            self._values.update({index: trace[index] for index in self._engine.outputs})
        else:
            self._values[first] = self._engine.run(window_q)

    def get_tensor(self, index: int) -> NDArray[np.int8]:
        """Return the codes of an output, shape (1, ...)."""
        return self._values[index]

    def _details(self, index: int) -> dict[str, Any]:
        tensor, quantization = self._engine.file.tensors[index], self._engine.quantization(index)
        return {
            "index": index,
            "shape": np.array(tensor.shape, np.int32),
            "dtype": np.int8,
            "quantization": (quantization.scale, quantization.zero_point),
        }
