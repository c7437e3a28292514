"""`drsn-edge demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import PathType, json_option, seed_option
from drsn_edge.cli.output import note, print_text, print_values

if TYPE_CHECKING:
    from drsn_edge.bundle.bundle import Bundle
    from drsn_edge.demo.run import DemoResult, Phase
    from drsn_edge.monitor.stages.results import Result

_NETWORK, _EPOCHS = "nano", 12


@click.command()
@click.option(
    "--out",
    type=PathType,
    default="drsn-edge-demo",
    show_default=True,
    metavar="FOLDER",
    help="Folder for the results.",
)
@click.option(
    "--speed",
    type=float,
    default=1.0,
    show_default=True,
    metavar="FACTOR",
    help="Playback speed of the simulated machine, as a multiple of real time; 0 plays as fast as it is read.",
)
@seed_option
@json_option
def demo(out: Path, speed: float, seed: int, as_json: bool) -> None:
    """Run the whole chain without hardware.

    The demo simulates machines, trains a network, converts it to int8, and monitors a virtual sensor. The monitored
    machine is first healthy, then has an outer-race fault, then an imbalance. The exit code is 0 only if the monitor
    recognised each condition.

    \b
    Example:
      drsn-edge demo
    """
    from drsn_edge.demo.plot import save_demo_plot
    from drsn_edge.demo.run import check_recognised, watch
    from drsn_edge.errors import OutputError

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        words = f"Could not make the folder {out}: {exc.strerror}. Choose another --out."
        raise OutputError(words, "cannot_make_folder", path=out, reason=exc.strerror) from exc
    bundle = _train_and_convert(out, seed)
    note("[3/3] monitoring the machine through a virtual accelerometer")
    result = watch(bundle, seed, out / "sensor", lambda item: _say(item, as_json), speed or None)
    save_demo_plot(result, out / "demo.png")
    if as_json:
        print_values(_values(result))
    else:
        print_text(_as_text(result, out))
    check_recognised(result)


def _train_and_convert(out: Path, seed: int) -> Bundle:
    from drsn_edge.bundle.bundle import write_bundle
    from drsn_edge.cli.progress import counting_bar, load_tensorflow, spinner, training_bar
    from drsn_edge.demo.run import HOLD_OUT, training_recordings

    note("[1/3] training on simulated machines")
    with counting_bar("simulating machines") as bar:
        recordings = training_recordings(seed, bar)
    load_tensorflow()
    from drsn_edge.conversion.convert import BundleOptions, convert_run, report_on
    from drsn_edge.evaluation.after_training import evaluate
    from drsn_edge.training.run_folder import load_run, save_run
    from drsn_edge.training.settings import TrainSettings
    from drsn_edge.training.train import train
    from quantize.convert import Tolerance

    with training_bar() as show:
        training = train(recordings, TrainSettings(HOLD_OUT, network=_NETWORK, epochs=_EPOCHS, seed=seed), show)
    save_run(training, evaluate(training), out / "run")
    note("[2/3] converting to int8")
    with spinner("converting and comparing"):
        run = load_run(out / "run")
        conversion = convert_run(run, BundleOptions("demo", "1.0.0"), Tolerance(max_drop=0.02))
    size = write_bundle(report_on(conversion, run, "demo.drsn", counting_bar), out / "demo.drsn")
    figures = conversion.agreement
    note(
        f"      unseen machine: float32 {figures.float_accuracy:.3f}, int8 {figures.int8_accuracy:.3f} of "
        f"{figures.windows} windows; demo.drsn {size / 1000:.1f} kB"
    )
    return conversion.bundle


def _say(result: Result, as_json: bool) -> None:
    from drsn_edge.monitor.stages.results import Decision
    from drsn_edge.monitor.stages.words import decision_line

    if isinstance(result, Decision) and not as_json:
        print_text(decision_line(result))


def _as_text(result: DemoResult, out: Path) -> str:
    from drsn_edge.monitor.stages.words import summary_words

    lines = [summary_words(result.summary), *(_phase_line(phase) for phase in result.phases)]
    return "\n".join([*lines, f"picture: {out / 'demo.png'}"])


def _phase_line(phase: Phase) -> str:
    verdict = "MISSED" if phase.delay_s is None else f"recognised after {phase.delay_s:.2f} s"
    return f"{phase.label:12} simulated from {phase.start_s:.0f} s to {phase.end_s:.0f} s: {verdict}"


def _values(result: DemoResult) -> dict[str, Any]:
    from drsn_edge.monitor.stages.results import to_json

    return {**to_json(result.summary), "type": "demo", "phases": [vars(phase) for phase in result.phases]}
