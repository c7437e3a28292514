"""Run the same windows through several implementations of one int8 file, and compare their codes and classes.

Interpreters are imported when they are opened, so that importing this module needs NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.engine import Engine
from quantize.errors import MismatchError, ModelFileError
from quantize.quiet import quiet_native_stderr

Int8Array = NDArray[np.int8]
Run = Callable[[Int8Array], Int8Array]
"""Codes of windows (n, ...) -> codes of logits (n, classes)."""

NUMPY = "numpy"
REFERENCE = "litert-reference"
OPTIMISED = "litert-optimised"
XNNPACK = "litert-xnnpack"
TFLITE_RUNTIME = "tflite-runtime"
_RESOLVERS = {REFERENCE: "BUILTIN_REF", OPTIMISED: "BUILTIN_WITHOUT_DEFAULT_DELEGATES", XNNPACK: "AUTO"}
"""LiteRT's three sets of kernels. Without the delegate LiteRT still runs its optimised kernels, not the reference."""


@dataclass(frozen=True)
class Comparison:
    """How two backends differ on the same windows.

    Attributes:
        first: Name of one backend.
        second: Name of the other.
        windows: Windows compared.
        lsb_differences: Number of logits for each difference in codes (second minus first), in ascending order.
        class_flips: Windows that the two assign to different classes; of equal logits the first counts.
    """

    first: str
    second: str
    windows: int
    lsb_differences: dict[int, int]
    class_flips: int

    @property
    def equal(self) -> bool:
        """Whether all codes are equal."""
        return set(self.lsb_differences) <= {0}


def open_backends(model: bytes, names: Collection[str] | None = None) -> dict[str, Run]:
    """Return the NumPy engine and every interpreter that is installed on this machine, by name.

    Args:
        model: The .tflite file.
        names: Those of `BACKENDS` to open; None for all.

    Raises:
        ModelFileError: If the file is damaged, or an interpreter cannot load it.
        UnsupportedOperatorError: If the NumPy engine does not run one of its operators.
    """
    backends: dict[str, Run] = {}
    if names is None or NUMPY in names:
        engine = Engine(model)
        backends[NUMPY] = lambda inputs_q: _flat(engine.run(inputs_q))
    for name, load in _LOADERS.items():
        if names is not None and name not in names:
            continue
        try:
            interpreter_class, options = load()
        except ImportError:
            continue
        backends[name] = _interpreter(name, model, interpreter_class, options)
    return backends


def compare_backends(backends: Mapping[str, Run], inputs_q: Int8Array) -> tuple[Comparison, ...]:
    """Run the same windows through all backends and compare each pair, in the order given.

    Args:
        backends: At least two, by name.
        inputs_q: Codes of at least one window, shape (n, ...).

    Raises:
        MismatchError: If there is no window, or the logits of two backends differ in shape.
    """
    if len(inputs_q) == 0:
        raise MismatchError("There are no windows to compare the backends on.", "no_windows")
    logits_q = {name: run(inputs_q) for name, run in backends.items()}
    return tuple(
        compare_logits(first, second, logits_q[first], logits_q[second]) for first, second in combinations(logits_q, 2)
    )


def compare_logits(first: str, second: str, first_q: Int8Array, second_q: Int8Array) -> Comparison:
    """Compare the logits of two backends, shape (n, classes) each.

    Raises:
        MismatchError: If their shapes differ.
    """
    if first_q.shape != second_q.shape:
        raise MismatchError(
            f"{first} returns logits of shape {first_q.shape}, {second} of shape {second_q.shape}: they cannot be "
            "compared.",
            "logits_shape",
            first=first,
            second=second,
            first_shape=first_q.shape,
            second_shape=second_q.shape,
        )
    steps, counts = np.unique(second_q.astype(np.int64) - first_q, return_counts=True)
    return Comparison(
        first=first,
        second=second,
        windows=len(first_q),
        lsb_differences={int(step): int(count) for step, count in zip(steps, counts, strict=True)},
        class_flips=int(np.sum(first_q.argmax(axis=1) != second_q.argmax(axis=1))),
    )


