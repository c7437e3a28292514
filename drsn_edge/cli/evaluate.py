"""`drsn-edge evaluate`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drsn_edge.cli.options import PathType, catalogue_option, json_option
from drsn_edge.cli.output import print_text, print_values
from drsn_edge.cli.progress import counting_bar, load_keras
from drsn_edge.cli.reading import read_folder
from drsn_edge.cli.without_network import evaluate_without_network, has_no_network
from drsn_edge.support.wording import counted

if TYPE_CHECKING:
    from drsn_edge.evaluation.data import EvaluationData
    from drsn_edge.evaluation.evaluation import Evaluation
    from drsn_edge.evaluation.model import EvaluatedModel

_MOST_CONFUSIONS = 5


@click.command()
@click.argument("model", type=PathType)
@click.option(
    "--run", type=PathType, metavar="FOLDER", help="Run folder whose hold-out set the bundle MODEL is evaluated on."
)
@click.option(
    "--data", type=PathType, metavar="FOLDER", help="Folder of recordings to evaluate on, with all their windows."
)
@click.option(
    "--only",
    metavar="FIELD=VALUE",
    help="Take only the recordings of --data with this value, such as load_hp=3.  [default: all]",
)
@catalogue_option
@click.option(
    "--snr-db",
    "snrs_db",
    type=float,
    multiple=True,
    metavar="DB",
    help="Signal-to-noise ratio at which each kind of noise is added, in dB. Repeatable.  [default: -8, -4, 0, 4, 8, "
    "12]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of the added noise.",
)
@click.option(
    "--out", type=PathType, metavar="FOLDER", help="Folder for a report with pictures.  [default: print only]"
)
@click.option("--force", is_flag=True, help="Replace an existing report folder.")
@json_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    model: Path,
    run: Path | None,
    data: Path | None,
    only: str | None,
    catalogue: Path | None,
    snrs_db: tuple[float, ...],
    seed: int,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Evaluate a run or a bundle on windows it never saw.

    MODEL is a run folder or a bundle. A run folder is evaluated on its hold-out set or on --data, a bundle on the
    hold-out set of --run or on --data. A model without a network is evaluated by the shares of windows and of seconds
    that are UNKNOWN, label by label; --data may then have any labels.

    \b
    Example:
      drsn-edge evaluate machine.drsn --run run/ --out report/
    """
    _check_options(model, run, data)
    from drsn_edge.evaluation.conditions import noise_conditions
    from drsn_edge.evaluation.evaluation import DEFAULT_SNRS_DB, evaluate_model, evaluation_to_json, provenance
    from drsn_edge.evaluation.model import check_model_exists
    from drsn_edge.support.files import check_new_folder

    check_model_exists(model)
    if has_no_network(model):
        evaluate_without_network(ctx, model, run, data, only, catalogue)
        return
    noise_conditions(snrs_db)  # refused before any slow step
    if out is not None:
        from drsn_edge.evaluation.report import is_report_folder, save_report

        check_new_folder(out, force=force, ours=is_report_folder)
    loaded, windows = _load(model, run, data, only, catalogue)
    with counting_bar("judging") as bar:
        evaluation = evaluate_model(loaded, windows, snrs_db or DEFAULT_SNRS_DB, seed, bar)
    made = provenance(loaded, shlex.join(["drsn-edge", *sys.argv[1:]]))
    if out is not None:
        save_report(evaluation, made, out)
    if as_json:
        print_values(evaluation_to_json(evaluation, made))
    else:
        print_text(_as_text(evaluation, out))


def _check_options(model: Path, run: Path | None, data: Path | None) -> None:
    if run is not None and data is not None:
        raise click.UsageError("--run and --data exclude each other. Leave one out.")
    if model.is_dir() and run is not None:
        raise click.UsageError(f"{model} is a run folder and has its own hold-out set. Leave --run out.")
    if model.is_file() and run is None and data is None:
        raise click.UsageError(f"{model} is a bundle, which holds no windows. Add --run FOLDER or --data FOLDER.")


def _load(
    path: Path, run: Path | None, data: Path | None, only: str | None, catalogue: Path | None
) -> tuple[EvaluatedModel, EvaluationData]:
    if path.is_dir():
        return _load_run(path, data, only, catalogue)
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.evaluation.data import UNKNOWN_RUN, held_out_data, with_warning
    from drsn_edge.evaluation.model import bundle_model, check_same_kind
    from drsn_edge.training.run_folder import read_run

    model = bundle_model(read_bundle(path))
    if run is None:
        return model, _load_data(model, data, only, catalogue)
    record = read_run(run)
    check_same_kind(model, record.contract, record.labels, run)
    return model, with_warning(held_out_data(record, run), UNKNOWN_RUN)


