"""`drsn-edge learn`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.learning import MEMBER, Listening, Wanted, counted_windows, learn_bundle, of_bundle
from drsn_edge.cli.options import Duration, PathType, Percent, json_option, rpm_option
from drsn_edge.cli.output import print_json, print_text
from drsn_edge.cli.sections import SectionedCommand, section
from drsn_edge.cli.source import SourceOptions, source_options

if TYPE_CHECKING:
    from drsn_edge.bundle.bundle import Bundle
    from drsn_edge.monitor.stages.learned import Learned
    from drsn_edge.signal.novelty import Novelty

_OVERLAY_S, _HEALTHY_S = 600.0, 1800.0
"""Default of --duration without and with --out or --install, in seconds."""


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
        help="Longest time to listen to the port, in seconds or with a unit: 90s, 30min, 8h.  [default: 30min with "
        "--out or --install, else 10min]",
    ),
)
@section(
    "Bundle of a healthy machine",
    click.option(
        "--out",
        type=PathType,
        metavar="BUNDLE",
        help="Bundle to write, such as pump.drsn. It needs no network and no recording of a fault.",
    ),
    click.option(
        "--install",
        is_flag=True,
        help="Keep the bundle as this gateway's own, unsigned. `monitor` uses it where no bundle was flashed.",
    ),
    click.option(
        "--service",
        metavar="NAME",
        help="Keep the bundle as with --install, then watch the port with it: install and start a systemd service.",
    ),
    click.option("--name", metavar="NAME", help="Name of the bundle.  [default: the name of --out, else learned]"),
    click.option(
        "--model-version",
        default="1.0.0",
        show_default=True,
        metavar="VERSION",
        help="Version of the bundle, MAJOR.MINOR.PATCH.",
    ),
    click.option(
        "--false-unknown",
        type=Percent(0.01, 50.0),
        default="1%",
        show_default=True,
        metavar="PERCENT",
        help="Windows of the healthy machine that may be UNKNOWN, in percent.",
    ),
    click.option(
        "--limits",
        type=PathType,
        metavar="FILE",
        help="TOML file of the machine's severity zones and of its bearing. A machine that is mostly in zone C or D is "
        "not learned. With [bearing] and --rpm, the bundle says what a change resembles.",
    ),
    click.option("--force", is_flag=True, help="Replace a bundle that exists."),
)
@section(
    "Addition to a bundle",
    click.option(
        "--model",
        type=PathType,
        metavar="FILE",
        help="Bundle that monitors the machine.  [default: the active bundle of this gateway]",
    ),
    rpm_option,
)
@section(
    "Result",
    click.option(
        "--label",
        metavar="LABEL",
        help="Class of the machine.  [default: healthy with --out or --install, else the bundle's label healthy, "
        "normal, good or ok]",
    ),
    click.option("--show", is_flag=True, help="Show what was learned before, without learning."),
    click.option("--remove", is_flag=True, help="Delete what was learned before."),
    json_option,
)
def learn(
    source: SourceOptions,
    replay: tuple[Path, ...],
    duration: float | None,
    show: bool,
    remove: bool,
    as_json: bool,
    label: str | None,
    model: Path | None,
    rpm: float | None,
    **bundle: Any,
) -> None:
    """Learn what a healthy machine is like on site.

    With --out, --install or --service, learn from the healthy machine alone: the bundle knows its operating points,
    and anything else is UNKNOWN. Learning ends when enough was seen, at the latest after --duration. Otherwise, add the
    machine to a bundle with classes, to which it may be UNKNOWN until it is learned; the weights do not change.

    Run the machine at all its speeds and loads meanwhile. A fault that is present from the start cannot be known: it
    is learned as healthy.

    \b
    Example:
      drsn-edge learn --port /dev/ttyUSB0 --duration 30min --out pump.drsn
      drsn-edge learn --port /dev/ttyUSB0 --model machine.drsn --duration 10min
    """
    bundle["install"] = bundle["install"] or bundle["service"] is not None
    own = bundle["out"] is not None or bundle["install"]
    to = Listening(source, replay, duration or (_HEALTHY_S if own else _OVERLAY_S), rpm)
    if own and not (show or remove):
        learn_bundle(Wanted(label=label or "healthy", **bundle), to, as_json)
    elif own:
        _see_installed(remove, as_json)
    elif remove:
        from drsn_edge.monitor.stages.learned import path_of

        path_of(model or _active_bundle()).unlink(missing_ok=True)
        _print({**_values(None), "removed": True}, "removed", as_json)
    else:
        _add_to_bundle(model or _active_bundle(), to, label, show, as_json)


def _see_installed(remove: bool, as_json: bool) -> None:
    """Show or remove the bundle that --install left."""
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.gateway.own_bundle import own_bundle
    from drsn_edge.monitor.stages.learned import path_of

    path = own_bundle()
    if remove:
        for each in (path, path_of(path)):
            each.unlink(missing_ok=True)
        _print({**_values(None), "removed": True}, "removed", as_json)
    elif not path.exists():
        _print(_values(None), _as_text(None), as_json)
    else:
        bundle = read_bundle(path)
        learned = _how_learned(bundle, path)
        named = f"{bundle.manifest.name} {bundle.manifest.version}"
        windows, when = learned["windows"], _when(learned["made_s"])
        text = f"learned  {windows} windows, {when}, {named} at {path}"
        _print({**learned, **of_bundle(bundle, [path])}, text, as_json)


def _how_learned(bundle: Bundle, path: Path) -> dict[str, Any]:
    """Return how a bundle was learned, as far as `--show` says it."""
    from drsn_edge.bundle.open_model import novelty_of
    from drsn_edge.errors import LearningError
    from drsn_edge.support.fields import number, parsed, whole
    from drsn_edge.support.invalid import InvalidValueError

    novelty = novelty_of(bundle)
    quietest = None if novelty is None else novelty.quietest_rms
    try:
        values = parsed(bundle.extras[MEMBER])
        return {"windows": whole(values, "windows"), "made_s": number(values, "made_s"), "quietest_rms": quietest}
    except (InvalidValueError, KeyError, TypeError, ValueError) as exc:
        words = f"{path} does not say how it was learned: {MEMBER} is missing or damaged. Learn it again."
        raise LearningError(words, "unreadable", path=path) from exc


def _add_to_bundle(path: Path, to: Listening, label: str | None, show: bool, as_json: bool) -> None:
    """Add a healthy machine to a bundle, or show what was added."""
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.monitor.stages.learned import healthy_label, load, novelty_to_extend, save

    bundle = read_bundle(path)
    novelty = novelty_to_extend(bundle, path)
    if show:
        learned = load(path, bundle, novelty.whitening.shape[0])
    else:
        to.check()
        learned = _listen(bundle, novelty, healthy_label(bundle.manifest.labels, label), to)
        save(learned, path)
    _print(_values(learned), _as_text(learned), as_json)


def _active_bundle() -> Path:
    from drsn_edge.gateway.local_store import open_store
    from drsn_edge.gateway.own_bundle import active_or_own

    return active_or_own(open_store("drsn-edge learn"))


def _listen(bundle: Bundle, novelty: Novelty, label: str, to: Listening) -> Learned:
    """Return what was learned from a machine that is known to be healthy."""
    from drsn_edge.bundle.open_model import classifier_of
    from drsn_edge.cli.stopping import stop_on_signal
    from drsn_edge.monitor.stages.judge import Judge, Model
    from drsn_edge.monitor.stages.learned import learn_from
    from drsn_edge.monitor.stages.learner import Learner
    from drsn_edge.monitor.stages.pipeline import Monitor

    speed_hz = None if to.rpm is None else to.rpm / 60
    learner = Learner(novelty.lines, novelty.mounting)
    watch = Monitor(Judge(Model(bundle.manifest, classifier_of(bundle)), speed_hz=speed_hz, keep=learner.take))
    with stop_on_signal(None if to.replay else to.duration_s) as stopped, counted_windows() as show:
        source = to.open(stopped)
        results = watch.run(source, lambda: source.counters)
        learned = learn_from(to.expecting_samples(results, source), learner, novelty, bundle, label, show)
    return learned


def _print(values: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        print_json("learn", values)
    else:
        print_text(text)


def _values(learned: Learned | None) -> dict[str, Any]:
    if learned is None:
        return {"windows": None, "made_s": None, "quietest_rms": None}
    return {"windows": learned.windows, "made_s": learned.made_s, "quietest_rms": learned.references.quietest_rms}


def _as_text(learned: Learned | None) -> str:
    if learned is None:
        return "nothing learned"
    return f"learned  {learned.windows} windows, {_when(learned.made_s)}"


def _when(time_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_s))
