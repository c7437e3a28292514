"""`drsn-edge classify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from drsn_edge.cli.offline import OfflineChoice, offline_options
from drsn_edge.cli.options import PathType, catalogue_option, json_option, memory_option
from drsn_edge.cli.output import print_json, print_text, say
from drsn_edge.cli.sections import SectionedCommand, section
from drsn_edge.cli.workers import cluster_option, compute_on_one_thread, workers_option
from drsn_edge.support.notice import Notice
from drsn_edge.support.wording import counted


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
@section(
    "Archives of many recordings",
    click.option(
        "--out",
        type=PathType,
        metavar="FILE",
        help="File of results, a line for each file of recordings. If it exists, the command continues where it "
        "stopped.",
    ),
    workers_option("1"),
    cluster_option,
)
def classify(
    files: tuple[Path, ...],
    catalogue: Path | None,
    memory: int,
    judge: OfflineChoice,
    picture: Path | None,
    as_json: bool,
    out: Path | None,
    workers: int | None,
    cluster: str | None,
) -> None:
    """Classify recordings as the monitor would.

    FILES are recordings or folders of recordings, in any format that `train` reads. Folders are searched with their
    sub-folders. Labels are not needed; known labels are shown beside the verdicts.

    \b
    Example:
      drsn-edge classify recordings/ --model machine.drsn --picture verdicts.png
      drsn-edge classify archive/ --model pump.drsn --workers 4 --out all.jsonl
    """
    compute_on_one_thread()
    if picture is not None:
        from drsn_edge.monitor.offline.classify_plot import save_timelines  # before the work: it may be missing
    from drsn_edge.cli.progress import counting_bar
    from drsn_edge.cli.reading import reported
    from drsn_edge.monitor.offline.archive import ArchiveJudge, ResultsFile, classify_archive
    from drsn_edge.recordings.loading.load import files_of

    bundle, model, settings = judge.open()
    archive_judge = ArchiveJudge(bundle, model, judge.runtime, settings, judge.rpm, memory)
    results = None if out is None else ResultsFile(out, archive_judge.digest)
    with reported() as report, counting_bar("classifying") as bar, _kept(out):
        named = files_of(files, catalogue, report)
        done = classify_archive(named, archive_judge, results, report, bar, workers=workers or 1, cluster=cluster)
    if picture is not None:
        found = [each for file in done for each in file.recordings]
        save_timelines(found, model.manifest.labels, model.manifest.contract.window_s, picture)
    values = [each for file in done for each in file.values]
    if as_json:
        print_json("classify", {"recordings": values})
    else:
        print_text(_as_text(values))


@contextmanager
def _kept(out: Path | None) -> Iterator[None]:
    """Say that results are kept where the command stops early, whatever the reason."""
    try:
        yield
    except BaseException:
        if out is not None and out.exists():
            say(Notice(f"Results so far are in {out}. The same command continues from there."))
        raise


def _as_text(found: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of the results of recordings, which are as in `classify --json`."""
    from drsn_edge.monitor.offline.archive import alarm_of
    from drsn_edge.monitor.stages.words import alarm_line
    from firmware_bridge.support.shown import printable

    names, labels = ([printable(each[key] or "") for each in found] for key in ("recording", "label"))
    width = max(map(len, names))
    named = any(each["label"] is not None for each in found)
    expected = max(5, *map(len, labels)) + 2 if named else 0
    lines = [f"{'recording':{width}}  {'label' if named else '':{expected}}windows  verdicts"]
    for each, name, label in zip(found, names, labels, strict=True):
        verdicts = _in_words(Counter(each["verdicts"]))
        lines.append(f"{name:{width}}  {label:{expected}}{each['windows']:7}  {verdicts}")
        for reason, count in Counter(each["no_verdict"]).most_common():
            lines.append(f"{'':{width}}  {'':{expected}}{count:7}  {reason}")
        lines += [f"{'':{width}}  {'':{expected}}{alarm_line(alarm_of(alarm))}" for alarm in each["alarms"]]
    totals = sum((Counter(each["verdicts"]) for each in found), Counter[str]())
    return "\n".join([*lines, f"{counted(totals.total(), 'window')}: {_in_words(totals)}"])


def _in_words(counts: Counter[str]) -> str:
    shares = {state: count / counts.total() for state, count in counts.most_common()}
    return ", ".join(f"{state} {'<0.1%' if share < 5e-4 else f'{share:.1%}'}" for state, share in shares.items())
