"""`drsn-edge train`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from drsn_edge.cli.modes import check_merged
from drsn_edge.cli.options import PathType, catalogue_option, json_option, seed_option
from drsn_edge.cli.output import note, print_text, print_values
from drsn_edge.cli.progress import counting_bar, load_keras, training_bar
from drsn_edge.models.config import BLOCK_KINDS, PRESETS, fitted, preset
from drsn_edge.support.notice import as_line

if TYPE_CHECKING:
    from drsn_edge.datasets.span import Split
    from drsn_edge.recordings.recording import Recording
    from drsn_edge.training.settings import TrainSettings


@click.command()
@click.option("--data", type=PathType, required=True, help="Folder of recordings (.npz, .csv, .wav, .mat).")
@click.option(
    "--hold-out",
    metavar="RULE",
    help="What training never sees: FIELD=VALUE (load_hp=3), FIELD=VALUE,time=SHARE (recordings without the field by "
    "time), fold=K/N (groups kept together), time=SHARE (the last part of each recording) or windows=SHARE (random).  "
    "[required, here or in --config]",
)
@click.option("--label-field", default="", metavar="FIELD", help="Field that is the class.  [default: the label]")
@click.option("--allow-leaks", is_flag=True, help="Say what both sides share instead of refusing it, as in papers.")
@click.option(
    "--keep-labels",
    is_flag=True,
    help="Take labels that differ only by case or spaces as different classes.",
)
@click.option("--out", type=PathType, required=True, help="Run folder to write.")
@click.option(
    "--config", type=PathType, help="TOML file of settings, such as a run's config.toml; options win over it."
)
@click.option("--network", default="small", show_default=True, help=f"{', '.join(PRESETS)}; see `drsn-edge models`.")
@click.option("--block", default="rsbu-cw", show_default=True, help=f"Block kind: {', '.join(BLOCK_KINDS)}.")
@click.option("--window", type=int, default=1024, show_default=True, help="Samples per window.")
@click.option("--hop", type=int, default=0, help="Samples between window starts.  [default: half a window]")
@click.option("--epochs", type=int, default=24, show_default=True, help="Passes over the training windows.")
@click.option("--batch-size", type=int, default=64, show_default=True, help="Windows per step.")
@click.option("--learning-rate", type=float, default=3e-3, show_default=True, help="Peak of the schedule.")
@click.option(
    "--snr-db",
    "snr_range_db",
    type=float,
    nargs=2,
    default=(-6.0, 12.0),
    show_default=True,
    help="Its SNR, dB, from to.",
)
@click.option(
    "--noise",
    multiple=True,
    metavar="KIND",
    help="Noise in training: gaussian, laplacian, pink or impulsive; may be repeated.  [default: all of them]",
)
@click.option("--clean-share", type=float, default=0.3, show_default=True, help="Training windows without noise, 0-1.")
@click.option(
    "--speed-range",
    type=float,
    default=0.03,
    show_default=True,
    help="Speed change drawn per training window, 0.03 = 3 %.",
)
@click.option(
    "--gain-range-db",
    type=float,
    default=0.0,
    show_default=True,
    help="Level change drawn per training window, dB up or down; matters to --scaling fixed only.",
)
@click.option("--polarity/--no-polarity", default=False, show_default=True, help="Turn windows' sign at random.")
@click.option(
    "--axis-dropout",
    type=float,
    default=0.0,
    show_default=True,
    help="Training windows that lose one axis at random, 0-1.",
)
@click.option(
    "--scaling",
    type=click.Choice(["rms", "fixed"]),
    default="rms",
    show_default=True,
    help="Divide each window by its own RMS, or all by one number.",
)
@click.option(
    "--inputs",
    type=click.Choice(["waveform", "bands", "spectra"]),
    default="waveform",
    show_default=True,
    help="What the network sees: the samples, log band powers, or those with shaft orders and envelopes (needs rpm).",
)
@click.option("--lines", type=int, default=128, show_default=True, help="Lines of each log spectrum.")
@click.option("--highest-order", type=float, default=16.0, show_default=True, help="Shaft order at the last line.")
@click.option(
    "--view-weights",
    type=float,
    nargs=3,
    help="Of bands, orders and envelopes in the verdict of --inputs spectra.  [default: all alike]",
)
@click.option("--style-mix", type=float, default=0.0, show_default=True, help="Mixing of log spectra's differences.")
@click.option(
    "--discriminants",
    type=float,
    default=0.0,
    show_default=True,
    help="Weight of linear discriminants of the log spectra in the verdict, beside the network's.",
)
@click.option(
    "--redraw-every", type=int, default=1, show_default=True, help="Epochs that share their windows, noise included."
)
@click.option(
    "--class-weights",
    type=click.Choice(["none", "balanced"]),
    default="none",
    show_default=True,
    help="Balanced: each class counts the same, however many windows it has.",
)
@click.option(
    "--validation/--no-validation",
    default=True,
    show_default=True,
    help="Watch the training with the end of each recording's training part, or train on it.",
)
@click.option(
    "--patience",
    type=int,
    default=0,
    show_default=True,
    help="Stop after so many epochs without a better validation, and keep the best epoch; 0: never.",
)
@seed_option
@catalogue_option
@click.option("--resume", is_flag=True, help="Go on with a training that was stopped, from its last whole epoch.")
@click.option("--force", is_flag=True, help="Replace an existing run folder; forget a training that was stopped.")
@json_option
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

    After each epoch the state is kept in a folder beside the run folder (run.training/ for run/), which goes when the
    run folder is written. If the training is stopped or killed, the same command with --resume goes on.

    \b
    Example:
      drsn-edge train --data recordings/ --hold-out load_hp=3 --out run/
    """
    import tomli_w  # noqa: F401  # where the extra `train` is missing, that is said before anything is read

    from drsn_edge.evaluation.generalisation import from_metrics
    from drsn_edge.recordings.loading.load import load_recordings
    from drsn_edge.support.files import check_new_folder
    from drsn_edge.training.checkpoint import check_work_folder, remove_work_folder, work_folder
    from drsn_edge.training.run_folder import is_run_folder, save_run

    settings = _settings(ctx, config, options)
    check_new_folder(out, force=force, ours=is_run_folder)
    work = work_folder(out)
    check_work_folder(work, resume=resume, force=force)
    with counting_bar("reading recordings") as bar:
        recordings = load_recordings(data, catalogue, progress=bar)
    split = _split(recordings, settings)
    load_keras()
    from drsn_edge.evaluation.after_training import evaluate
    from drsn_edge.training.train import train as run_training

    with says_how_to_resume(work):
        with training_bar() as show:
            training = run_training(recordings, settings, show, work, resume, split)
        metrics = evaluate(training)
        save_run(training, metrics, out)
    remove_work_folder(work)
    found = from_metrics(metrics)
    if found is not None and found.warning:
        note(as_line(found.warning))
    if as_json:
        print_values(metrics)
    else:
        print_text(metrics_text(metrics, out))


