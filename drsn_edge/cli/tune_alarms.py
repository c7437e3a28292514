"""`drsn-edge tune-alarms`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import Duration, PathType, catalogue_option, finite, json_option, runtime_choice
from drsn_edge.cli.output import print_json, print_text
from drsn_edge.support.wording import plain

if TYPE_CHECKING:
    from drsn_edge.bundle.bundle import Bundle
    from drsn_edge.monitor.offline.tune_alarms import Judged, Point
    from drsn_edge.monitor.stages.settings import MonitorSettings
    from drsn_edge.runtime.names import RuntimeChoice


@click.command("tune-alarms")
@click.argument("recordings", type=PathType, nargs=-1, required=True)
@click.option("--model", type=PathType, required=True, help="Bundle to judge with.")
@catalogue_option
@click.option(
    "--normal",
    multiple=True,
    metavar="LABEL",
    help="A class that is no alarm; repeatable.  [default: healthy, normal, good, ok]",
)
@click.option(
    "--false-alarms",
    type=click.FloatRange(min=0),
    callback=finite,
    default=0.1,
    show_default=True,
    metavar="N",
    help="At most so many per day.",
)
@click.option(
    "--announced",
    type=click.FloatRange(min=0, max=1),
    callback=finite,
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="Of the faults that any setting announces, at least so many.",
)
@click.option("--settings", type=PathType, metavar="TOML", help="Take what is not swept from there.")
@click.option(
    "--cut",
    "cut_s",
    type=Duration(1.0),
    help="Cut each recording of a fault into trials of this length.  [default: a recording is one trial]",
)
@click.option("--rpm", type=click.FloatRange(min=0, min_open=True), callback=finite, help="As of `classify`.")
@runtime_choice
@click.option("--no-unknown", is_flag=True, help="As of `monitor`.")
@click.option("--out", type=PathType, metavar="TOML", help="Write the chosen settings there, for `monitor --settings`.")
@click.option(
    "--picture", type=PathType, metavar="PNG", help="Draw false alarms against delays; needs the extra `plots`."
)
@json_option
def tune_alarms(
    recordings: tuple[Path, ...],
    model: Path,
    catalogue: Path | None,
    normal: tuple[str, ...],
    false_alarms: float,
    announced: float,
    settings: Path | None,
    cut_s: float | None,
    rpm: float | None,
    choice: RuntimeChoice,
    no_unknown: bool,
    out: Path | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Choose settings of alarms by recordings: false alarms per day against the time until a fault is announced.

    RECORDINGS are files or folders as for `train`, with their classes: hours of the normal ones, and of each fault what
    there is. Every window is judged as `monitor` does, then the settings are swept.

    \b
    Example:
      drsn-edge tune-alarms recordings/ --model machine.drsn --out monitor.toml --picture tradeoff.png
    """
    if picture is not None:
        from drsn_edge.monitor.offline.tune_alarms_plot import save_tradeoff  # before the work: it may be missing
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.cli.progress import counting_bar
    from drsn_edge.monitor.offline.tune_alarms import choose, grid, sweep
    from drsn_edge.monitor.stages.alarms import AlarmSettings
    from drsn_edge.monitor.stages.settings import settings_for, settings_toml
    from drsn_edge.support.files import write_file

    bundle = read_bundle(model)
    base = settings_for(settings, None, bundle.manifest)
    if normal and base.alarms is not None:
        raise click.UsageError(
            f"--normal changes nothing with --settings {settings}, whose [alarms] name the normal ones."
        )
    alarms = base.alarms or AlarmSettings(_normal_of(normal, bundle))
    found = _judge(recordings, catalogue, bundle, model, base, alarms.normal, rpm, choice, no_unknown)
    with counting_bar("sweeping") as bar:
        points = sweep(found, list(grid(alarms)), bundle.manifest.contract.window_s, cut_s, bar)
    chosen = choose(points, false_alarms, announced)
    if picture is not None:
        save_tradeoff(points, chosen, false_alarms, picture)
    if out is not None:
        from dataclasses import replace

        said = "".join(f"# {line}\n" for line in _in_words(chosen).splitlines())
        write_file(out, (said + settings_toml(replace(base, alarms=chosen.settings))).encode())
    if as_json:
        print_json("tune-alarms", {"chosen": _point_json(chosen), "points": [_point_json(p) for p in points]})
    else:
        print_text(_as_text(points, chosen, false_alarms))


