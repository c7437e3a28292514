"""`drsn-edge classify`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.offline import OfflineChoice, offline_options
from drsn_edge.cli.options import PathType, catalogue_option, json_option, memory_option
from drsn_edge.cli.output import print_json, print_text
from drsn_edge.cli.sections import SectionedCommand, section
from drsn_edge.support.wording import counted

if TYPE_CHECKING:
    from drsn_edge.monitor.offline.classify import Classified


@click.command(cls=SectionedCommand)
@click.argument("files", type=PathType, nargs=-1, required=True)
@section(
    "Model and decision",
    offline_options(
        settings_help="TOML file of settings for decisions and alarms, as for `monitor`.  [default: the votes of "
        "the bundle, no alarms]",
        votes=True,
    ),
)
@section(
    "Recordings and result",
    catalogue_option,
    memory_option,
    click.option(
        "--picture",
        type=PathType,
        metavar="FILE",
        help="Draw the verdicts over time into this PNG file. Needs the extra `plots`.",
    ),
    json_option,
)
def classify(
    files: tuple[Path, ...],
    catalogue: Path | None,
    memory: int,
    judge: OfflineChoice,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Classify recordings as the monitor would.

    FILES are recordings or folders of recordings, in any format that `train` reads. Folders are searched with their
    sub-folders. Labels are not needed; known labels are shown beside the verdicts.

    \b
    Example:
      drsn-edge classify recordings/ --model machine.drsn --picture verdicts.png
    """
    if picture is not None:
        from drsn_edge.monitor.offline.classify_plot import save_timelines  # before the work: it may be missing
    from drsn_edge.cli.progress import counting_bar
    from drsn_edge.cli.reading import reported
    from drsn_edge.monitor.offline.classify import classify as classify_recording
    from drsn_edge.recordings.loading.load import open_recordings

    model, settings = judge.open()
    with reported() as report, counting_bar("classifying") as bar:
        recordings = open_recordings(files, catalogue, memory, bar, report)
        found = [classify_recording(each, model, settings, judge.rpm) for each in recordings]
    if picture is not None:
        save_timelines(found, model.manifest.labels, model.manifest.contract.window_s, picture)
    if as_json:
        print_json("classify", {"recordings": _values(found)})
    else:
        print_text(_as_text(found))


def _values(found: list[Classified]) -> list[dict[str, Any]]:
    from drsn_edge.monitor.stages.results import to_json

    return [
        {
            "recording": each.recording,
            "label": each.label,
            "duration_s": each.duration_s,
            "windows": len(each.states),
            "verdicts": each.counts,
            "no_verdict": each.reasons,
            "decisions": [to_json(decision) for decision in each.decisions],
            "alarms": [to_json(alarm) for alarm in each.alarms],
        }
        for each in found
    ]


def _as_text(found: list[Classified]) -> str:
    from drsn_edge.monitor.stages.words import alarm_line
    from firmware_bridge.support.shown import printable

    names, labels = [printable(each.recording) for each in found], [printable(each.label or "") for each in found]
    width = max(map(len, names))
    named = any(each.label is not None for each in found)
    expected = max(5, *map(len, labels)) + 2 if named else 0
    lines = [f"{'recording':{width}}  {'label' if named else '':{expected}}windows  verdicts"]
    for each, name, label in zip(found, names, labels, strict=True):
        verdicts = _in_words(each.counts)
        lines.append(f"{name:{width}}  {label:{expected}}{len(each.states):7}  {verdicts}")
        for reason, count in each.reasons.most_common():
            lines.append(f"{'':{width}}  {'':{expected}}{count:7}  {reason}")
        lines += [f"{'':{width}}  {'':{expected}}{alarm_line(alarm)}" for alarm in each.alarms]
    totals = sum((each.counts for each in found), Counter[str]())
    return "\n".join([*lines, f"{counted(totals.total(), 'window')}: {_in_words(totals)}"])


def _in_words(counts: Counter[str]) -> str:
    shares = {state: count / counts.total() for state, count in counts.most_common()}
    return ", ".join(f"{state} {'<0.1%' if share < 5e-4 else f'{share:.1%}'}" for state, share in shares.items())
