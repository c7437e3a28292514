"""The choice of an interpreter for a .tflite model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drsn_edge.errors import RuntimeUnavailableError
from drsn_edge.runtime.names import EDGETPU, EDGETPU_LIBRARY, Delegate
from drsn_edge.support.apart import NO_MESSAGE
from drsn_edge.support.extras import pip_line
from quantize.quiet import quiet_native_stderr


def open_interpreter(
    model: bytes, runtime: str = "auto", threads: int = 1, delegate: Delegate | None = None
) -> tuple[str, Any]:
    """Return (name of the runtime, interpreter with allocated tensors) for a .tflite model.

    Args:
        model: Content of the .tflite file.
        runtime: One of `RUNTIMES`; `edgetpu` takes a compiled model, on LiteRT or tflite-runtime.
        threads: Number of CPU threads.
        delegate: Library and device for `edgetpu`.

    Raises:
        RuntimeUnavailableError: If the runtime is not installed or refuses the model.
    """
    from quantize.tflite.file import read_model

    name, interpreter_class, options = _choose(runtime, delegate)
    try:
        read_model(model)  # a damaged file would crash tflite-runtime on armv7l
        with quiet_native_stderr():
            interpreter = interpreter_class(model_content=model, num_threads=threads, **options)
            interpreter.allocate_tensors()
    except Exception as exc:  # ValueError, RuntimeError, and under a wrong NumPy AttributeError or ImportError
        words = f"{name} could not load the model: {exc}"
        raise RuntimeUnavailableError(words, "cannot_load", runtime=name, reason=str(exc)) from exc
    return name, interpreter


def _choose(runtime: str, delegate: Delegate | None) -> tuple[str, Any, dict[str, Any]]:
    wanted = {"auto": tuple(_LOADERS), EDGETPU: _WITH_DELEGATES}.get(runtime, (runtime,))
    reasons = []
    for name in wanted:
        try:
            interpreter_class = _LOADERS[name]()
        except ImportError as exc:
            reasons.append(f"{name}: {exc}")
            continue
        if runtime != EDGETPU:
            return name, interpreter_class, {}

        library, device = delegate or (EDGETPU_LIBRARY, None)
        opened = open_delegate(_DELEGATE_LOADERS[name](), library, device)
        return EDGETPU, interpreter_class, {"experimental_delegates": [opened]}
    raise RuntimeUnavailableError(
        f"No interpreter {' or '.join(wanted)} is installed ({'; '.join(reasons)}). Install drsn-edge with its "
        f"dependencies; on Python 3.10 or 3.11 where LiteRT has no wheel, type: {pip_line('tflite-runtime')}",
        "not_installed",
        wanted=wanted,
        reasons=reasons,
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


def _litert_delegates() -> Any:
    from ai_edge_litert.interpreter import load_delegate

    return load_delegate


def _tflite_runtime_delegates() -> Any:
    from tflite_runtime.interpreter import load_delegate

    return load_delegate


_LOADERS: dict[str, Callable[[], Any]] = {
    "litert": _load_litert,
    "tflite-runtime": _load_tflite_runtime,
    "numpy": _load_numpy,
}
_DELEGATE_LOADERS: dict[str, Callable[[], Any]] = {
    "litert": _litert_delegates,
    "tflite-runtime": _tflite_runtime_delegates,
}
_WITH_DELEGATES = tuple(_DELEGATE_LOADERS)


def open_delegate(load: Callable[..., Any], library: str, device: str | None) -> Any:
    """Return the delegate of an Edge TPU.

    Args:
        load: Function `load_delegate` of an interpreter's package.
        library: Name or path of libedgetpu.
        device: Device, such as "usb", "usb:1" or "pci:0"; None: any.

    Raises:
        RuntimeUnavailableError: If it does not work; with the message of the library, or `NO_MESSAGE`.
    """
    options = {} if device is None else {"device": device}
    try:
        with quiet_native_stderr():
            return load(library, options)
    except (ValueError, OSError) as exc:
        said = " ".join(str(exc).split()).removeprefix(f"Failed to load delegate from {library}").strip()
        raise RuntimeUnavailableError(said or NO_MESSAGE, "delegate_failed", library=library, device=device) from exc