def _normal_of(given: tuple[str, ...], bundle: Bundle) -> tuple[str, ...]:
    from drsn_edge.support.palette import is_healthy

    labels = bundle.manifest.labels
    chosen = given or tuple(label for label in labels if is_healthy(label))
    if not chosen or not set(chosen) <= set(labels):
        got = ", ".join(given) or "none of its own"
        raise click.BadParameter(f"Expected classes among {', '.join(labels)}, got {got}.", param_hint="--normal")
    return chosen


def _judge(
    paths: tuple[Path, ...],
    catalogue: Path | None,
    bundle: Bundle,
    model: Path,
    settings: MonitorSettings,
    normal: tuple[str, ...],
    rpm: float | None,
    choice: RuntimeChoice,
    no_unknown: bool,
) -> list[Judged]:
    """Return what the monitor says of each recording; one path at a time is in memory."""
    from drsn_edge.cli.monitor import say
    from drsn_edge.cli.progress import counting_bar
    from drsn_edge.datasets.labels import check_labelled
    from drsn_edge.errors import RecordingError
    from drsn_edge.monitor.offline.classify import classify
    from drsn_edge.monitor.offline.tune_alarms import judged
    from drsn_edge.monitor.stages.judge import model_of
    from drsn_edge.recordings.loading.load import load_all

    opened, manifest = model_of(bundle, model, choice, say, unknown=not no_unknown), bundle.manifest
    found = []
    with counting_bar("judging") as bar:
        for path in paths:
            loaded = load_all([path], catalogue)
            check_labelled(loaded, RecordingError)
            for number, recording in enumerate(loaded, start=1):
                said = classify(recording, opened, settings, rpm)
                is_normal = recording.label in normal
                found.append(judged(recording.name, is_normal, manifest.labels, manifest.contract.hop_s, said.windows))
                bar(number, len(loaded))
    return found


def _in_words(point: Point) -> str:
    low, high = point.false_alarms.interval()
    trials = len(point.delays_s)
    missed = f", {point.missed} missed" if point.missed else ""
    return (
        f"false alarms  {plain(point.false_alarms.per_day)} per day ({plain(low)} to {plain(high)} at 95 %): "
        f"{point.false_alarms.alarms} in {24 * point.false_alarms.days:.3g} h\n"
        f"faults        announced after {point.median_delay_s:.1f} s, {point.worst_delay_s:.1f} s at worst "
        f"({trials} {'trial' if trials == 1 else 'trials'}{missed})"
    )


def _setting(point: Point) -> str:
    limits = point.settings.limits
    return f"{point.settings.windows:7} {limits.on:6.2f} {limits.on_delay_s:8.1f}"


def _as_text(points: list[Point], chosen: Point, most_per_day: float) -> str:
    from drsn_edge.monitor.offline.tune_alarms import frontier

    lines = ["windows     on  delay s   worst s  median s  missed  false alarms per day (95 %)"]
    for point in frontier(points):
        low, high = point.false_alarms.interval()
        lines.append(
            f"{_setting(point)} {point.worst_delay_s:9.1f} {point.median_delay_s:9.1f} {point.missed:7}  "
            f"{plain(point.false_alarms.per_day)} ({plain(low)} to {plain(high)})"
        )
    of = chosen.settings
    lines.append(f"chosen        {of.windows} windows, on {of.limits.on:.2f}, delay {of.limits.on_delay_s:.1f} s")
    lines.append(_in_words(chosen))
    high = chosen.false_alarms.interval()[1]
    if high > most_per_day:
        lines.append(
            f"{24 * chosen.false_alarms.days:.3g} h of normal recordings cannot prove {most_per_day:g} per day: up to "
            f"{plain(high)} are possible. Record longer to know."
        )
    return "\n".join(lines)


def _point_json(point: Point) -> dict[str, Any]:
    from dataclasses import asdict

    limits = asdict(point.settings.limits)
    return {
        "evidence": point.settings.evidence,
        "windows": point.settings.windows,
        **limits,
        "false_alarms": point.false_alarms.alarms,
        "days": point.false_alarms.days,
        "false_alarms_per_day": point.false_alarms.per_day,
        "false_alarms_per_day_95": point.false_alarms.interval(),
        "trials": len(point.delays_s),
        "missed": point.missed,
        "median_delay_s": point.median_delay_s,
        "worst_delay_s": point.worst_delay_s,
    }
