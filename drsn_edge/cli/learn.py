"""`drsn-edge learn`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import Duration, PathType, json_option, rpm_option
from drsn_edge.cli.output import note, print_json, print_text
from drsn_edge.cli.sections import SectionedCommand, section
from drsn_edge.cli.source import SourceOptions, source_options

if TYPE_CHECKING:
    from drsn_edge.bundle.bundle import Bundle
    from drsn_edge.monitor.stages.learned import Learned, Learner


@click.command(cls=SectionedCommand)
@section(
    "Source",
    source_options(),
    click.option(
        "--replay",
        type=PathType,
        multiple=True,
        metavar="LOG",
        help="Learn from raw logs of `record` instead of a port: a .drsnlog file or a folder of them. Repeatable.",
    ),
    click.option(
        "--duration",
        type=Duration(positive=True),
        default="10min",
        show_default=True,
        help="Time to listen to the port, in seconds or with a unit: 90s, 10min, 8h.",
    ),
)
@section(
    "Learning",
    click.option(
        "--model",
        type=PathType,
        metavar="FILE",
        help="Bundle that monitors the machine.  [default: the active bundle of this gateway]",
    ),
    rpm_option,
    click.option(
        "--label",
        metavar="LABEL",
        help="Class of the machine.  [default: the bundle's label healthy, normal, good or ok]",
    ),
    click.option("--show", is_flag=True, help="Show what was learned before, without learning."),
    click.option("--remove", is_flag=True, help="Delete what was learned with this bundle."),
    json_option,
)
def learn(
    source: SourceOptions,
    model: Path | None,
    replay: tuple[Path, ...],
    duration: float,
    rpm: float | None,
    label: str | None,
    show: bool,
    remove: bool,
    as_json: bool,
) -> None:
    """Learn what a healthy machine is like on site.

    A healthy machine that is unlike the training data is UNKNOWN until it is learned. Run the machine at all its speeds
    and loads while the command listens. The result is written beside the bundle, and the monitor uses it from the next
    start. The weights of the bundle do not change. A machine that the network calls faulty is refused.

    \b
    Example:
      drsn-edge learn --port /dev/ttyUSB0 --model machine.drsn --duration 10min
    """
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.monitor.stages.learned import Learner, healthy_label, load, novelty_to_extend, path_of, save

    path = model or _active_bundle()
    if remove:
        path_of(path).unlink(missing_ok=True)
        _print({**_values(None), "removed": True}, "removed", as_json)
        return
    bundle = read_bundle(path)
    novelty = novelty_to_extend(bundle, path)
    if show:
        learned = load(path, bundle, novelty.whitening.shape[0])
    else:
        if source.is_chosen if replay else source.port is None:
            raise click.UsageError("Learning needs one source. Type --port PORT or --replay LOG.")
        label = healthy_label(bundle.manifest.labels, label)
        learned = _listen(bundle, Learner(novelty), label, _Listening(source, replay, duration, rpm))
        save(learned, path)
    _print(_values(learned), _as_text(learned), as_json)


def _active_bundle() -> Path:
    from drsn_edge.gateway.local_store import open_store

    return open_store("drsn-edge learn").active().path


@dataclass(frozen=True)
class _Listening:
    """The source to learn from: a port for `duration_s`, or raw logs to their ends; `rpm` is the shaft's speed."""

    source: SourceOptions
    replay: tuple[Path, ...]
    duration_s: float
    rpm: float | None


def _listen(bundle: Bundle, learner: Learner, label: str, to: _Listening) -> Learned:
    """Return what was learned from a machine that is known to be healthy."""
    from drsn_edge.cli.stopping import stop_on_signal
    from drsn_edge.monitor.stages.judge import Judge, model_of
    from drsn_edge.monitor.stages.learned import learn_from
    from drsn_edge.monitor.stages.pipeline import Monitor
    from drsn_edge.recordings.recorder import log_files
    from firmware_bridge.sources.replay import ReplaySource

    speed_hz = None if to.rpm is None else to.rpm / 60
    watch = Monitor(Judge(model_of(bundle, unknown=False), speed_hz=speed_hz, keep=learner.take))
    with stop_on_signal(None if to.replay else to.duration_s) as stopped, _counted_windows() as heard:
        events = ReplaySource(log_files(to.replay), stop=stopped) if to.replay else to.source.open(stopped)
        return learn_from(watch.run(events, lambda: events.counters), learner, bundle, label, heard)


@contextmanager
def _counted_windows() -> Iterator[Callable[[int], None]]:
    """Yield a function that shows the number of windows on one line of a terminal."""
    if not sys.stderr.isatty():
        yield lambda windows: None
        return
    try:
        yield lambda windows: note(f"\r\x1b[K{windows} windows", end="")
    finally:
        note("\r\x1b[K", end="")


def _print(values: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        print_json("learn", values)
    else:
        print_text(text)


def _values(learned: Learned | None) -> dict[str, Any]:
    if learned is None:
        return {"windows": None, "made_s": None, "quietest_rms": None}
    return {"windows": learned.windows, "made_s": learned.made_s, "quietest_rms": learned.site.quietest_rms}


def _as_text(learned: Learned | None) -> str:
    if learned is None:
        return "nothing learned"
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(learned.made_s))
    return f"learned  {learned.windows} windows, {made}"
