"""The report on a file as plain JSON values, schema 1: fields are only ever added.

`build_report` describes the file alone; `add_windows` adds what windows show. What `drsn-edge inspect` prints, writes
as HTML, and finds in a bundle's report.json are all these values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from drsn_edge import __version__
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.errors import TrainingError
from drsn_edge.evaluation.generalisation import from_metrics
from drsn_edge.inspection.accuracy import Logits, accuracy_to_json, compare_accuracy
from drsn_edge.inspection.backends import backends_to_json, run_backends
from drsn_edge.inspection.model_file import REPORT_TYPE, Inspected
from drsn_edge.inspection.names import WINDOWS
from drsn_edge.runtime.classifier import Classifier, quantize_int8
from drsn_edge.signal.network_input import network_input
from quantize.backends import NUMPY, XNNPACK
from quantize.errors import ModelFileError
from quantize.inspection import inspect_file, inspection_to_json, measure_windows, measurement_to_json
from quantize.targets.edgetpu_compiler import CompilerVerdict, compile_model
from quantize.tflite.file import read_model

if TYPE_CHECKING:
    from drsn_edge.training.run_folder import RunRecord  # pulls in what a gateway has not

SCHEMA = 1
"""That a report shows the file, unless more are asked for."""

Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""From what is done to a context that gives a function of (done, total)."""


def build_report(inspected: Inspected, target: str | None = None) -> dict[str, Any]:
    """Return what can be said of a file without windows.

    Args:
        inspected: The file.
        target: What it is to suit, None for nothing in particular. For the Edge TPU its compiler is asked as well,
            where it is installed.

    Raises:
        QuantizeError: If the file is damaged, or the compiler goes wrong.
    """
    inspection = inspect_file(inspected.model)
    compiled = compile_model(inspected.model) if target == "edgetpu" else None
    return {
        "schema": SCHEMA,
        "type": REPORT_TYPE,
        "generator": f"drsn-edge {__version__}",
        "file": {"name": inspected.name, "kind": inspected.kind},
        "target": None if target is None else {"name": target, "findings": list(inspection.findings[target])},
        "edgetpu_compiler": None if compiled is None else _verdict_to_json(compiled.verdict),
        "model": inspection_to_json(inspection),
        "run": None,
        "measurement": None,
        "accuracy": None,
        "backends": None,
    }


def add_windows(
    report: Mapping[str, Any],
    inspected: Inspected,
    run: RunRecord,
    float32: Logits | None,
    calibrated: bytes | None = None,
    *,
    most: int = WINDOWS,
    bar: Bar,
) -> dict[str, Any]:
    """Return a report with what held-out windows show of the model.

    Args:
        report: Of the same file.
        inspected: The file.
        run: Whose held-out windows fit it.
        float32: Logits of the Keras model, None where it cannot be asked.
        calibrated: The file of calibration alone, where this one was fine-tuned.
        most: Number of windows, spread over all of them, at least 1.
        bar: Shows how far it is.

    Raises:
        QuantizeError: If the file is damaged or has an operator that the engine does not run.
        TrainingError: If the run held out no windows.
    """
    found = from_metrics(run.metrics)
    windows = spread(run.held_out, most)
    inputs = network_input(windows.windows, run.contract, windows.speeds_hz)
    with bar("comparing backends") as progress:
        backends = run_backends(inspected.model, _codes(inspected.model, inputs), progress)
    # What brought its own process down there must not bring this one down here.
    runtime = NUMPY if XNNPACK in backends.failures else "auto"

    def logits_of(model: bytes) -> Logits:
        classifier = Classifier(model, runtime)
        return lambda noisy: classifier.logits(network_input(noisy.windows, run.contract, noisy.speeds_hz))

    plain = None if calibrated is None else logits_of(calibrated)

    with bar("following the windows") as progress:
        measurement = measure_windows(inspected.model, inputs, progress)
    with bar("judging") as progress:
        accuracy = compare_accuracy(windows, logits_of(inspected.model), float32, plain, progress=progress)
    return {
        **report,
        "run": {
            "name": run.name,
            "windows": len(windows),
            "held_out": len(run.held_out),
            "generalisation": None if found is None else found.to_json(),
        },
        "measurement": measurement_to_json(measurement),
        "accuracy": accuracy_to_json(accuracy),
        "backends": backends_to_json(backends),
    }


def report_to_bytes(report: Mapping[str, Any]) -> bytes:
    """Return a report as the member of a bundle, or as a file; the same report gives the same bytes."""
    return (json.dumps(report, indent=1, sort_keys=True) + "\n").encode()


def spread(windows: WindowSet, most: int) -> WindowSet:
    """Return at most so many windows, evenly taken from all of them.

    Raises:
        TrainingError: If there is none.
    """
    if len(windows) == 0:
        raise TrainingError("Expected held-out windows in the run, got none. Train again.")
    return windows.pick(np.unique(np.linspace(0, len(windows) - 1, min(most, len(windows))).astype(np.int64)))


def _codes(model: bytes, inputs: Any) -> Any:
    file = read_model(model)
    tensor = file.tensors[file.inputs[0]]
    if tensor.type != "INT8" or len(tensor.scales) != 1:
        raise ModelFileError(f"Expected an int8 input with one scale, got {tensor.type}. Convert the model again.")
    return quantize_int8(inputs, tensor.scales[0], tensor.zero_points[0])


def _verdict_to_json(verdict: CompilerVerdict) -> dict[str, Any]:
    return {**asdict(verdict), "differences": list(verdict.differences), "rows": [asdict(row) for row in verdict.rows]}
