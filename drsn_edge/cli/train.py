"""`drsn-edge train`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.completion import any_of
from drsn_edge.cli.options import PathType, Percent, catalogue_option, json_option, moved
from drsn_edge.cli.output import note, print_text, print_values
from drsn_edge.cli.progress import counting_bar, load_keras, training_bar
from drsn_edge.cli.reading import read_folder
from drsn_edge.cli.resuming import says_how_to_resume
from drsn_edge.cli.sections import SectionedCommand, section
from drsn_edge.cli.typed import is_typed
from drsn_edge.models.config import PRESETS, fitted, preset
from drsn_edge.support.notice import as_line
from drsn_edge.training.settings import CLASS_WEIGHTS, INPUTS, TrainSettings

if TYPE_CHECKING:
    from drsn_edge.datasets.span import Split
    from drsn_edge.recordings.recording import Recording

_MOVED = (
    ("--block", "block", 1),
    ("--scaling", "scaling", 1),
    ("--validation/--no-validation", "validation", 0),
    ("--batch-size", "batch_size", 1),
    ("--clean-share", "clean_share", 1),
    ("--speed-range", "speed_range", 1),
    ("--gain-range-db", "gain_range_db", 1),
    ("--axis-dropout", "axis_dropout", 1),
    ("--lines", "spectrum_lines", 1),
    ("--highest-order", "highest_order", 1),
    ("--view-weights", "view_weights", 3),
    ("--style-mix", "style_mix", 1),
    ("--discriminants", "discriminants", 1),
    ("--redraw-every", "redraw_every", 1),
)
"""Options that became keys of the table [research], see `drsn_edge.training.settings.ResearchSettings`."""


def _answers_moved(command: Callable[..., Any]) -> Callable[..., Any]:
    for option, key, values in _MOVED:
        command = moved(option, key, values=values)(command)
    return command


def _expect_rate(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuse what is no sampling rate. A range of click would take a line of the help."""
    if value is not None and not 1 <= value < math.inf:
        raise click.BadParameter(f"{value:g} Hz is no sampling rate. Type a number of 1 or more.", ctx, param)
    return value


_DATA = section(
    "Data",
    click.option("--data", type=PathType, required=True, metavar="FOLDER", help="Folder of recordings."),
    catalogue_option,
    click.option(
        "--hold-out",
        metavar="RULE",
        help="Hold-out set: FIELD=VALUE[,time=SHARE], time=SHARE, fold=K/N or windows=SHARE.  [required, or in "
        "--config]",
    ),
    click.option(
        "--label-field", default="", metavar="FIELD", help="Field that holds the class.  [default: the label]"
    ),
    click.option("--keep-labels", is_flag=True, help="Accept classes that differ by case or spaces only."),
    click.option("--allow-leaks", is_flag=True, help="Train even if hold-out and training share samples."),
    click.option(
        "--most-damaged",
        metavar="N",
        type=Percent(),
        default=0.05,
        help="Damaged windows accepted per class.  [default: 5%]",
    ),
    click.option(
        "--rate",
        "sample_rate_hz",
        metavar="HZ",
        type=float,
        callback=_expect_rate,
        help="Decimate to this rate in Hz.  [default: the lowest]",
    ),
    click.option("--window", metavar="N", type=int, default=1024, show_default=True, help="Samples per window."),
    click.option(
        "--hop", metavar="N", type=int, default=0, help="Samples between window starts.  [default: window / 2]"
    ),
)

_TRAINING = section(
    "Network and training",
    click.option(
        "--network",
        metavar="NAME",
        default="small",
        show_default=True,
        shell_complete=any_of(*PRESETS),
        help="Network from `drsn-edge models`.",
    ),
    click.option(
        "--inputs",
        metavar="KIND",
        type=click.Choice(tuple(INPUTS)),
        default="waveform",
        show_default=True,
        help="Input: waveform, bands, spectra.",
    ),
    click.option(
        "--epochs", metavar="N", type=int, default=24, show_default=True, help="Passes over the training windows."
    ),
    click.option(
        "--learning-rate", metavar="RATE", type=float, default=3e-3, show_default=True, help="Peak learning rate."
    ),
    click.option(
        "--patience", metavar="N", type=int, default=0, help="Stop N epochs after the best one.  [default: never]"
    ),
    click.option(
        "--class-weights",
        metavar="KIND",
        type=click.Choice(CLASS_WEIGHTS),
        default="none",
        show_default=True,
        help="Class weights: none, or balanced.",
    ),
    click.option(
        "--noise",
        multiple=True,
        metavar="KIND",
        shell_complete=any_of("gaussian", "laplacian", "pink", "impulsive"),
        help="Noise to add in training: gaussian, laplacian, pink or impulsive. Repeatable.  [default: all]",
    ),
    click.option(
        "--snr-db",
        "snr_range_db",
        metavar="LOW HIGH",
        type=float,
        nargs=2,
        default=(-6.0, 12.0),
        show_default=True,
        help="Range of the signal-to-noise ratio drawn for noisy training windows, in dB.",
    ),
    click.option("--polarity", is_flag=True, help="Train for a sensor whose axes may all be inverted."),
    click.option(
        "--seed", metavar="N", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Random seed."
    ),
)