def _split(recordings: Sequence[Recording], settings: TrainSettings) -> Split:
    """Split the recordings before anything slow, and show the classes and what looks like a slip among them."""
    from drsn_edge.datasets.labels import likely_slips
    from drsn_edge.training.classes import classes_text, count_classes
    from drsn_edge.training.feed import split_recordings

    split = split_recordings(recordings, settings)
    _check_network(settings, len(split.labels))
    counts = count_classes(split, settings)
    note("\n".join([classes_text(counts), *map(as_line, likely_slips(counts))]))
    return split


def _check_network(settings: TrainSettings, n_classes: int) -> None:
    """Raise TrainingError for a network that cannot be, before TensorFlow loads."""
    steps = settings.window if settings.inputs == "waveform" else settings.lines
    sizes = settings.network
    if isinstance(sizes, str):
        preset(sizes, window=steps, n_axes=1, n_classes=n_classes, block=settings.block)
    else:
        fitted(sizes, window=steps, n_axes=1, n_classes=n_classes, block=settings.block)


def _settings(ctx: click.Context, config: Path | None, options: dict[str, Any]) -> Any:
    """Return the settings: what was typed, else what the file says, else the defaults of `TrainSettings`."""
    from drsn_edge.training.config_file import read_config
    from drsn_edge.training.settings import TrainSettings

    typed = {name: value for name, value in options.items() if _is_typed(ctx, name)}
    values = {**(read_config(config) if config else {}), **typed}
    if "hold_out" not in values:
        raise click.UsageError("Missing option '--hold-out', or hold_out = \"RULE\" in a --config file.", ctx)
    settings = TrainSettings(**values)
    names = [f"--{name.replace('_', '-')}" for name in typed]
    check_merged("train", names, lambda option: getattr(settings, option[2:].replace("-", "_"), None), "--config")
    return settings


def _is_typed(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


@contextmanager
def says_how_to_resume(work: Path) -> Iterator[None]:
    """Turn Ctrl-C into an error that says how to go on."""
    from drsn_edge.errors import TrainingError
    from drsn_edge.training.checkpoint import has_checkpoint

    try:
        yield
    except KeyboardInterrupt as exc:
        kept = f"The whole epochs are kept in {work}: go on with the same command and --resume."
        lost = "It was stopped before its first epoch ended: begin again."
        raise TrainingError(f"The training was stopped. {kept if has_checkpoint(work) else lost}") from exc


def metrics_text(metrics: dict[str, Any], out: Path) -> str:
    """Return the held-out scores as a small table."""
    rows = [f"held out {metrics['split']}: {metrics['held_out_windows']} windows, {len(metrics['labels'])} classes"]
    rows.append(f"{'':18}{'accuracy':>10}{'balanced':>10}{'macro F1':>10}")
    for condition, values in metrics["held_out"].items():
        numbers = (values["accuracy"], values["balanced_accuracy"], values["macro_f1"])
        rows.append(f"{condition:18}" + "".join(f"{number:10.4f}" for number in numbers))
    rows.append(f"network busy {metrics['step_share']:.0%} of the training time")
    rows += [metrics[key] for key in ("leak", "remark") if metrics[key]]
    return "\n".join([*rows, f"wrote {out}"])
