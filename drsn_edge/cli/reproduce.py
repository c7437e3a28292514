"""`drsn-edge reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from drsn_edge.cli.options import PathType, json_option
from drsn_edge.cli.output import note, print_text, print_values
from drsn_edge.cli.progress import counting_bar
from drsn_edge.cli.workers import cluster_option, cores, workers_option
from drsn_edge.reproduce.names import SUITES

if TYPE_CHECKING:
    from drsn_edge.reproduce.jobs import JobResult


@click.command()
@click.argument("suite", type=click.Choice(SUITES))
@click.option(
    "--data",
    type=PathType,
    required=True,
    metavar="FOLDER",
    help="Folder that holds the folders of the data sets, adi_mfs_mems and cwru.",
)
@click.option(
    "--results",
    type=PathType,
    required=True,
    metavar="FILE",
    help="File of results. If it exists, the command continues where it stopped.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    metavar="N",
    help="Number of trainings of each network, each with its own seed.",
)
@workers_option("all cores")
@cluster_option
@click.option("--only", metavar="NAME", default="", help="Protocol or model to run, such as adi_load.  [default: all]")
@click.option("--write", type=PathType, metavar="FILE", help="Markdown file for the tables.  [default: print only]")
@json_option
def reproduce(
    suite: str,
    data: Path,
    results: Path,
    seeds: int,
    workers: int | None,
    cluster: str | None,
    only: str,
    write: Path | None,
    as_json: bool,
) -> None:
    """Repeat the trainings behind the accuracy tables.

    `paper` compares networks with and without shrinkage under noise. `splits` holds out whole speeds, loads and
    bearings. Each result is written as soon as its training ends, and the same command continues after a stop. The
    printed tables cover all results in the file.

    \b
    Example:
      drsn-edge reproduce splits --data recordings/ --results results.jsonl
    """
    from drsn_edge.reproduce.jobs import result_to_json
    from drsn_edge.reproduce.protocols import suite_jobs
    from drsn_edge.reproduce.run_job import run_job
    from drsn_edge.reproduce.sweep import pending, read_results, recordings_of, run_sweep
    from drsn_edge.reproduce.tables import as_markdown, write_markdown

    jobs = [job for job in suite_jobs(suite, seeds) if only in ("", job.protocol, job.model)]
    if not jobs:
        known = ", ".join(sorted({name for job in suite_jobs(suite, seeds) for name in (job.protocol, job.model)}))
        raise click.BadParameter(
            f"{only!r} is neither a protocol nor a model of {suite}. Type one of {known}.", param_hint="--only"
        )
    missing = pending(jobs, read_results(results))
    recordings = recordings_of(missing, data)
    with counting_bar(f"{len(missing)} of {len(jobs)} jobs to run") as bar:
        ran = run_sweep(missing, recordings, results, run_job, workers=workers or cores(), cluster=cluster)
        for done, result in enumerate(ran, start=1):
            bar(done, len(missing))
            note(_line(result))
    found = read_results(results)
    if write:
        write_markdown(found, write)
    if as_json:
        print_values([result_to_json(result) for result in found])
    else:
        print_text(as_markdown(found))


def _line(result: JobResult) -> str:
    job = result.job
    scores = ", ".join(f"{score.condition} {score.accuracy:.3f}" for score in result.scores)
    return f"{job.protocol} {job.model} {job.hold_out} seed {job.seed}: {scores} ({result.seconds:.0f} s)"
