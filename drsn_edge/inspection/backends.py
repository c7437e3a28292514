"""Every backend of this machine on the same windows, each in a process of its own.

An interpreter that a model brings down takes its process with it, and this report must not go along.
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
    """What the backends said.

    Attributes:
        windows: Number of windows.
        comparisons: Of each pair of those that ran.
        failures: Why another did not run, by name; what is not installed is left out.
    """

    windows: int
    comparisons: tuple[Comparison, ...]
    failures: dict[str, str]


def run_backends(
    model: bytes, inputs_q: NDArray[np.int8], progress: Callable[[int, int], None] | None = None
) -> BackendReport:
    """Run windows through every backend that is installed and compare each pair.

    Args:
        model: The .tflite file.
        inputs_q: Codes of at least one window, shape (n, ...).
        progress: Told how many backends are done and how many there may be.
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
    """Return the report as plain JSON values; the keys of a histogram are texts, as JSON has no others."""
    return {
        "windows": report.windows,
        "failures": report.failures,
        "comparisons": [
            {**asdict(each), "lsb_differences": {str(step): n for step, n in each.lsb_differences.items()}}
            for each in report.comparisons
        ],
    }


def _apart(name: str, model: bytes, inputs_q: NDArray[np.int8]) -> NDArray[np.int8] | str | None:
    """Return a backend's codes, why there are none, or None where it is not installed."""
    shape = ",".join(map(str, inputs_q.shape))
    try:
        logits_q = ask_apart(_PROGRAM, name, shape, timeout_s=_TIMEOUT_S, data=inputs_q.tobytes() + model)
    except RefusedApartError as exc:
        return str(exc)
    except ApartError as exc:
        return f"crashed on this model: {exc}"
    return None if logits_q is None else np.array(logits_q, np.int8)


def _run(name: str, shape: tuple[int, ...], data: bytes) -> list[list[int]] | None:
    """Return a backend's codes for windows of that shape; `data`: theirs, and behind them the model."""
    n = math.prod(shape)
    opened = open_backends(data[n:], (name,))
    return opened[name](np.frombuffer(data[:n], np.int8).reshape(shape)).tolist() if name in opened else None


def main(arguments: list[str]) -> None:
    """Answer what a backend computes."""
    name, shape = arguments
    data = sys.stdin.buffer.read()
    answer_apart(lambda: _run(name, tuple(map(int, shape.split(","))), data), (QuantizeError,))


if __name__ == "__main__":
    main(sys.argv[1:])
