"""Run the jobs of a sweep, write one line of the results file for each, and continue an interrupted sweep."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from drsn_edge.errors import ReproduceError
from drsn_edge.jobs.run import run_jobs
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.reproduce.jobs import Job, JobResult, result_from_json, result_to_json
from drsn_edge.support.results_file import append_line, drop_cut_line, read_lines

D = TypeVar("D")


def read_results(path: Path) -> list[JobResult]:
    """Return the results in a results file; none if the file does not exist.

    A last line that is cut off, for example by a power cut, is ignored.

    Raises:
        ReproduceError: If any other line is not a result.
    """

    def refuse(number: int, exc: Exception) -> ReproduceError:
        words = f"Line {number} of {path} is not a result: {exc!r}. Remove that line, or name another file."
        return ReproduceError(words, "not_a_result", path=path, line=number)

    return read_lines(path, result_from_json, refuse)


def pending(jobs: Sequence[Job], done: Sequence[JobResult]) -> list[Job]:
    """Return the jobs without a result, in order."""
    known = {result.job for result in done}
    return [job for job in jobs if job not in known]


def recordings_of(jobs: Sequence[Job], folder: Path) -> Mapping[str, tuple[Recording, ...]]:
    """Return the recordings of the data sets that jobs need, by the name of the data set's folder.

    Raises:
        RecordingError: If a data set is not there or cannot be read.
    """
    return {name: tuple(load_recordings(folder / name)) for name in sorted({job.data for job in jobs})}


def run_sweep(
    jobs: Sequence[Job],
    data: D,
    results: Path,
    run_job: Callable[[Job, D], JobResult],
    *,
    workers: int,
    cluster: str | None = None,
) -> Iterator[JobResult]:
    """Run jobs; append each result to `results` and yield it as soon as it is complete.

    Args:
        jobs: Jobs that `results` lacks.
        data: Second argument of `run_job`, which each worker gets once.
        results: Results file, created if it does not exist.
        run_job: Function at the top level of its module, so that a process can import it.
        workers: Number of processes; each uses one core.
        cluster: Address of a Dask scheduler; None: this machine.

    Raises:
        OutputError: If the results file cannot be written.
        JobsError: If a job lost its worker too often, or the cluster cannot be used or went away.
        DrsnEdgeError: Whatever a job raised.
    """
    drop_cut_line(results)
    for _, result in run_jobs(run_job, jobs, workers=workers, cluster=cluster, shared=(data,)):
        append_line(results, json.dumps(result_to_json(result), sort_keys=True))
        yield result
