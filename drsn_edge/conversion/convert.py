"""A run folder in, a bundle out: `drsn-edge convert` without its command line. Needs TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, replace

from drsn_edge import __version__
from drsn_edge.bundle.bundle import MODEL, REPORT, Bundle, sha256, with_extra
from drsn_edge.bundle.golden import MEMBER as GOLDEN
from drsn_edge.bundle.golden import TOLERANCE_LSB, golden_to_bytes, make_golden
from drsn_edge.bundle.manifest import Budget, Manifest
from drsn_edge.bundle.variants import with_edgetpu
from drsn_edge.evaluation.data import HeldOut
from drsn_edge.evaluation.generalisation import from_metrics
from drsn_edge.evaluation.run_target import run_target
from drsn_edge.inspection.model_file import Inspected
from drsn_edge.inspection.report import Bar, add_windows, build_report, report_to_bytes
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.novelty import MEMBER, novelty_to_bytes
from drsn_edge.signal.windows import FloatArray
from drsn_edge.training.fit_noise_alone import NoiseFit, fit_noise_limit
from drsn_edge.training.fit_novelty import with_limit
from drsn_edge.training.run_folder import Run
from quantize.convert import Agreement, Int8Model, Tolerance, check_agreement, compare, to_int8, write_int8
from quantize.network.graph import Graph
from quantize.targets.edgetpu_compiler import CompilerVerdict, compile_model
from quantize.targets.lint import LintReport
from quantize.training.fake_quant import Ranges

UNKNOWN_SHARE = 0.01
"""Of held-out windows."""

BUDGET_SHARE = 0.5
"""Of the time from one window to the next, that judging one may take on a gateway."""

BUDGET_MB = 100.0
"""Of resident memory, for interpreter and model. LiteRT with a small network takes some 13 MB."""


@dataclass(frozen=True)
class Wishes:
    """What the author of a bundle says beside the model.

    Attributes:
        floor: Lowest version that may be put on a gateway after this one is confirmed; None: this one.
        votes: What it takes to change the decision, K/N; None: the monitor's own.
        budget_ms: Time that a gateway may take for a window; None: `BUDGET_SHARE` of the hop.
        budget_mb: Resident memory that it may need for interpreter and model.
    """

    floor: str | None = None
    votes: str | None = None
    budget_ms: float | None = None
    budget_mb: float = BUDGET_MB


@dataclass(frozen=True)
class Conversion:
    """A bundle that was checked against its Keras model, and the figures of that check.

    Attributes:
        bundle: As it is to be written, without a report.
        agreement: With the Keras model on the held-out windows.
        lint: What its file is made of.
        calibrated: The file by calibration alone, where the bundle holds a fine-tuned one.
        unknown_share: Share of the held-out windows that the monitor will call unknown; None: it never does.
        noise: What telling noise alone does to the held-out windows; None: they are too short for it.
        compiler: What Coral's compiler says, where the target is its Edge TPU and the compiler is here.
    """

    bundle: Bundle
    agreement: Agreement
    lint: LintReport
    calibrated: bytes | None = None
    unknown_share: float | None = None
    noise: NoiseFit | None = None
    compiler: CompilerVerdict | None = None


def convert_run(
    run: Run,
    *,
    name: str,
    version: str,
    tolerance: Tolerance,
    target: str = "cpu",
    fine_tuned: tuple[Graph, Ranges] | None = None,
    unknown_share: float = UNKNOWN_SHARE,
    wishes: Wishes = Wishes(),  # frozen
) -> Conversion:
    """Convert a run's model to int8, judge it on the held-out windows, and put it in a bundle.

    Args:
        run: What to convert.
        name: In the bundle.
        version: Likewise.
        tolerance: What int8 may lose against the Keras model.
        target: What the file shall run on, one of `quantize.targets.names.TARGETS`.
        fine_tuned: Of `drsn_edge.conversion.fine_tune`; None: ranges come from the run's calibration windows alone.
        unknown_share: Share of held-out windows that may be called unknown, see `drsn_edge.signal.novelty`; 0: none
            ever is.
        wishes: What else its author says.

    Raises:
        QuantizeError: If it cannot become wholly int8, or says something else than the Keras model.
        BundleError: If name or version are none.
    """
    windows = network_input(run.calibration.windows, run.contract, run.calibration.speeds_hz)
    calibrated = to_int8(run.model, windows, target)
    int8 = calibrated if fine_tuned is None else write_int8(*fine_tuned, target)
    held_out = network_input(run.held_out.windows, run.contract, run.held_out.speeds_hz)
    agreement = compare(run.model, int8, held_out, run.held_out.labels, gateway_logits)
    check_agreement(agreement, tolerance)
    bundle = Bundle(_manifest(run, int8, name, version, wishes), int8.data)
    golden = make_golden(int8.data, run.contract, run.golden.windows, run.golden.speeds_hz)
    bundle = with_extra(bundle, GOLDEN, golden_to_bytes(golden))
    found = None
    if run.novelty is not None and unknown_share:
        novelty = with_limit(run.novelty, run.held_out, unknown_share)
        found = float((novelty.novelty(run.held_out.windows) > 1).mean())
        bundle = replace(bundle, manifest=replace(bundle.manifest, unknown_share=unknown_share))
        bundle = with_extra(bundle, MEMBER, novelty_to_bytes(novelty))
    noise = fit_noise_limit(run.held_out)
    if noise is not None:
        bundle = replace(bundle, manifest=replace(bundle.manifest, noise_limit=noise.limit))
    compiled = compile_model(int8.data) if target == "edgetpu" else None
    if compiled is not None:
        bundle = with_edgetpu(bundle, compiled.model)
    return Conversion(
        bundle,
        agreement,
        int8.lint,
        None if fine_tuned is None else calibrated.data,
        found,
        noise,
        None if compiled is None else compiled.verdict,
    )


def report_on(conversion: Conversion, run: Run, file: str, bar: Bar) -> Bundle:
    """Return the bundle of a conversion with the report on it inside.

    Args:
        conversion: Of this run.
        run: Whose held-out windows it is shown.
        file: Name of the file that the bundle goes into.
        bar: Shows how far it is.
    """
    bundle = conversion.bundle
    inspected = Inspected(file, bundle.model, bundle)
    held_out = HeldOut(run.config, run.contract, run.labels, run.held_out, from_metrics(run.metrics))
    report = add_windows(
        build_report(inspected), inspected, held_out, run.name, run_target(run).logits, conversion.calibrated, bar=bar
    )
    return with_extra(bundle, REPORT, report_to_bytes(report))


def gateway_logits(model: bytes, inputs: FloatArray) -> FloatArray:
    """Return the logits of scaled windows through the interpreter that a gateway uses."""
    return Classifier(model).logits(inputs)


def _manifest(run: Run, model: Int8Model, name: str, version: str, wishes: Wishes) -> Manifest:
    classifier = Classifier(model.data)
    contract = run.contract
    return Manifest(
        name=name,
        version=version,
        contract=contract,
        labels=run.labels,
        input=classifier.input,
        outputs=(classifier.output,),
        parts={MODEL: sha256(model.data)},
        generator=f"drsn-edge {__version__}",
        floor=wishes.floor,
        votes=wishes.votes,
        golden_tolerance_lsb=TOLERANCE_LSB,
        operators=tuple(sorted(model.lint.operators)),
        budget=Budget(wishes.budget_ms or 1000 * BUDGET_SHARE * contract.hop_s, wishes.budget_mb),
    )
