"""Run jobs on all cores, one line of the results file for each, and go on where an earlier sweep stopped."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from drsn_edge.errors import OutputError, ReproduceError
from drsn_edge.reproduce.jobs import Job, JobResult, result_from_json, result_to_json
from drsn_edge.support.fresh_process import isolated_workers
from firmware_bridge.support.regular_file import MAX_FILE_BYTES, read_regular, read_text_file

RunJob = Callable[[Job, Path], JobResult]

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""A job per core scales; a job on all cores does not, at these sizes."""


def read_results(path: Path) -> list[JobResult]:
    """Return the results in a results file, none where there is no file.

    A last line that is cut off, as a power cut leaves it, does not count.

    Raises:
        ReproduceError: If another line is no result.
    """
    if not path.exists():
        return []
    lines = read_text_file(path, MAX_FILE_BYTES).split("\n")
    results = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            results.append(result_from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError) as exc:
            raise ReproduceError(
                f"Expected a result in line {number} of {path}, got: {exc!r}. Remove that line, or name another file."
            ) from exc
    return results


def pending(jobs: Sequence[Job], done: Sequence[JobResult]) -> list[Job]:
    """Return the jobs that have no result yet, in order."""
    known = {result.job for result in done}
    return [job for job in jobs if job not in known]


def run_sweep(jobs: Sequence[Job], data: Path, results: Path, workers: int, run_job: RunJob) -> Iterator[JobResult]:
    """Run the jobs that `results` lacks; append each result to it and yield it as soon as it is there.

    Args:
        jobs: What to run.
        data: Folder of the data sets' folders.
        results: File of results, made where it is missing.
        workers: Processes; each takes one core.
        run_job: A function at the top of its module, so that a process can import it.

    Raises:
        OutputError: If the results file cannot be written.
        ReproduceError: If the results file is none, or a worker was killed.
    """
    missing = pending(jobs, read_results(results))
    if not missing:
        return
    _drop_cut_line(results)
    environment = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        context = multiprocessing.get_context("spawn")
        n = min(workers, len(missing))
        # Isolated from the pool on: its first queue starts a process that keeps track of semaphores.
        with isolated_workers(), ProcessPoolExecutor(n, context, _end_with_parent) as pool:
            yield from _collect(pool, missing, data, results, run_job)
    finally:
        for name, value in environment.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _end_with_parent() -> None:
    """End this worker when the sweep is killed: it would go on with its job, and nobody would take the result."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            multiprocessing.connection.wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _collect(
    pool: ProcessPoolExecutor, missing: Sequence[Job], data: Path, results: Path, run_job: RunJob
) -> Iterator[JobResult]:
    waiting: set[Future[JobResult]] = {pool.submit(run_job, job, data) for job in missing}
    try:
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                result = _result(future)
                _append(results, result_to_json(result))
                yield result
    finally:
        for future in waiting:
            future.cancel()


def _result(future: Future[JobResult]) -> JobResult:
    try:
        return future.result()
    except BrokenProcessPool as exc:
        raise ReproduceError(
            "Expected each job to end, but a process was killed; memory is the usual reason. The same command goes on, "
            "with fewer --workers if need be."
        ) from exc


def _append(results: Path, values: dict[str, Any]) -> None:
    try:
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise OutputError(f"Could not write {results}: {exc.strerror}. What is in it is kept.") from exc


def _drop_cut_line(results: Path) -> None:
    """Take a last line without its end off the file, so that the next one begins on a line of its own."""
    if not results.exists():
        return
    data = read_regular(results)
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with results.open("r+b") as file:
            file.truncate(whole)
