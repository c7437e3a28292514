"""`drsn-edge tune-alarms`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.offline import OfflineChoice, offline_options
from drsn_edge.cli.options import Duration, PathType, Percent, catalogue_option, finite, json_option, renamed
from drsn_edge.cli.output import print_json, print_text
from drsn_edge.cli.reading import reported
from drsn_edge.cli.sections import SectionedCommand, section
from drsn_edge.support.wording import plain

if TYPE_CHECKING:
    from drsn_edge.monitor.offline.tune_alarms import Judged, Point, Tuning
    from drsn_edge.monitor.stages.alarms import AlarmSettings
    from drsn_edge.monitor.stages.settings import MonitorSettings
    from drsn_edge.recordings.recording import Recording


@click.command("tune-alarms", cls=SectionedCommand)
@click.argument("recordings", type=PathType, nargs=-1, required=True)
@section(
    "Model",
    offline_options(
        settings_help="TOML file of settings, as for `monitor`. The settings that are not tuned are kept.  [default: "
        "the bundle's votes]",
        votes=False,
    ),
)
@section(
    "Recordings and alarms",
    catalogue_option,
    click.option(
        "--normal",
        multiple=True,
        metavar="LABEL",
        help="Class that is not an alarm. Repeatable.  [default: healthy, normal, good, ok]",
    ),
    click.option(
        "--false-alarms",
        type=click.FloatRange(min=0),
        callback=finite,
        default=0.1,
        show_default=True,
        metavar="N",
        help="Largest number of false alarms per day that the chosen settings may cause.",
    ),
    click.option(
        "--announced",
        type=Percent(),
        default="100%",
        show_default=True,
        metavar="PERCENT",
        help="Share of faults that the chosen settings must announce, in percent of the faults that at least one "
        "setting announces.",
    ),
    click.option(
        "--cut",
        "cut_s",
        type=Duration(1.0),
        help="Cut each recording of a fault into trials of this length, in seconds or with a unit.  [default: one "
        "trial per recording]",
    ),
    renamed("--trial", "--cut"),
)
@section(
    "Result",
    click.option(
        "--out",
        type=PathType,
        metavar="FILE",
        help="TOML file for the chosen settings, for `monitor --settings`.  [default: print only]",
    ),
    click.option(
        "--picture",
        type=PathType,
        metavar="FILE",
        help="Draw false alarms against delays into this PNG file. Needs the extra `plots`.",
    ),
    json_option,
)
def tune_alarms(
    recordings: tuple[Path, ...],
    catalogue: Path | None,
    judge: OfflineChoice,
    normal: tuple[str, ...],
    false_alarms: float,
    announced: float,
    cut_s: float | None,
    out: Path | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Choose alarm settings from recordings.

    The command weighs false alarms per day against the delay until a fault is announced. RECORDINGS are files or
    folders with labels, as for `train`: hours of normal operation, and any length of each fault. The command judges all
    windows as `monitor` does, then tries all combinations of alarm settings.

    \b
    Example:
      drsn-edge tune-alarms recordings/ --model pump.drsn --out monitor.toml
    """
    if picture is not None:
        from drsn_edge.monitor.offline.tune_alarms_plot import save_tradeoff  # before the work: it may be missing
    from drsn_edge.cli.progress import counting_bar
    from drsn_edge.monitor.offline.tune_alarms import Goal, judged, tune

    _, model, base = judge.open()
    alarms = _alarms_of(base, normal, model.manifest.labels, judge.settings)
    found = _judge(recordings, catalogue, lambda each: judged(each, model, base, alarms.normal, judge.rpm))
    with counting_bar("sweeping") as bar:
        goal = Goal(false_alarms, announced, cut_s)
        tuning = tune(found, alarms, model.manifest.contract.window_s, goal, bar)
    if picture is not None:
        save_tradeoff(tuning, picture)
    if out is not None:
        _write_settings(out, base, tuning.chosen)
    if as_json:
        print_json("tune-alarms", _values(tuning))
    else:
        print_text(_as_text(tuning))


def _alarms_of(
    base: MonitorSettings, normal: tuple[str, ...], labels: tuple[str, ...], settings: Path | None
) -> AlarmSettings:
    """Return the alarm settings to start from: those of the settings file, or defaults for the normal classes."""
    from drsn_edge.monitor.stages.alarms import AlarmSettings
    from drsn_edge.support.palette import is_healthy

    if base.alarms is not None:
        if normal:
            raise click.UsageError(
                f"--normal changes nothing: [alarms] in {settings} names the normal classes. Leave --normal out."
            )
        return base.alarms
    chosen = normal or tuple(label for label in labels if is_healthy(label))
    if not chosen or not set(chosen) <= set(labels):
        unknown = ", ".join(label for label in chosen if label not in labels)
        why = (
            f"{unknown}: no class of the bundle."
            if unknown
            else "No class of the bundle has a name of a healthy machine."
        )
        raise click.BadParameter(f"{why} Type --normal with one or more of {', '.join(labels)}.", param_hint="--normal")
    return AlarmSettings(chosen)


def _judge(paths: tuple[Path, ...], catalogue: Path | None, judge: Callable[[Recording], Judged]) -> list[Judged]:
    """Return the monitor's judgement of each recording, with one path at a time in memory."""
    from drsn_edge.cli.progress import counting_bar
    from drsn_edge.datasets.labels import check_labelled
    from drsn_edge.errors import RecordingError
    from drsn_edge.recordings.loading.load import load_all

    found = []
    with reported() as report, counting_bar("judging") as bar:
        for path in paths:
            loaded = load_all([path], catalogue, report)
            check_labelled(loaded, RecordingError)
            for number, recording in enumerate(loaded, start=1):
                found.append(judge(recording))
                bar(number, len(loaded))
    return found


def _write_settings(path: Path, base: MonitorSettings, chosen: Point) -> None:
    """Write the chosen settings for `monitor --settings`, with their measured figures as comments."""
    from dataclasses import replace

    from drsn_edge.monitor.stages.settings import settings_toml
    from drsn_edge.support.files import write_file

    said = "".join(f"# {line}\n" for line in _in_words(chosen).splitlines())
    write_file(path, (said + settings_toml(replace(base, alarms=chosen.settings))).encode())


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


def _as_text(tuning: Tuning) -> str:
    from drsn_edge.monitor.offline.tune_alarms import frontier

    chosen, most_per_day = tuning.chosen, tuning.goal.most_per_day

    lines = ["windows     on  delay s   worst s  median s  missed  false alarms per day (95 %)"]
    for point in frontier(tuning.points):
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
            f"{24 * chosen.false_alarms.days:.3g} h of normal recordings cannot prove {most_per_day:g} false alarms "
            f"per day: up to {plain(high)} are possible. Record longer to prove it."
        )
    return "\n".join(lines)


def _values(tuning: Tuning) -> dict[str, Any]:
    return {"chosen": _point_json(tuning.chosen), "points": [_point_json(each) for each in tuning.points]}


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
