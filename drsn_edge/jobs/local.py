"""Jobs in processes of this machine, by joblib's loky."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from joblib.externals.loky import FIRST_COMPLETED, Future, ProcessPoolExecutor, process_executor, wait
from joblib.externals.loky.process_executor import TerminatedWorkerError

from drsn_edge.errors import JobsError
from drsn_edge.jobs.one_thread import one_thread_environment
from drsn_edge.support.fresh_process import isolated_workers

T = TypeVar("T")

MOST_LOSSES = 3
"""Times that a job may lose its worker before all jobs end: it is likely to be the cause."""

MOST_GROWTH = 1_000_000_000
"""Bytes by which the memory of a worker may grow after its first job. A new worker then takes its place, which costs
seconds of imports. The limit of loky, 300 MB, is less than the graphs of two networks of a search take."""

_shared: tuple[Any, ...] = ()
"""In a worker: the arguments that all jobs share."""


def run_here(
    function: Callable[..., T], arguments: Sequence[Any], workers: int, shared: tuple[Any, ...]
) -> Iterator[tuple[int, T]]:
    """Yield results as `run_jobs` does; when a worker is killed, start new workers for the jobs that are left.

    Raises:
        JobsError: If a job lost its worker `MOST_LOSSES` times.
    """
    waiting, losses = deque(range(len(arguments))), Counter[int]()
    # Isolation starts before the pool, whose first queue starts a process that tracks semaphores.
    with one_thread_environment(), isolated_workers(), warnings.catch_warnings():
        # A worker whose memory has grown by `MOST_GROWTH` ends between two jobs, and another one takes its place.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        while waiting:
            running: dict[Future[T], int] = {}
            n = min(workers, len(waiting))
            context = multiprocessing.get_context("spawn")
            stop_seen, stop = context.Pipe(duplex=False)
            pool = ProcessPoolExecutor(n, context=context, initializer=_begin, initargs=(shared, stop_seen))
            try:
                yield from _results(pool, function, arguments, waiting, running, 2 * n)
            except TerminatedWorkerError as exc:
                lost = list(running.values())
                losses.update(lost[:n])  # the others had not begun
                _check(losses, exc)
                waiting.extendleft(reversed(lost))
            finally:
                if running:
                    stop.close()  # ends the workers; loky's own `kill_workers` may fail over a job just submitted
                pool.shutdown()
                stop.close()
                stop_seen.close()


def _results(
    pool: ProcessPoolExecutor,
    function: Callable[..., T],
    arguments: Sequence[Any],
    waiting: deque[int],
    running: dict[Future[T], int],
    most_running: int,
) -> Iterator[tuple[int, T]]:
    """Yield results, moving jobs from `waiting` to `running`, where each stays until its result is here.

    At most `most_running` jobs are with the pool, in order of submission: the oldest are those that workers have begun.
    """
    while waiting or running:
        while waiting and len(running) < most_running:
            with _workers_without_interrupts():
                running[pool.submit(_call, function, arguments[waiting[0]])] = waiting[0]
            waiting.popleft()
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        whole = [each for each in finished if not isinstance(each.exception(), TerminatedWorkerError)]
        for future in whole:
            yield running.pop(future), future.result()
        for future in finished.difference(whole):
            future.result()


@contextmanager
def _workers_without_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C on the terminal does not reach: this process gets it and ends them, without traces.

    A process inherits which signals are blocked. An interrupt of this process waits until all are started: it may reach
    any of its threads, and must not stop the start of a process halfway.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, handler or signal.SIG_DFL)
        if came:
            signal.raise_signal(came[0])


def _check(losses: Counter[int], exc: TerminatedWorkerError) -> None:
    index, times = losses.most_common(1)[0]
    if times >= MOST_LOSSES:
        raise JobsError(
            f"A worker process was killed {times} times in the same job, usually because memory ran out. Results so "
            "far are kept. Repeat the command with fewer --workers to continue.",
            "worker_killed",
            job=index,
            times=times,
        ) from exc


def _begin(shared: tuple[Any, ...], stop: Connection) -> None:
    """Begin a worker: keep what its jobs share, and end it when they are cancelled or the caller's process is killed.

    It would otherwise finish its job, and the result would be lost.

    Args:
        shared: Arguments that all jobs share.
        stop: End of a pipe whose other end is closed when jobs are cancelled.
    """
    global _shared
    _shared = shared
    process_executor._MAX_MEMORY_LEAK_SIZE = MOST_GROWTH

    def watch() -> None:
        multiprocessing.connection.wait([stop])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _call(function: Callable[..., T], argument: Any) -> T:
    return function(argument, *_shared)
