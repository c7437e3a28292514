"""A run folder in, a bundle out: `drsn-edge convert` without its command line. Needs TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from drsn_edge import __version__
from drsn_edge.bundle.bundle import MODEL, Bundle, sha256
from drsn_edge.bundle.manifest import Manifest
from drsn_edge.front_end import network_input
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.signal import FloatArray
from drsn_edge.training.run_folder import Run
from quantize.convert import Agreement, Tolerance, check_agreement, compare, to_int8, write_int8
from quantize.fake_quant import Ranges
from quantize.graph import Graph
from quantize.lint import LintReport


@dataclass(frozen=True)
class Conversion:
    """A bundle that was checked against its Keras model, and the figures of that check."""

    bundle: Bundle
    agreement: Agreement
    lint: LintReport


def convert_run(
    run: Run,
    *,
    name: str,
    version: str,
    tolerance: Tolerance,
    target: str = "cpu",
    fine_tuned: tuple[Graph, Ranges] | None = None,
) -> Conversion:
    """Convert a run's model to int8, judge it on the held-out windows, and put it in a bundle.

    Args:
        run: What to convert.
        name: In the bundle.
        version: Likewise.
        tolerance: What int8 may lose against the Keras model.
        target: What the file shall run on, one of `quantize.lint.TARGETS`.
        fine_tuned: Of `drsn_edge.fine_tune`; None: ranges come from the run's calibration windows alone.

    Raises:
        QuantizeError: If it cannot become wholly int8, or says something else than the Keras model.
        BundleError: If name or version are none.
    """
    if fine_tuned is None:
        windows = network_input(run.calibration.windows, run.contract, run.calibration.speeds_hz)
        int8 = to_int8(run.model, windows, target)
    else:
        int8 = write_int8(*fine_tuned, target)
    held_out = network_input(run.held_out.windows, run.contract, run.held_out.speeds_hz)
    agreement = compare(run.model, int8, held_out, run.held_out.labels, gateway_logits)
    check_agreement(agreement, tolerance)
    return Conversion(Bundle(_manifest(run, int8.data, name, version), int8.data), agreement, int8.lint)


def gateway_logits(model: bytes, inputs: FloatArray) -> FloatArray:
    """Return the logits of scaled windows through the interpreter that a gateway uses."""
    return Classifier(model).logits(inputs)


def _manifest(run: Run, model: bytes, name: str, version: str) -> Manifest:
    classifier = Classifier(model)
    return Manifest(
        name=name,
        version=version,
        contract=run.contract,
        labels=run.labels,
        input=classifier.input,
        outputs=(classifier.output,),
        parts={MODEL: sha256(model)},
        generator=f"drsn-edge {__version__}",
    )
