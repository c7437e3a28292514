"""`drsn-edge classify`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import PathType, catalogue_option, finite, json_option, runtime_choice
from drsn_edge.cli.options import votes as votes_of
from drsn_edge.cli.output import print_json, print_text
from drsn_edge.support.wording import counted

if TYPE_CHECKING:
    from drsn_edge.monitor.offline.classify import Classified
    from drsn_edge.runtime.names import RuntimeChoice


@click.command()
@click.argument("files", type=PathType, nargs=-1, required=True)
@click.option("--model", type=PathType, required=True, help="Bundle to judge with.")
@catalogue_option
@click.option("--settings", type=PathType, metavar="TOML", help="As of `monitor`.")
@click.option("--votes", metavar="K/N", callback=votes_of, help="As of `monitor`.")
@runtime_choice
@click.option(
    "--rpm",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    help="Speed of the shaft, turns per minute.  [default: the recordings' field rpm]",
)
@click.option("--no-unknown", is_flag=True, help="Name the nearest class even of what is unlike anything trained.")
@click.option(
    "--picture", type=PathType, metavar="PNG", help="Draw what the windows say over time; needs the extra `plots`."
)
@json_option
def classify(
    files: tuple[Path, ...],
    model: Path,
    catalogue: Path | None,
    settings: Path | None,
    votes: str | None,
    choice: RuntimeChoice,
    rpm: float | None,
    no_unknown: bool,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Say of recordings what the monitor would have said of the sensor.

    FILES are recordings or folders of them, of any kind that `train` reads. Labels are not needed; where they are
    known, they are shown beside the verdict.

    \b
    Example:
      drsn-edge classify recordings/ --model machine.drsn --picture verdicts.png
    """
    if picture is not None:
        from drsn_edge.monitor.offline.classify_plot import save_timelines  # before the work: it may be missing
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.cli.monitor import say
    from drsn_edge.cli.progress import counting_bar
    from drsn_edge.monitor.offline.classify import classify as classify_recording
    from drsn_edge.monitor.stages.judge import model_of
    from drsn_edge.monitor.stages.settings import settings_for
    from drsn_edge.recordings.loading.load import load_all

    bundle = read_bundle(model)
    chosen = settings_for(settings, votes, bundle.manifest)
    opened = model_of(bundle, model, choice, say, unknown=not no_unknown)
    recordings = load_all(files, catalogue)
    found = []
    with counting_bar("classifying") as bar:
        for number, recording in enumerate(recordings, start=1):
            found.append(classify_recording(recording, opened, chosen, rpm))
            bar(number, len(recordings))
    contract = bundle.manifest.contract
    if picture is not None:
        save_timelines(found, bundle.manifest.labels, contract.window_s, picture)
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
            "windows": len(each.windows),
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
    expected = max(map(len, labels)) + 2 if named else 0
    lines = [f"{'recording':{width}}  {'is' if named else '':{expected}}windows  verdicts"]
    for each, name, label in zip(found, names, labels, strict=True):
        verdicts = _in_words(each.counts)
        lines.append(f"{name:{width}}  {label:{expected}}{len(each.windows):7}  {verdicts}")
        for reason, count in each.reasons.most_common():
            lines.append(f"{'':{width}}  {'':{expected}}{count:7}  {reason}")
        lines += [f"{'':{width}}  {'':{expected}}{alarm_line(alarm)}" for alarm in each.alarms]
    totals = sum((each.counts for each in found), Counter[str]())
    return "\n".join([*lines, f"{counted(totals.total(), 'window')}: {_in_words(totals)}"])


def _in_words(counts: Counter[str]) -> str:
    shares = {state: count / counts.total() for state, count in counts.most_common()}
    return ", ".join(f"{state} {'<0.1%' if share < 5e-4 else f'{share:.1%}'}" for state, share in shares.items())
