"""A run folder in, a bundle out: the library function of `drsn-edge convert`. Needs TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, replace

from drsn_edge import __version__
from drsn_edge.bundle.bundle import MODEL, REPORT, Bundle, sha256, with_extra
from drsn_edge.bundle.golden import MEMBER as GOLDEN
from drsn_edge.bundle.golden import TOLERANCE_LSB, golden_to_bytes, make_golden
from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.promise import Promise
from drsn_edge.bundle.variants import with_edgetpu
from drsn_edge.conversion.budget import BUDGET_MB, budget_of
from drsn_edge.conversion.promise import promise_of, unpromised_field
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.evaluation.kept_promise import Kept, kept_to_json, outcomes_of
from drsn_edge.evaluation.run_model import run_model
from drsn_edge.inspection.model_file import Inspected
from drsn_edge.inspection.report import Bar, add_windows, build_report, report_to_bytes
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.novelty import MEMBER, Novelty, novelty_to_bytes
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
"""Default share of the hold-out windows that may be called unknown."""


@dataclass(frozen=True)
class BundleOptions:
    """The options of a bundle besides its model.

    Attributes:
        name: Name in the manifest.
        version: Version in the manifest, MAJOR.MINOR.PATCH.
        target: Target of the int8 file, one of `quantize.targets.names.TARGETS`.
        unknown_share: Share of the hold-out windows that may be called unknown, 0 to 1, see `drsn_edge.signal.novelty`;
            0: no window is ever called unknown.
        floor: Lowest version that a gateway accepts after this one is confirmed; None: this version.
        votes: Votes that change the decision, K/N; None: the monitor's default.
        budget_ms: Time that a gateway may take for a window, in ms; None: `BUDGET_SHARE` of the hop.
        budget_mb: Resident memory that a gateway may use for interpreter and model, in MB.
    """

    name: str
    version: str
    target: str = "cpu"
    unknown_share: float = UNKNOWN_SHARE
    floor: str | None = None
    votes: str | None = None
    budget_ms: float | None = None
    budget_mb: float = BUDGET_MB


@dataclass(frozen=True)
class _Limits:
    """The limits beyond which a gateway names no class, set by the hold-out windows.

    Attributes:
        novelty: Statistics and limit that detect unknown windows; None: no window is ever unknown.
        unknown_share: Share of the hold-out windows that is unknown; None without `novelty`.
        noise: Limit of the check for noise alone and its effect; None if the hold-out windows are too short for it.
    """

    novelty: Novelty | None
    unknown_share: float | None
    noise: NoiseFit | None


@dataclass(frozen=True)
class Conversion:
    """A bundle that was checked against its Keras model, with the figures of that check.

    Attributes:
        bundle: The bundle, without its report.
        target: Target of its int8 file.
        agreement: Agreement of the int8 file with the Keras model on the hold-out windows.
        lint: Lint report of the int8 file.
        calibrated: The int8 file by calibration alone if the bundle holds a fine-tuned one; else None.
        unknown_share: Share of the hold-out windows that the monitor will call unknown; None: no window is ever
            unknown.
        noise: Effect of the check for noise alone on the hold-out windows; None if they are too short for it.
        compiler: Report of Coral's compiler; None for other targets, and without a compiler on this machine.
        kept: What the promise costs and gives on the hold-out windows; empty without a promise.
        unpromised: Field that the hold-out set holds out, and about which the promise says nothing; None if there is
            none, or no promise.
    """

    bundle: Bundle
    target: str
    agreement: Agreement
    lint: LintReport
    calibrated: bytes | None = None
    unknown_share: float | None = None
    noise: NoiseFit | None = None
    compiler: CompilerVerdict | None = None
    kept: tuple[Kept, ...] = ()
    unpromised: str | None = None


def convert_run(
    run: Run, options: BundleOptions, tolerance: Tolerance, fine_tuned: tuple[Graph, Ranges] | None = None
) -> Conversion:
    """Convert a run's model to int8, compare it on the hold-out windows, and put it in a bundle.

    Args:
        run: The run to convert.
        options: Options of the bundle.
        tolerance: Highest loss of int8 against the Keras model.
        fine_tuned: Result of `drsn_edge.conversion.fine_tune`; None: the ranges come from calibration windows alone.

    Raises:
        QuantizeError: If the model cannot be converted to int8, or int8 loses more than the tolerance.
        BundleError: If the name or the version is invalid.
    """
    calibrated = to_int8(run.model, _inputs(run, run.calibration), options.target)
    int8 = calibrated if fine_tuned is None else write_int8(*fine_tuned, options.target)
    inputs = _inputs(run, run.held_out)
    logits = gateway_logits(int8.data, inputs)
    agreement = compare(run.model, int8, inputs, run.held_out.labels, lambda *_: logits)
    check_agreement(agreement, tolerance)
    limits = _limits(run, options.unknown_share)
    promise = None if run.inner_folds is None else promise_of(run.inner_folds)
    compiled = compile_model(int8.data) if options.target == "edgetpu" else None
    bundle = _bundle(run, int8, options, limits, promise)
    return Conversion(
        bundle=bundle if compiled is None else with_edgetpu(bundle, compiled.model),
        target=options.target,
        agreement=agreement,
        lint=int8.lint,
        calibrated=None if fine_tuned is None else calibrated.data,
        unknown_share=limits.unknown_share,
        noise=limits.noise,
        compiler=None if compiled is None else compiled.verdict,
        kept=outcomes_of(promise, run.held_out, logits, limits.novelty),
        unpromised=unpromised_field(run.inner_folds, run.config["settings"]["hold_out"]) if run.inner_folds else None,
    )


def _inputs(run: Run, windows: WindowSet) -> FloatArray:
    return network_input(windows.windows, run.contract, windows.speeds_hz)


def _limits(run: Run, unknown_share: float) -> _Limits:
    noise = fit_noise_limit(run.held_out)
    if not unknown_share:
        return _Limits(None, None, noise)
    return _Limits(*with_limit(run.novelty, run.held_out, unknown_share), noise)


def _bundle(run: Run, int8: Int8Model, options: BundleOptions, limits: _Limits, promise: Promise | None) -> Bundle:
    bundle = Bundle(replace(_manifest(run, int8, options, limits), promise=promise), int8.data)
    golden = make_golden(int8.data, run.contract, run.golden.windows, run.golden.speeds_hz)
    bundle = with_extra(bundle, GOLDEN, golden_to_bytes(golden))
    return bundle if limits.novelty is None else with_extra(bundle, MEMBER, novelty_to_bytes(limits.novelty))


def report_on(conversion: Conversion, run: Run, file: str, bar: Bar) -> Bundle:
    """Return the bundle of a conversion with the report on it inside.

    Args:
        conversion: Conversion of this run.
        run: Run with the hold-out windows for the report.
        file: Name of the bundle's file.
        bar: Shows the progress.
    """
    bundle = conversion.bundle
    inspected = Inspected(file, bundle.model, bundle)
    logits, calibrated = run_model(run).logits, conversion.calibrated
    report = add_windows(build_report(inspected), inspected, run, logits, calibrated, bar=bar)
    report["run"]["at_most_wrong"] = kept_to_json(conversion.kept)
    return with_extra(bundle, REPORT, report_to_bytes(report))


def gateway_logits(model: bytes, inputs: FloatArray) -> FloatArray:
    """Return the logits of scaled windows, computed by the interpreter of a gateway."""
    return Classifier(model).logits(inputs)


def _manifest(run: Run, model: Int8Model, options: BundleOptions, limits: _Limits) -> Manifest:
    classifier = Classifier(model.data)
    contract = run.contract
    return Manifest(
        name=options.name,
        version=options.version,
        contract=contract,
        labels=run.labels,
        input=classifier.input,
        outputs=(classifier.output,),
        parts={MODEL: sha256(model.data)},
        generator=f"drsn-edge {__version__}",
        floor=options.floor,
        votes=options.votes,
        golden_tolerance_lsb=TOLERANCE_LSB,
        operators=tuple(sorted(model.lint.operators)),
        budget=budget_of(contract, options.budget_ms, options.budget_mb),
        unknown_share=None if limits.novelty is None else options.unknown_share,
        noise_limit=None if limits.noise is None else limits.noise.limit,
    )