@dataclass(frozen=True)
class OperatorDifference:
    """How a backend's operators of one name differ from the reference kernels on the same operands.

    Attributes:
        operator: TFLite's name.
        elements: Codes compared.
        different: Codes that differ from the reference.
        largest: Largest difference in codes.
    """

    operator: str
    elements: int
    different: int
    largest: int


def operator_differences(model: bytes, inputs_q: Int8Array, backend: str) -> tuple[OperatorDifference, ...]:
    """Return for each kind of operator how a set of LiteRT's kernels differs from the reference kernels.

    The interpreter keeps every tensor for this comparison, so that a delegate may fuse fewer operators than usual.

    Args:
        model: The .tflite file.
        inputs_q: Codes of the windows, shape (n, ...).
        backend: One of `REFERENCE`, `OPTIMISED` and `XNNPACK`.

    Raises:
        ModelFileError: If the file is damaged, or the interpreter cannot load it.
        UnsupportedOperatorError: If the NumPy engine does not run one of its operators.
    """
    engine = Engine(model)
    interpreter_class, options = _litert(_RESOLVERS[backend])
    interpreter = _loaded(backend, model, interpreter_class, options | {"experimental_preserve_all_tensors": True})
    found: dict[str, list[int]] = {}
    for window_q in inputs_q:
        interpreter.set_tensor(engine.input, window_q[None])
        interpreter.invoke()
        written = [engine.input, *(operator.outputs[0] for operator in engine.file.operators)]
        values = {index: interpreter.get_tensor(index)[None] for index in written}
        expected = engine.recompute(values)
        for operator in engine.file.operators:
            index = operator.outputs[0]
            steps = np.abs(values[index].reshape(-1).astype(np.int64) - expected[index].reshape(-1))
            elements, different, largest = found.get(operator.name, [0, 0, 0])
            found[operator.name] = [
                elements + len(steps), different + int(np.count_nonzero(steps)), max(largest, int(steps.max())),
            ]  # fmt: skip
    return tuple(OperatorDifference(name, *figures) for name, figures in sorted(found.items()))


def _interpreter(name: str, model: bytes, interpreter_class: Any, options: dict[str, Any]) -> Run:
    interpreter = _loaded(name, model, interpreter_class, options)
    input_index, output_index = (
        ends[0]["index"] for ends in (interpreter.get_input_details(), interpreter.get_output_details())
    )

    def run(inputs_q: Int8Array) -> Int8Array:
        logits_q = []
        for window_q in inputs_q:
            interpreter.set_tensor(input_index, window_q[None])
            interpreter.invoke()
            logits_q.append(interpreter.get_tensor(output_index))
        return _flat(np.stack(logits_q))

    return run


def _loaded(name: str, model: bytes, interpreter_class: Any, options: dict[str, Any]) -> Any:
    try:
        with quiet_native_stderr():
            interpreter = interpreter_class(model_content=model, num_threads=1, **options)
            interpreter.allocate_tensors()
    except Exception as exc:  # ValueError, RuntimeError, and under a wrong NumPy AttributeError
        raise ModelFileError(
            f"{name} cannot load this model: {exc}. Convert the model again, or use another runtime.",
            "not_loadable",
            backend=name,
            reason=str(exc),
        ) from exc
    return interpreter


def _flat(logits_q: Int8Array) -> Int8Array:
    return logits_q.reshape(len(logits_q), -1)


def _litert(resolver: str) -> tuple[Any, dict[str, Any]]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    return Interpreter, {"experimental_op_resolver_type": OpResolverType[resolver]}


def _tflite_runtime() -> tuple[Any, dict[str, Any]]:
    from tflite_runtime.interpreter import Interpreter

    return Interpreter, {}


def _litert_loader(resolver: str) -> Callable[[], tuple[Any, dict[str, Any]]]:
    return lambda: _litert(resolver)


_LOADERS: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    **{name: _litert_loader(resolver) for name, resolver in _RESOLVERS.items()},
    TFLITE_RUNTIME: _tflite_runtime,
}

BACKENDS = (NUMPY, *_LOADERS)
"""Names of all implementations, installed or not."""
