"""`drsn-edge reproduce`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drsn_edge.cli.options import PathType, json_option
from drsn_edge.cli.output import note, print_text, print_values
from drsn_edge.cli.progress import counting_bar
from drsn_edge.reproduce.names import SUITES

if TYPE_CHECKING:
    from drsn_edge.reproduce.jobs import JobResult


@click.command()
@click.argument("suite", type=click.Choice(SUITES))
@click.option("--data", type=PathType, required=True, help="Folder with the data sets' folders: adi_mfs_mems, cwru.")
@click.option(
    "--results", type=PathType, required=True, help="File of results; the sweep goes on where it stopped, if it exists."
)
@click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="Trainings of each network.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes, one core each.  [default: all cores]")
@click.option("--only", metavar="TEXT", default="", help="Jobs of this protocol or model, e.g. adi_load.")
@click.option("--write", type=PathType, help="Write the tables there too, as Markdown.")
@json_option
def reproduce(
    suite: str,
    data: Path,
    results: Path,
    seeds: int,
    workers: int | None,
    only: str,
    write: Path | None,
    as_json: bool,
) -> None:
    """Run the trainings behind the figures of docs/ACCURACY.md, and print their tables.

    SUITE paper compares shrinkage with the same network without it, under noise; splits leaves out whole speeds, loads
    and bearings. Each result is written as soon as it is there; the same command goes on after a stop. The tables are
    those of all results in the file.

    \b
    Example:
      drsn-edge reproduce splits --data recordings/ --results results.jsonl
    """
    from drsn_edge.reproduce.jobs import result_to_json
    from drsn_edge.reproduce.protocols import suite_jobs
    from drsn_edge.reproduce.run_job import run_job
    from drsn_edge.reproduce.sweep import pending, read_results, run_sweep
    from drsn_edge.reproduce.tables import as_markdown, write_markdown

    jobs = [job for job in suite_jobs(suite, seeds) if only in ("", job.protocol, job.model)]
    if not jobs:
        raise click.BadParameter(f"no job of {suite} has {only!r} in its protocol or model.", param_hint="--only")
    missing = len(pending(jobs, read_results(results)))
    with counting_bar(f"{missing} of {len(jobs)} jobs to run") as bar:
        for done, result in enumerate(run_sweep(jobs, data, results, workers or _cores(), run_job), start=1):
            bar(done, missing)
            note(_line(result))
    found = read_results(results)
    if write:
        write_markdown(found, write)
    if as_json:
        print_values([result_to_json(result) for result in found])
    else:
        print_text(as_markdown(found))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _line(result: JobResult) -> str:
    job = result.job
    scores = ", ".join(f"{score.condition} {score.accuracy:.3f}" for score in result.scores)
    return f"{job.protocol} {job.model} {job.hold_out} seed {job.seed}: {scores} ({result.seconds:.0f} s)"