_RUN = section(
    "Run",
    click.option("--out", type=PathType, required=True, metavar="FOLDER", help="Run folder to write."),
    click.option("--config", type=PathType, metavar="FILE", help="TOML file of settings, with the table [research]."),
    click.option("--resume", is_flag=True, help="Continue a stopped training at its next epoch."),
    click.option("--force", is_flag=True, help="Replace a run folder and discard a stopped training."),
    json_option,
)


@click.command(cls=SectionedCommand)
@_DATA
@_TRAINING
@_RUN
@_answers_moved
@click.pass_context
def train(
    ctx: click.Context,
    /,
    data: Path,
    out: Path,
    config: Path | None,
    catalogue: Path | None,
    resume: bool,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a network on a folder of recordings.

    \b
    Example:
      drsn-edge train --data recordings/ --hold-out load_hp=3 --out run/
    """
    import tomli_w  # noqa: F401  # a missing extra `train` is reported before anything is read

    from drsn_edge.evaluation.generalisation import from_metrics
    from drsn_edge.support.files import check_new_folder
    from drsn_edge.training.checkpoint import check_work_folder, work_folder
    from drsn_edge.training.run_folder import is_run_folder

    settings = _settings(ctx, config, options)
    check_new_folder(out, force=force, ours=is_run_folder)
    check_work_folder(work_folder(out), resume=resume, force=force)
    recordings = read_folder(data, catalogue, out)
    metrics = _train(recordings, _split(recordings, settings), settings, out, resume=resume)
    found = from_metrics(metrics)
    if found is not None and found.warning:
        note(as_line(found.warning))
    if as_json:
        print_values(metrics)
    else:
        print_text(metrics_text(metrics, out))


def _train(
    recordings: Sequence[Recording], split: Split, settings: TrainSettings, out: Path, *, resume: bool
) -> dict[str, Any]:
    """Train, evaluate on the hold-out set, write the run folder, and return its metrics."""
    from drsn_edge.training.checkpoint import remove_work_folder, work_folder

    load_keras()
    from drsn_edge.evaluation.after_training import evaluate
    from drsn_edge.training.run_folder import save_run
    from drsn_edge.training.train import train as run_training

    work = work_folder(out)
    with says_how_to_resume(work):
        with training_bar() as show:
            training = run_training(recordings, settings, show, work, resume, split)
        metrics = evaluate(training)
        save_run(training, metrics, out)
    remove_work_folder(work)
    return metrics


def _split(recordings: Sequence[Recording], settings: TrainSettings) -> Split:
    """Split the recordings before any slow step, and print the classes with likely typing errors among them."""
    from drsn_edge.datasets.damage import damage_lines
    from drsn_edge.datasets.labels import likely_slips
    from drsn_edge.training.classes import classes_text, count_classes
    from drsn_edge.training.feed import split_recordings

    with counting_bar("checking recordings for damage") as bar:
        split = split_recordings(recordings, settings, bar)
    _check_network(settings, len(split.labels))
    counts = count_classes(split, settings)
    warnings = [*likely_slips(counts), *(doubt.sentence for doubt in split.doubts)]
    done = [*map(str, split.rates), classes_text(counts), *damage_lines(split.damage)]
    note("\n".join([*done, *map(as_line, warnings)]))
    return split


def _check_network(settings: TrainSettings, n_classes: int) -> None:
    """Raise TrainingError for an impossible network, before TensorFlow loads."""
    steps = settings.window if settings.inputs == "waveform" else settings.research.spectrum_lines
    sizes = settings.network
    if isinstance(sizes, str):
        preset(sizes, window=steps, n_axes=1, n_classes=n_classes, block=settings.research.block)
    else:
        fitted(sizes, window=steps, n_axes=1, n_classes=n_classes, block=settings.research.block)


def _settings(ctx: click.Context, config: Path | None, options: dict[str, Any]) -> TrainSettings:
    """Return the settings: typed options, then the file, then the defaults of `TrainSettings`."""
    from drsn_edge.training.config_file import read_config

    typed = {name: value for name, value in options.items() if is_typed(ctx, name)}
    values = {**(read_config(config) if config else {}), **typed}
    if "hold_out" not in values:
        raise click.UsageError(
            'A training needs a hold-out set. Add --hold-out RULE, or hold_out = "RULE" in --config.', ctx
        )
    return TrainSettings(**values)


def metrics_text(metrics: dict[str, Any], out: Path) -> str:
    """Return the scores on the hold-out set as a small table."""
    rows = [f"hold-out set {metrics['split']}: {metrics['held_out_windows']} windows, {len(metrics['labels'])} classes"]
    rows.append(f"{'':18}{'accuracy':>10}{'balanced':>10}{'macro F1':>10}")
    for condition, values in metrics["held_out"].items():
        numbers = (values["accuracy"], values["balanced_accuracy"], values["macro_f1"])
        rows.append(f"{condition:18}" + "".join(f"{number:10.4f}" for number in numbers))
    rows.append(f"training steps took {metrics['step_share']:.0%} of the training time")
    rows += [metrics[key] for key in ("leak", "remark") if metrics[key]]
    return "\n".join([*rows, f"wrote {out}"])
