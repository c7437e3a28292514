"""`drsn-edge convert`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import Duration, PathType, Percent, catalogue_option, finite, json_option, renamed
from drsn_edge.cli.options import votes as votes_of
from drsn_edge.cli.output import note, print_text, print_values
from drsn_edge.cli.reading import read_folder
from drsn_edge.cli.sections import SectionedCommand, section
from drsn_edge.cli.without_network import convert_healthy_run
from drsn_edge.support.notice import as_line
from drsn_edge.support.wording import counted
from quantize.targets.names import TARGETS

if TYPE_CHECKING:
    from drsn_edge.conversion.convert import BundleOptions, Conversion
    from drsn_edge.evaluation.generalisation import Generalisation
    from drsn_edge.training.fit_noise_alone import NoiseFit
    from drsn_edge.training.run_folder import Run
    from quantize.network.graph import Graph
    from quantize.training.fake_quant import Ranges

_TUNING = ("data", "catalogue", "epochs", "learning_rate", "resume", "force")
"""Options that need --qat."""


_BUNDLE = section(
    "Bundle",
    click.option(
        "--out", type=PathType, required=True, metavar="BUNDLE", help="Bundle to write, such as machine.drsn."
    ),
    click.option("--name", metavar="NAME", help="Name of the bundle.  [default: the name of the run folder]"),
    click.option(
        "--model-version",
        default="1.0.0",
        show_default=True,
        metavar="VERSION",
        help="Version of the bundle, MAJOR.MINOR.PATCH.",
    ),
    click.option(
        "--floor",
        metavar="VERSION",
        help="Lowest version that a gateway accepts once this bundle is confirmed.  [default: --model-version]",
    ),
    click.option(
        "--votes",
        metavar="K/N",
        callback=votes_of,
        help="Windows that must agree for a decision: K of the last N. Used by a monitor without --votes or "
        "--settings.  [default: 4/5]",
    ),
)

_LIMITS = section(
    "Limits",
    click.option(
        "--target",
        type=click.Choice(TARGETS),
        default="cpu",
        show_default=True,
        help="What the model must run on. A model with an operator that the target lacks is refused.",
    ),
    click.option(
        "--latency",
        "latency_s",
        type=Duration(positive=True),
        help="Longest time that a gateway may take for one window, in seconds or with a unit: 40ms. A slower gateway "
        "refuses the bundle.  [default: half a hop]",
    ),
    renamed("--budget-ms", "--latency", "ms"),
    click.option(
        "--budget-mb",
        type=click.FloatRange(min=0, min_open=True),
        callback=finite,
        default=100.0,
        show_default=True,
        metavar="MB",
        help="Largest memory that interpreter and model may need on a gateway, in megabytes.",
    ),
    click.option(
        "--max-drop",
        type=Percent(),
        default="1%",
        show_default=True,
        metavar="PERCENT",
        help="Accuracy on the hold-out set that int8 may lose, in percentage points.",
    ),
    click.option(
        "--false-unknown",
        type=Percent(below=True),
        default="1%",
        show_default=True,
        metavar="PERCENT",
        help="Windows of the hold-out set that the monitor may call UNKNOWN, in percent; 0 turns UNKNOWN off.",
    ),
    click.option(
        "--learned-only",
        is_flag=True,
        help="Without a network: allow for no load or speed but the learned ones. Slighter faults are found then, and "
        "every other load is UNKNOWN.",
    ),
)

_FINE_TUNING = section(
    "Fine-tuning",
    click.option(
        "--qat",
        is_flag=True,
        help="Fine-tune the network with simulated int8 rounding first (quantization-aware training). Needs --data.",
    ),
    click.option(
        "--data", type=PathType, metavar="FOLDER", help="Folder of recordings that RUN was trained on, for --qat."
    ),
    catalogue_option,
    click.option(
        "--epochs",
        type=click.IntRange(min=1),
        default=3,
        show_default=True,
        metavar="N",
        help="Passes of --qat over the training windows.",
    ),
    click.option(
        "--learning-rate",
        type=float,
        default=1e-3,
        show_default=True,
        metavar="RATE",
        help="Peak learning rate of --qat.",
    ),
    click.option("--resume", is_flag=True, help="Continue a stopped --qat at its next epoch."),
    click.option("--force", is_flag=True, help="Discard a stopped --qat."),
)


@click.command(cls=SectionedCommand)
@click.argument("run", type=PathType)
@_BUNDLE
@_LIMITS
@_FINE_TUNING
@section("Other", json_option)
@click.pass_context
def convert(
    ctx: click.Context, /, run: Path, out: Path, max_drop: float, qat: bool, as_json: bool, **options: Any
) -> None:
    """Convert a trained run to int8 and write a bundle.

    RUN is a run folder of `drsn-edge train`. The int8 model is compared with the trained network on every window of the
    hold-out set, by the interpreter that a gateway uses; nothing is written if they disagree. The bundle carries a
    report, which `drsn-edge inspect` shows.

    The int8 ranges come from calibration windows of all classes and signal-to-noise ratios.

    A RUN of healthy recordings alone has no network, and its bundle has no int8 model.

    \b
    Example:
      drsn-edge convert run/ --out machine.drsn
      drsn-edge convert run/ --out machine.drsn --qat --data recordings/
    """
    from drsn_edge.training.run_folder import is_healthy_run

    tuning = {name: options.pop(name) for name in _TUNING}
    if is_healthy_run(run):
        del options["target"]
        convert_healthy_run(ctx, run, out, options=options, as_json=as_json)
        return
    if options.pop("learned_only"):
        raise click.UsageError("--learned-only is for runs of healthy recordings alone, which have no network.")
    if qat != (tuning["data"] is not None):
        needs, missing = ("--qat", "--data FOLDER") if qat else ("--data", "--qat")
        raise click.UsageError(f"{needs} needs {missing}. Fine-tuning takes the recordings that RUN was trained on.")
    from drsn_edge.bundle.bundle import write_bundle
    from drsn_edge.cli.progress import counting_bar, load_tensorflow, spinner
    from drsn_edge.support.files import check_new_file

    check_new_file(out)
    load_tensorflow()
    from drsn_edge.conversion.convert import convert_run, report_on
    from drsn_edge.training.checkpoint import remove_work_folder, work_folder
    from drsn_edge.training.run_folder import load_run
    from quantize.convert import Tolerance

    with spinner("reading the run"):
        loaded = load_run(run)
    decided = _bundle_options(loaded, **options)
    fine_tuned = _fine_tune(loaded, out, decided.target, **tuning) if qat else None
    with spinner("converting and comparing"):
        conversion = convert_run(loaded, decided, Tolerance(max_drop=max_drop), fine_tuned)
    size = write_bundle(report_on(conversion, loaded, out.name, counting_bar), out)
    if qat:
        remove_work_folder(work_folder(out))
    _print(conversion, loaded, out, size, as_json=as_json)


def _bundle_options(
    run: Run,
    *,
    name: str | None,
    model_version: str,
    latency_s: float | None,
    false_unknown: float,
    **others: Any,
) -> BundleOptions:
    from drsn_edge.conversion.convert import BundleOptions

    budget_ms = None if latency_s is None else 1000 * latency_s
    return BundleOptions(name or run.name, model_version, unknown_share=false_unknown, budget_ms=budget_ms, **others)


def _print(conversion: Conversion, run: Run, out: Path, size: int, *, as_json: bool) -> None:
    from drsn_edge.evaluation.generalisation import from_metrics

    found = from_metrics(run.metrics)
    if found is not None and found.warning:
        note(as_line(found.warning))
    if as_json:
        print_values({**_values(conversion, found), "bundle": str(out), "bytes": size})
    else:
        print_text(_as_text(conversion, out, size, found))


def _fine_tune(
    run: Run,
    out: Path,
    target: str,
    data: Path,
    catalogue: Path | None,
    epochs: int,
    learning_rate: float,
    resume: bool,
    force: bool,
) -> tuple[Graph, Ranges]:
    """Fine-tune the run. A work folder beside the bundle keeps what a stopped fine-tuning needs to resume."""
    from drsn_edge.cli.progress import training_bar
    from drsn_edge.cli.resuming import says_how_to_resume
    from drsn_edge.conversion.fine_tune import fine_tune
    from drsn_edge.training.checkpoint import check_work_folder, work_folder

    work = work_folder(out)
    check_work_folder(work, resume=resume, force=force)
    recordings = read_folder(data, catalogue, out)
    with says_how_to_resume(work), training_bar() as show:
        return fine_tune(run, recordings, epochs, learning_rate, target, show, work, resume)


def _values(conversion: Conversion, found: Generalisation | None) -> dict[str, Any]:
    return {
        **asdict(conversion.agreement),
        "unknown_share": conversion.unknown_share,
        "generalisation": None if found is None else found.to_json(),
        "noise_alone": None if conversion.noise is None else asdict(conversion.noise),
        "promise": _promise_values(conversion),
        "operators": conversion.lint.operators,
        "edgetpu_operators": None if conversion.compiler is None else conversion.compiler.mapped,
    }


def _validation_lines(found: Generalisation | None) -> list[str]:
    if found is None or found.validation is None:
        return []
    return [f"validation         float32 {found.validation:.4f}, during training"]


def _edgetpu_lines(conversion: Conversion) -> list[str]:
    if conversion.target != "edgetpu":
        return []
    verdict = conversion.compiler
    if verdict is None:
        return ["Edge TPU           not compiled: edgetpu_compiler is missing; see `drsn-edge bundle edgetpu --help`"]
    compiled = f"{verdict.mapped} of {verdict.operators} operators, by edgetpu_compiler {verdict.version}".rstrip()
    return [f"Edge TPU           {compiled}", *(f"                   {line}" for line in verdict.differences)]


def _promise_values(conversion: Conversion) -> dict[str, Any] | None:
    promise = conversion.bundle.manifest.promise
    if promise is None:
        return None
    from drsn_edge.evaluation.kept_promise import kept_to_json

    values = {"temperature": promise.temperature, "held_out": promise.held_out, "folds": promise.folds}
    kept = kept_to_json(conversion.kept)
    return {
        **values,
        "least_wrong": promise.least_wrong,
        "unpromised": conversion.unpromised,
        "at_most_wrong": kept,
    }


def _promise_lines(conversion: Conversion) -> list[str]:
    promise = conversion.bundle.manifest.promise
    if promise is None:
        return [
            "promise            none, so --at-most-wrong will be refused: the network was not chosen by inner folds; "
            "`drsn-edge train --inputs auto` does so"
        ]
    from drsn_edge.bundle.promise import FEWEST_FOLDS

    by = counted(promise.folds, "inner fold")
    first = f"promise            on {promise.held_out}, by {by}; temperature {promise.temperature:.3g}"
    if not promise.is_made:
        few = f"nothing is promised, so --at-most-wrong will be refused: it takes at least {FEWEST_FOLDS} inner folds"
        return [first, f"                   {few}"]
    lines = [each.in_words for each in conversion.kept]
    if conversion.unpromised is not None:
        lines.append(f"nothing is promised about another {conversion.unpromised}, which the hold-out set has")
    return [first, *(f"                   {line}" for line in lines)]


def _noise_text(noise: NoiseFit | None) -> str:
    if noise is None:
        return "by the monitor's own limit; the held-out recordings are too short to measure its effect"
    shares = f"{noise.withheld:.1%} of the held-out windows, {noise.withheld_noisy:.1%} of them at -4 dB"
    if noise.is_off:
        return f"never reported: {shares} look like it, so a sensor that fell off cannot be told from this machine"
    return f"{noise.found:.0%} of its windows get no verdict, nearly all after four in a row; so do {shares}"


def _as_text(conversion: Conversion, out: Path, size: int, found: Generalisation | None) -> str:
    result, share = conversion.agreement, conversion.unknown_share
    unknown = "never reported" if share is None else f"{share:.1%} of the held-out windows"
    operators = ", ".join(f"{count} {name}" for name, count in conversion.lint.operators.items())
    return "\n".join(
        [
            f"held-out windows   {result.windows}",
            f"accuracy           float32 {result.float_accuracy:.4f}   int8 {result.int8_accuracy:.4f}",
            *_validation_lines(found),
            f"same class         {result.same_class:.4f}",
            f"logit error        {result.logit_rms_error:.1%} RMS",
            f"unknown            {unknown}",
            f"noise alone        {_noise_text(conversion.noise)}",
            *_promise_lines(conversion),
            f"int8 operators     {operators}",
            *_edgetpu_lines(conversion),
            f"wrote {out} ({size / 1000:.1f} kB)",
        ]
    )
