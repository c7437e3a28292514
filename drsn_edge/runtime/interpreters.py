"""The one place that chooses an interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drsn_edge.errors import RuntimeUnavailableError
from quantize.quiet import quiet_native_stderr

RUNTIMES = ("auto", "litert", "tflite-runtime", "numpy")
"""`auto` takes the first that is installed; a named one never falls back. NumPy alone is the last resort: slower."""

DISTRIBUTIONS = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime", "numpy": "numpy"}
"""The installed package behind each."""


def open_interpreter(model: bytes, runtime: str = "auto", threads: int = 1) -> tuple[str, Any]:
    """Return (name of the runtime, interpreter with its tensors allocated) for a .tflite model.

    Raises:
        RuntimeUnavailableError: If the runtime is not installed here or refuses the model.
    """
    name, interpreter_class = _choose(runtime)
    try:
        with quiet_native_stderr():
            interpreter = interpreter_class(model_content=model, num_threads=threads)
            interpreter.allocate_tensors()
    except Exception as exc:  # ValueError, RuntimeError, and under a wrong NumPy AttributeError or ImportError
        raise RuntimeUnavailableError(f"{name} could not load the model: {exc}") from exc
    return name, interpreter


def _choose(runtime: str) -> tuple[str, Any]:
    wanted = _LOADERS if runtime == "auto" else {runtime: _LOADERS[runtime]}
    reasons = []
    for name, load in wanted.items():
        try:
            return name, load()
        except ImportError as exc:
            reasons.append(f"{name}: {exc}")
    raise RuntimeUnavailableError(
        f"Expected the interpreter {' or '.join(wanted)}, got none ({'; '.join(reasons)}). Install drsn-edge with its "
        "dependencies, or drsn-edge[tflite-runtime] on Python 3.10 or 3.11 where LiteRT has no wheel."
    )


def _load_litert() -> Any:
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter


def _load_tflite_runtime() -> Any:
    from tflite_runtime.interpreter import Interpreter

    return Interpreter


def _load_numpy() -> Any:
    from drsn_edge.runtime.numpy_interpreter import NumpyInterpreter

    return NumpyInterpreter


_LOADERS: dict[str, Callable[[], Any]] = {
    "litert": _load_litert,
    "tflite-runtime": _load_tflite_runtime,
    "numpy": _load_numpy,
}
