"""`drsn-edge train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from drsn_edge.cli.options import PathType, catalogue_option, json_option, seed_option
from drsn_edge.cli.progress import counting_bar, load_tensorflow, training_bar
from drsn_edge.models.config import BLOCK_KINDS, PRESETS


@click.command()
@click.option("--data", type=PathType, required=True, help="Folder of recordings (.npz, .csv, .wav, .mat).")
@click.option(
    "--hold-out",
    required=True,
    metavar="RULE",
    help="What training never sees: FIELD=VALUE (load_hp=3), FIELD=VALUE,time=SHARE (recordings without the field by "
    "time), fold=K/N (groups kept together), time=SHARE (the last part of each recording) or windows=SHARE (random).",
)
@click.option("--label-field", default="", metavar="FIELD", help="Field that is the class.  [default: the label]")
@click.option("--allow-leaks", is_flag=True, help="Say what both sides share instead of refusing it, as in papers.")
@click.option("--out", type=PathType, required=True, help="Run folder to write.")
@click.option("--network", default="small", show_default=True, help=f"{', '.join(PRESETS)}; see `drsn-edge models`.")
@click.option("--block", default="rsbu-cw", show_default=True, help=f"Block kind: {', '.join(BLOCK_KINDS)}.")
@click.option("--window", type=int, default=1024, show_default=True, help="Samples per window.")
@click.option("--hop", type=int, default=0, help="Samples between window starts.  [default: half a window]")
@click.option("--epochs", type=int, default=24, show_default=True, help="Passes over the training windows.")
@click.option("--batch-size", type=int, default=64, show_default=True, help="Windows per step.")
@click.option("--learning-rate", type=float, default=3e-3, show_default=True, help="Peak of the schedule.")
@click.option(
    "--snr-db",
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
    "--scaling",
    type=click.Choice(["rms", "fixed"]),
    default="rms",
    show_default=True,
    help="Divide each window by its own RMS, or all by one number.",
)
@seed_option
@catalogue_option
@click.option("--force", is_flag=True, help="Replace an existing run folder.")
@json_option
def train(data: Path, out: Path, catalogue: Path | None, force: bool, as_json: bool, **settings: Any) -> None:
    """Train a network on a folder of recordings.

    \b
    Example:
      drsn-edge train --data recordings/ --hold-out load_hp=3 --out run/
    """
    from drsn_edge.files import check_new_folder
    from drsn_edge.noise import NOISE_KINDS
    from drsn_edge.recordings import load_recordings
    from drsn_edge.training.run_folder import is_run_folder, save_run

    check_new_folder(out, force=force, ours=is_run_folder)
    with counting_bar("reading recordings") as bar:
        recordings = load_recordings(data, catalogue, progress=bar)
    load_tensorflow()
    from drsn_edge.training.evaluate import evaluate
    from drsn_edge.training.train import TrainSettings
    from drsn_edge.training.train import train as run_training

    settings["snr_range_db"] = settings.pop("snr_db")
    settings["noise"] = settings["noise"] or NOISE_KINDS
    with training_bar() as show:
        training = run_training(recordings, TrainSettings(**settings), progress=show)
    metrics = evaluate(training)
    save_run(training, metrics, out)
    click.echo(json.dumps(metrics) if as_json else metrics_text(metrics, out))


def metrics_text(metrics: dict[str, Any], out: Path) -> str:
    """Return the held-out scores as a small table."""
    rows = [f"held out {metrics['split']}: {metrics['held_out_windows']} windows, {len(metrics['labels'])} classes"]
    rows.append(f"{'':18}{'accuracy':>10}{'balanced':>10}{'macro F1':>10}")
    for condition, values in metrics["held_out"].items():
        numbers = (values["accuracy"], values["balanced_accuracy"], values["macro_f1"])
        rows.append(f"{condition:18}" + "".join(f"{number:10.4f}" for number in numbers))
    rows += [metrics[key] for key in ("leak", "remark") if metrics[key]]
    return "\n".join([*rows, f"wrote {out}"])
