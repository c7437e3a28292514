"""The report on a file as plain JSON values, schema 1: fields are added, but never removed or changed.

`build_report` describes the file alone; `add_windows` adds measurements on windows. `drsn-edge inspect` prints these
values, writes them as HTML, and reads them from the report.json of a bundle.
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
from drsn_edge.inspection.without_network import novelty_to_json
from drsn_edge.runtime.classifier import Classifier, quantize_int8
from drsn_edge.signal.network_input import network_input
from quantize.backends import NUMPY, XNNPACK
from quantize.errors import ModelFileError
from quantize.inspection import inspect_file, inspection_to_json, measure_windows, measurement_to_json
from quantize.targets.edgetpu_compiler import CompilerVerdict, compile_model
from quantize.tflite.file import read_model

if TYPE_CHECKING:
    from drsn_edge.training.run_folder import RunRecord  # needs packages that a gateway lacks

SCHEMA = 1

Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Function from the name of a task to a context that yields a function of (done, total)."""


def build_report(inspected: Inspected, target: str | None = None) -> dict[str, Any]:
    """Describe a file without windows.

    Args:
        inspected: The file.
        target: Target to check the file for; None for none. For "edgetpu", Coral's compiler also runs if it is
            installed.

    Raises:
        QuantizeError: If the file is damaged, or the compiler fails.
        BundleError: If a bundle without a network is damaged, or is to be checked for a target.
    """
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "type": REPORT_TYPE,
        "generator": f"drsn-edge {__version__}",
        "file": {"name": inspected.name, "kind": inspected.kind},
        "target": None,
        "edgetpu_compiler": None,
        "model": None,
        "novelty": None,
        "run": None,
        "measurement": None,
        "accuracy": None,
        "backends": None,
    }
    if target is None and inspected.model is None and inspected.bundle is not None:
        return {**report, "novelty": novelty_to_json(inspected.bundle)}
    model = inspected.network("every target that has NumPy runs it. Leave --target out")
    inspection = inspect_file(model)
    compiled = compile_model(model) if target == "edgetpu" else None
    return {
        **report,
        "target": None if target is None else {"name": target, "findings": list(inspection.findings[target])},
        "edgetpu_compiler": None if compiled is None else _verdict_to_json(compiled.verdict),
        "model": inspection_to_json(inspection),
    }


def with_promise(report: Mapping[str, Any], inspected: Inspected) -> dict[str, Any]:
    """Return a report with the promise of the bundle added as plain values; None for a file that promises nothing.

    The report inside a bundle lacks it, because the manifest has it.
    """
    promise = None if inspected.bundle is None else inspected.bundle.manifest.promise
    values = None if promise is None else {**asdict(promise), "curve": [asdict(point) for point in promise.curve]}
    return {**report, "promise": values}


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
    """Return a report with the measurements on hold-out windows added.

    Args:
        report: Report on the same file.
        inspected: The file.
        run: Run with the hold-out windows.
        float32: Logits of the Keras model; None if it is not available.
        calibrated: The file by calibration alone if this one is fine-tuned; else None.
        most: Highest number of windows, spread over all hold-out windows, at least 1.
        bar: Shows the progress.

    Raises:
        QuantizeError: If the file is damaged or has an operator that the engine does not run.
        BundleError: If the bundle has no network.
        TrainingError: If the run has no hold-out windows.
    """
    model, found = inspected.network("no int8 model can be measured"), from_metrics(run.metrics)
    windows = spread(run.held_out, most)
    inputs = network_input(windows.windows, run.contract, windows.speeds_hz)
    with bar("comparing backends") as progress:
        backends = run_backends(model, _codes(model, inputs), progress)
    # A backend that crashed its own process is not used in this one.
    runtime = NUMPY if XNNPACK in backends.failures else "auto"

    def logits_of(model: bytes) -> Logits:
        classifier = Classifier(model, runtime)
        return lambda noisy: classifier.logits(network_input(noisy.windows, run.contract, noisy.speeds_hz))

    plain = None if calibrated is None else logits_of(calibrated)

    with bar("measuring int8") as progress:
        measurement = measure_windows(model, inputs, progress)
    with bar("measuring accuracy") as progress:
        accuracy = compare_accuracy(windows, logits_of(model), float32, plain, progress=progress)
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
    """Return a report as bytes for a bundle or a file; equal reports give equal bytes."""
    return (json.dumps(report, indent=1, sort_keys=True) + "\n").encode()


def spread(windows: WindowSet, most: int) -> WindowSet:
    """Return at most `most` windows, evenly spread over all of them.

    Raises:
        TrainingError: If there are no windows.
    """
    if len(windows) == 0:
        raise TrainingError("The run has no hold-out windows. Train again.", "no_hold_out_windows")
    return windows.pick(np.unique(np.linspace(0, len(windows) - 1, min(most, len(windows))).astype(np.int64)))


def _codes(model: bytes, inputs: Any) -> Any:
    file = read_model(model)
    tensor = file.tensors[file.inputs[0]]
    if tensor.type != "INT8" or len(tensor.scales) != 1:
        raise ModelFileError(
            f"The model's input is {tensor.type} with {len(tensor.scales)} scales, but must be INT8 with one. Convert "
            "the model again.",
            "not_int8",
            tensor=tensor.name,
            type=tensor.type,
            scales=len(tensor.scales),
        )
    return quantize_int8(inputs, tensor.scales[0], tensor.zero_points[0])


def _verdict_to_json(verdict: CompilerVerdict) -> dict[str, Any]:
    return {**asdict(verdict), "differences": list(verdict.differences), "rows": [asdict(row) for row in verdict.rows]}
