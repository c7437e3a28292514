"""Run jobs on all cores, write one line of the results file for each, and continue an interrupted sweep."""

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
"""One job per core: at these sizes, a job on all cores is hardly faster."""


def read_results(path: Path) -> list[JobResult]:
    """Return the results in a results file; none if the file does not exist.

    A last line that is cut off, for example by a power cut, is ignored.

    Raises:
        ReproduceError: If any other line is not a result.
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
                f"Line {number} of {path} is not a result: {exc!r}. Remove that line, or name another file.",
                "not_a_result",
                path=path,
                line=number,
            ) from exc
    return results


def pending(jobs: Sequence[Job], done: Sequence[JobResult]) -> list[Job]:
    """Return the jobs without a result, in order."""
    known = {result.job for result in done}
    return [job for job in jobs if job not in known]


def run_sweep(jobs: Sequence[Job], data: Path, results: Path, workers: int, run_job: RunJob) -> Iterator[JobResult]:
    """Run the jobs that `results` lacks; append each result to it and yield it as soon as it is complete.

    Args:
        jobs: All jobs of the sweep.
        data: Folder that holds the folders of the data sets.
        results: Results file, created if it does not exist.
        workers: Number of processes; each uses one core.
        run_job: Function at the top level of its module, so that a process can import it.

    Raises:
        OutputError: If the results file cannot be written.
        ReproduceError: If the results file is damaged, or a worker was killed.
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
        # Isolation starts before the pool, whose first queue starts a process that tracks semaphores.
        with isolated_workers(), ProcessPoolExecutor(n, context, _end_with_parent) as pool:
            yield from _collect(pool, missing, data, results, run_job)
    finally:
        for name, value in environment.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _end_with_parent() -> None:
    """End this worker when the sweep is killed; it would otherwise finish its job, and the result would be lost."""
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
            "A worker process was killed, usually because memory ran out. Repeat the command to continue the sweep, "
            "with fewer --workers if it happens again.",
            "worker_killed",
        ) from exc


def _append(results: Path, values: dict[str, Any]) -> None:
    try:
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise OutputError(
            f"Could not write {results}: {exc.strerror}. Its earlier results are kept.",
            "cannot_write",
            path=results,
            reason=exc.strerror,
        ) from exc


def _drop_cut_line(results: Path) -> None:
    """Remove an incomplete last line from the file, so that the next result starts on a new line."""
    if not results.exists():
        return
    data = read_regular(results)
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with results.open("r+b") as file:
            file.truncate(whole)
