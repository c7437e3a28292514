"""`drsn-edge train`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.completion import any_of
from drsn_edge.cli.options import PathType, json_option, moved
from drsn_edge.cli.output import note, print_text, print_values
from drsn_edge.cli.progress import counting_bar, load_keras, training_bar
from drsn_edge.cli.reading import read_folder
from drsn_edge.cli.resuming import says_how_to_resume
from drsn_edge.cli.searching import (
    brought_along,
    check_searched,
    choice_options,
    data_section,
    expect_hold_out,
    expected_of,
    fixed_values,
    is_searched,
    network_options,
    run_search,
)
from drsn_edge.cli.sections import SectionedCommand, section
from drsn_edge.cli.without_network import bearing_of, expect_no_bearing, train_healthy
from drsn_edge.cli.workers import cores
from drsn_edge.models.config import fitted, preset
from drsn_edge.support.notice import as_line
from drsn_edge.training.settings import CLASS_WEIGHTS, TrainSettings, settings_from

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


_TRAINING = section(
    "Network and training",
    *network_options,
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
        help="Noise: gaussian, laplacian, pink or impulsive.",
    ),
    click.option(
        "--snr-db",
        "snr_range_db",
        metavar="LOW HIGH",
        type=float,
        nargs=2,
        default=(-6.0, 12.0),
        show_default=True,
        help="Signal-to-noise ratio in dB.",
    ),
    click.option("--polarity", is_flag=True, help="Train for a sensor whose axes may all be inverted."),
    click.option(
        "--seed", metavar="N", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Random seed."
    ),
    *choice_options,
)

_RUN = section(
    "Run",
    click.option("--out", type=PathType, required=True, metavar="FOLDER", help="Run folder to write."),
    click.option("--config", type=PathType, metavar="FILE", help="TOML file of settings, with the table [research]."),
    click.option("--simulate-faults", type=PathType, metavar="F", help="Name changes by the [bearing] in file F."),
    click.option("--resume", is_flag=True, help="Continue a stopped training at its next epoch."),
    click.option("--force", is_flag=True, help="Replace a run folder and discard a stopped training."),
    json_option,
)


@click.command(cls=SectionedCommand)
@data_section
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
    simulate_faults: Path | None,
    resume: bool,
    force: bool,
    target: str,
    without_speed: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a network on a folder of recordings. Healthy ones alone train none.

    \b
    Example:
      drsn-edge train --data recordings/ --hold-out load_hp=3 --out run/
    """
    import tomli_w  # noqa: F401  # a missing extra `train` is reported before anything is read

    from drsn_edge.evaluation.generalisation import from_metrics
    from drsn_edge.search.store import remove_search, search_folder
    from drsn_edge.support.files import check_new_folder
    from drsn_edge.training.healthy import HOLD_OUT, are_healthy
    from drsn_edge.training.run_folder import is_run_folder

    fixed = fixed_values(ctx, config, options)
    ruled = {"hold_out": HOLD_OUT, **fixed}
    settings = None if is_searched(fixed) else settings_from(ruled)
    if settings is None:
        check_searched(ruled, target)
    check_new_folder(out, force=force, ours=is_run_folder)
    resume_training = _check_work(out, settings is None, resume=resume, force=force)
    bearing = None if simulate_faults is None else bearing_of(simulate_faults)
    recordings = read_folder(data, catalogue, out)
    if are_healthy(recordings, fixed.get("label_field", "")):
        train_healthy(ctx, recordings, fixed, out, bearing, as_json=as_json)
        return
    expect_no_bearing(simulate_faults, recordings)
    expect_hold_out(ctx, fixed)
    files: Mapping[str, bytes]
    if settings is not None:
        files = brought_along(config, settings, recordings)
    elif resume_training:
        settings, files = _chosen_before(recordings, fixed, out)
    else:
        settings, files = _searched(recordings, fixed, out, target, without_speed=without_speed, resume=resume)
    metrics = _train(recordings, _split(recordings, settings), settings, out, resume=resume_training, files=files)
    remove_search(search_folder(out))
    found = from_metrics(metrics)
    if found is not None and found.warning:
        note(as_line(found.warning))
    if as_json:
        print_values(metrics)
    else:
        print_text(metrics_text(metrics, out))


