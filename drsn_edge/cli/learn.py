"""`drsn-edge learn`."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import Duration, PathType, finite, json_option
from drsn_edge.cli.output import note, print_json, print_text
from drsn_edge.cli.source import SourceChoice, source_options

if TYPE_CHECKING:
    from drsn_edge.bundle.bundle import Bundle
    from drsn_edge.monitor.stages.learned import Learned, Learner


@click.command()
@source_options()
@click.option(
    "--model", type=PathType, help="Bundle that watches the machine.  [default: the one that is active on this gateway]"
)
@click.option(
    "--replay", type=PathType, multiple=True, metavar="LOG", help="Learn from raw logs instead of a port; repeatable."
)
@click.option(
    "--duration",
    type=Duration(positive=True),
    default="10min",
    show_default=True,
    help="Listen for so long.",
)
@click.option(
    "--rpm",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    help="Speed of the shaft, turns per minute, as for `monitor`.",
)
@click.option("--label", help="Class that the machine is.  [default: the bundle's label healthy, normal, good or ok]")
@click.option("--show", is_flag=True, help="Say what was learned before, and learn nothing.")
@click.option("--remove", is_flag=True, help="Forget what was learned with this bundle.")
@json_option
def learn(
    source: SourceChoice,
    model: Path | None,
    replay: tuple[Path, ...],
    duration: float,
    rpm: float | None,
    label: str | None,
    show: bool,
    remove: bool,
    as_json: bool,
) -> None:
    """Learn what a healthy machine is like where it stands, so that it is not UNKNOWN there.

    Listens to a machine that is known to be healthy, at the speeds and loads at which it runs. The result lies beside
    the bundle, whose weights stay as they are; `monitor` uses it from its next start on. A machine that the network
    takes for something else is refused: what it calls a fault is not learned as healthy.

    \b
    Example:
      drsn-edge learn --port /dev/ttyUSB0 --model machine.drsn --duration 10min
    """
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.bundle.open_model import novelty_of
    from drsn_edge.errors import LearningError
    from drsn_edge.monitor.stages.learned import Learner, check_agreement, healthy_label, load, path_of, save

    if model is None:
        from drsn_edge.gateway.local_store import open_store

        model = open_store("drsn-edge learn").active().path
    if remove:
        path_of(model).unlink(missing_ok=True)
        if as_json:
            print_json("learn", {"removed": True})
        else:
            print_text("removed")
        return
    bundle = read_bundle(model)
    novelty = novelty_of(bundle)
    if novelty is None:
        raise LearningError(
            f"Expected a bundle that knows what is UNKNOWN, got {model}, which does not. Convert again."
        )
    if show:
        found = load(model, bundle, novelty.whitening.shape[0])
        if as_json:
            print_json("learn", _values(found))
        else:
            print_text(_as_text(found))
        return
    if source.is_chosen if replay else source.port is None:
        raise click.UsageError("Expected either --port or --replay.")
    label = healthy_label(bundle.manifest.labels, label)
    learner = Learner(novelty)
    said = _listen(bundle, learner, source, replay, duration, rpm)
    learned = learner.learned(bundle)
    check_agreement(said, label)
    save(learned, model)
    if as_json:
        print_json("learn", _values(learned))
    else:
        print_text(_as_text(learned))


def _listen(
    bundle: Bundle, learner: Learner, source: SourceChoice, replay: tuple[Path, ...], duration: float, rpm: float | None
) -> Counter[str]:
    """Let it take the good windows; return how many the network calls what."""
    from drsn_edge.cli.stopping import stop_on_signal
    from drsn_edge.monitor.stages.judge import Judge, model_of
    from drsn_edge.monitor.stages.learned import check_signal
    from drsn_edge.monitor.stages.pipeline import Monitor
    from drsn_edge.monitor.stages.results import WindowResult
    from drsn_edge.recordings.recorder import log_files
    from drsn_edge.verdicts import NOISE_ALONE
    from firmware_bridge.sources.replay import ReplaySource

    speed_hz = None if rpm is None else rpm / 60
    watch = Monitor(Judge(model_of(bundle, unknown=False), speed_hz=speed_hz, keep=learner.take))
    said: Counter[str] = Counter()
    noise = 0
    with stop_on_signal(None if replay else duration) as stopped:
        events = ReplaySource(log_files(replay), stop=stopped) if replay else source.open(stopped)
        for result in watch.run(events, lambda: events.counters):
            noise += isinstance(result, WindowResult) and result.reason == NOISE_ALONE
            if isinstance(result, WindowResult) and result.label is not None:
                said[result.label] += 1
                if sys.stderr.isatty():
                    note(f"\r\x1b[K{said.total()} windows", end="")
    if sys.stderr.isatty():
        note("\r\x1b[K", end="")
    check_signal(noise, said.total())
    return said


def _values(learned: Learned | None) -> dict[str, Any]:
    if learned is None:
        return {"windows": None, "made_s": None, "quietest_rms": None}
    return {"windows": learned.windows, "made_s": learned.made_s, "quietest_rms": learned.site.quietest_rms}


def _as_text(learned: Learned | None) -> str:
    if learned is None:
        return "nothing learned"
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(learned.made_s))
    return f"learned  {learned.windows} windows, {made}"
