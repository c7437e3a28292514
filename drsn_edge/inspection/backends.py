"""Run all backends of this machine on the same windows, each in its own process.

A model can crash an interpreter and its process; the report must survive that.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.support.apart import ApartError, RefusedApartError, answer_apart, ask_apart
from quantize.backends import BACKENDS, Comparison, compare_logits, open_backends
from quantize.errors import QuantizeError

_PROGRAM = "drsn_edge.inspection.backends"
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class BackendReport:
    """The comparison of the backends.

    Attributes:
        windows: Number of windows.
        comparisons: Comparison of each pair of backends that ran.
        failures: Reasons of the backends that did not run, by name; backends that are not installed are left out.
    """

    windows: int
    comparisons: tuple[Comparison, ...]
    failures: dict[str, str]


def run_backends(
    model: bytes, inputs_q: NDArray[np.int8], progress: Callable[[int, int], None] | None = None
) -> BackendReport:
    """Run windows through every installed backend, and compare each pair.

    Args:
        model: The .tflite file.
        inputs_q: Codes of at least one window, shape (n, ...).
        progress: Called with the number of backends that are done, and the number of all backends.
    """
    logits_q: dict[str, NDArray[np.int8]] = {}
    failures: dict[str, str] = {}
    for done, name in enumerate(BACKENDS, start=1):
        found = _apart(name, model, inputs_q)
        if isinstance(found, str):
            failures[name] = found
        elif found is not None:
            logits_q[name] = found
        if progress is not None:
            progress(done, len(BACKENDS))
    pairs = combinations(logits_q.items(), 2)
    comparisons = tuple(compare_logits(first, other, a, b) for (first, a), (other, b) in pairs)
    return BackendReport(len(inputs_q), comparisons, failures)


def backends_to_json(report: BackendReport) -> dict[str, Any]:
    """Return the report as plain JSON values; the keys of a histogram are texts, as JSON requires."""
    return {
        "windows": report.windows,
        "failures": report.failures,
        "comparisons": [
            {**asdict(each), "lsb_differences": {str(step): n for step, n in each.lsb_differences.items()}}
            for each in report.comparisons
        ],
    }


def _apart(name: str, model: bytes, inputs_q: NDArray[np.int8]) -> NDArray[np.int8] | str | None:
    """Return a backend's codes, the reason why it returned none, or None if it is not installed."""
    shape = ",".join(map(str, inputs_q.shape))
    try:
        logits_q = ask_apart(_PROGRAM, name, shape, timeout_s=_TIMEOUT_S, data=inputs_q.tobytes() + model)
    except RefusedApartError as exc:
        return str(exc)
    except ApartError as exc:
        return f"crashed on this model: {exc}"
    return None if logits_q is None else np.array(logits_q, np.int8)


def _run(name: str, shape: tuple[int, ...], data: bytes) -> list[list[int]] | None:
    """Return a backend's codes for windows of a shape; `data` holds the windows, followed by the model."""
    n = math.prod(shape)
    opened = open_backends(data[n:], (name,))
    return opened[name](np.frombuffer(data[:n], np.int8).reshape(shape)).tolist() if name in opened else None


def main(arguments: list[str]) -> None:
    """Print the codes of a backend for the process that asked."""
    name, shape = arguments
    data = sys.stdin.buffer.read()
    answer_apart(lambda: _run(name, tuple(map(int, shape.split(","))), data), (QuantizeError,))


if __name__ == "__main__":
    main(sys.argv[1:])