def _load_run(
    folder: Path, data: Path | None, only: str | None, catalogue: Path | None
) -> tuple[EvaluatedModel, EvaluationData]:
    load_keras()
    from drsn_edge.evaluation.data import held_out_data, with_warning
    from drsn_edge.evaluation.generalisation import from_metrics
    from drsn_edge.evaluation.run_model import run_model
    from drsn_edge.training.run_folder import load_run

    run = load_run(folder)
    model = run_model(run)
    if data is None:
        held_out, found = held_out_data(run, folder), from_metrics(run.metrics)
        return model, with_warning(held_out, found.warning) if found is not None and found.warning else held_out
    return model, _load_data(model, data, only, catalogue)


def _load_data(model: EvaluatedModel, data: Path | None, only: str | None, catalogue: Path | None) -> EvaluationData:
    from drsn_edge.evaluation.data import recordings_data

    assert data is not None
    return recordings_data(read_folder(data, catalogue, None), data, only, model.contract, model.labels)


def _as_text(evaluation: Evaluation, out: Path | None) -> str:
    model, data = evaluation.model, evaluation.data
    name = " ".join(filter(None, (model.name, model.version)))
    parts = [
        f"{name} ({model.kind}), {counted(len(model.labels), 'class', 'classes')}",
        f"{counted(len(data.windows), 'window')} from {data.source}{f', {data.rule}' if data.rule else ''}",
        *data.rates,
        *(f"Warning: {warning}" for warning in data.warnings),
        _figures_text(evaluation),
        _noise_text(evaluation),
        _confusions_text(evaluation),
        _recordings_text(evaluation),
        _thresholds_text(evaluation),
    ]
    return "\n".join([*filter(None, parts), *([f"wrote {out}"] if out is not None else [])])


def _figures_text(evaluation: Evaluation) -> str:
    clean = evaluation.clean
    low, high = clean.accuracy_interval_95
    auroc = "undefined: only one class occurs" if clean.auroc is None else f"{clean.auroc:.4f}"
    return "\n".join(
        [
            f"accuracy            {clean.accuracy:.4f}   95 % interval {low:.4f} to {high:.4f}",
            f"balanced accuracy   {clean.balanced_accuracy:.4f}",
            f"macro F1            {clean.macro_f1:.4f}",
            f"AUROC               {auroc}",
            f"calibration error   {clean.expected_calibration_error:.4f} of the probabilities",
        ]
    )


def _noise_text(evaluation: Evaluation) -> str:
    rows: dict[str, list[str]] = {"accuracy with": []}
    for condition, judgement in evaluation.noisy.items():
        if condition.kind not in rows:
            rows[condition.kind] = []
        rows[condition.kind].append(f"{judgement.accuracy:9.4f}")
    snrs_db = sorted({condition.snr_db for condition in evaluation.noisy})
    rows["accuracy with"] = [f"{f'{snr_db:g} dB':>9}" for snr_db in snrs_db]
    return "\n".join(f"{name:17}{''.join(cells)}" for name, cells in rows.items())


def _confusions_text(evaluation: Evaluation) -> str:
    labels, confusion = evaluation.model.labels, evaluation.clean.confusion
    found = [
        (count, labels[true], labels[named])
        for true, row in enumerate(confusion.tolist())
        for named, count in enumerate(row)
        if count and true != named
    ]
    worst = sorted(found, key=lambda each: -each[0])[:_MOST_CONFUSIONS]
    pairs = ", ".join(f"{true} as {named} ({count})" for count, true, named in worst)
    return f"most confused       {pairs or 'none'}"


def _recordings_text(evaluation: Evaluation) -> str:
    wrong = [each for each in evaluation.errors if each.wrong][:_MOST_CONFUSIONS]
    found = ", ".join(f"{each.recording} ({each.wrong} of {each.windows})" for each in wrong)
    return f"most errors in      {found or 'none'}"


def _thresholds_text(evaluation: Evaluation) -> str:
    thresholds = evaluation.thresholds
    if thresholds is None:
        return f"thresholds          none: {evaluation.model.no_thresholds}"
    blocks, n_classes = thresholds.mean.shape
    width = max(17, *(len(label) + 1 for label in evaluation.model.labels))
    rows = [f"{'mean tau':{width}}" + "".join(f"{f'block {number}':>12}" for number in range(1, blocks + 1))]
    for label in range(n_classes):
        values = zip(thresholds.mean[:, label].tolist(), thresholds.channel_spread[:, label].tolist(), strict=True)
        cells = "".join(f"{f'{mean:.3g}±{spread:.2g}':>12}" for mean, spread in values if mean == mean)
        rows.append(f"{evaluation.model.labels[label]:{width}}{cells or '  does not occur'}")
    return "\n".join(rows)