def _check_work(out: Path, is_searched: bool, *, resume: bool, force: bool) -> bool:
    """Refuse to lose a stopped search or training; return whether a training continues.

    Raises:
        TrainingError: If something would be lost, or there is nothing to resume.
    """
    from drsn_edge.search.store import check_search_folder, has_search, search_folder
    from drsn_edge.training.checkpoint import check_work_folder, has_checkpoint, work_folder

    work, search_work = work_folder(out), search_folder(out)
    if is_searched:
        check_search_folder(search_work, resume=resume, force=force)
        resume = resume and (has_checkpoint(work) or not has_search(search_work))
    check_work_folder(work, resume=resume, force=force)
    return resume


def _searched(
    recordings: Sequence[Recording],
    fixed: Mapping[str, Any],
    out: Path,
    target: str,
    *,
    without_speed: bool,
    resume: bool,
) -> tuple[TrainSettings, Mapping[str, bytes]]:
    """Search inputs and network, say what was chosen, and return its settings and the files of the search."""
    from drsn_edge.search.ground import Wishes
    from drsn_edge.search.report import search_files, text_of
    from drsn_edge.search.store import search_folder
    from drsn_edge.support.files import write_file

    wishes = Wishes(fixed, target, without_speed, workers=cores())
    work = search_folder(out)
    found = run_search(recordings, wishes, work, resume=resume)
    note(text_of(found))
    files = search_files(found, recordings)
    for name, content in files.items():
        write_file(work / name, content)
    return found.settings, files


def _chosen_before(
    recordings: Sequence[Recording], fixed: Mapping[str, Any], out: Path
) -> tuple[TrainSettings, Mapping[str, bytes]]:
    """Return the settings of the stopped training, which a search has chosen, and the files of that search.

    Raises:
        TrainingError: If the checkpoint cannot be used, or a typed setting differs from it.
    """
    from drsn_edge.search.report import files_beside
    from drsn_edge.search.store import search_folder
    from drsn_edge.training.checkpoint import check_named, load_checkpoint, work_folder

    settings = check_named(load_checkpoint(work_folder(out)).settings, fixed)
    return settings, files_beside(search_folder(out), settings, recordings)


def _train(
    recordings: Sequence[Recording],
    split: Split,
    settings: TrainSettings,
    out: Path,
    *,
    resume: bool,
    files: Mapping[str, bytes],
) -> dict[str, Any]:
    """Train, evaluate on the hold-out set, write the run folder with further files, and return its metrics."""
    from drsn_edge.search.store import search_folder
    from drsn_edge.training.checkpoint import remove_work_folder, work_folder

    load_keras()
    from drsn_edge.evaluation.after_training import evaluate
    from drsn_edge.training.run_folder import save_run
    from drsn_edge.training.train import train as run_training

    work = work_folder(out)
    with says_how_to_resume(work, search_folder(out)):
        with training_bar() as show:
            training = run_training(recordings, settings, show, work, resume, split)
        metrics = {**evaluate(training), **expected_of(files)}
        save_run(training, metrics, out, files)
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


def metrics_text(metrics: dict[str, Any], out: Path) -> str:
    """Return the scores on the hold-out set as a small table."""
    rows = [f"hold-out set {metrics['split']}: {metrics['held_out_windows']} windows, {len(metrics['labels'])} classes"]
    rows.append(f"{'':18}{'accuracy':>10}{'balanced':>10}{'macro F1':>10}")
    for condition, values in metrics["held_out"].items():
        numbers = (values["accuracy"], values["balanced_accuracy"], values["macro_f1"])
        rows.append(f"{condition:18}" + "".join(f"{number:10.4f}" for number in numbers))
    rows.append(f"training steps took {metrics['step_share']:.0%} of the training time")
    rows += [metrics[key] for key in ("leak", "remark", "expected_in_words") if metrics.get(key)]
    return "\n".join([*rows, f"wrote {out}"])
