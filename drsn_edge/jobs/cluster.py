"""Jobs on a Dask cluster that the user started by `dask scheduler` and `dask worker`."""

from __future__ import annotations

import asyncio
import logging
import os
import pkgutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from queue import Empty, Queue
from typing import Any, TypeVar

from distributed import Client, Future, Security, get_worker
from distributed.scheduler import KilledWorker

from drsn_edge.errors import JobsError
from drsn_edge.jobs.addresses import check_address
from drsn_edge.jobs.one_thread import ONE_THREAD
from drsn_edge.jobs.own_random import own_random
from drsn_edge.jobs.versions import versions

T = TypeVar("T")

_CONNECT_S = 20
_WORKERS_S = 60
"""Time for which a cluster may be without workers: Dask starts one that was killed again, and people start others."""
_POLL_S = 2
_MOST_ROUNDS = 3
"""Times in succession that all workers may be lost before any job ends."""
_KEPT = "Results so far are kept: repeat the command to continue"


def run_on_cluster(
    function: Callable[..., T], arguments: Sequence[Any], address: str, shared: tuple[Any, ...]
) -> Iterator[tuple[int, T]]:
    """Yield results as `run_jobs` does.

    Dask itself runs the job of a lost worker again, `distributed.scheduler.allowed-failures` times. What the jobs share
    is lost with the last worker that holds it; it is then sent again, with the jobs that are left.

    Raises:
        JobsError: If the cluster cannot be reached, has no workers, went away, or has workers that are not alike.
    """
    left, rounds = dict(enumerate(arguments)), 0
    with _quiet(), _connected(address) as client:
        while left:
            try:
                for index, result in _results(client, function, left, address, shared):
                    del left[index]
                    rounds = 0
                    yield index, result
            except CancelledError as exc:
                rounds += 1
                if client.status != "running":
                    raise _gone(address) from exc
                if rounds == _MOST_ROUNDS:
                    raise _killed(address, rounds) from exc


def _results(
    client: Client, function: Callable[..., T], left: Mapping[int, Any], address: str, shared: tuple[Any, ...]
) -> Iterator[tuple[int, T]]:
    """Yield results until all jobs are done.

    Raises:
        CancelledError: If the scheduler went away, or no worker is left that holds what the jobs share.
    """
    _wait_for_workers(client, address)
    sent = client.scatter(list(shared), broadcast=True, hash=False) if shared else []
    ended: Queue[Future] = Queue()
    running = {
        client.submit(_call, versions(), function, argument, *sent, pure=False): index
        for index, argument in left.items()
    }
    try:
        for future in running:
            future.add_done_callback(ended.put)
        while running:
            future = _next(client, ended, address)
            result = _result(future, address)
            yield running.pop(future), result
    finally:
        if client.status == "running":
            client.cancel(list(running))


def _next(client: Client, ended: Queue[Future], address: str) -> Future:
    """Return the next job that ended, while the cluster has workers."""
    since = time.monotonic()
    while True:
        try:
            return ended.get(timeout=_POLL_S)
        except Empty:
            if client.status != "running":
                raise _gone(address) from None
            if client.scheduler_info()["workers"]:
                since = time.monotonic()
            elif time.monotonic() - since > _WORKERS_S:
                raise _without_workers(address) from None


def _result(future: Future, address: str) -> Any:
    try:
        return future.result()
    except KilledWorker as exc:
        raise _killed(address, exc.allowed_failures + 1) from exc
    except ModuleNotFoundError as exc:
        raise _lacks(address, exc) from exc


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    check_address(address)
    security = _security(address)
    try:
        client = Client(address, timeout=_CONNECT_S, security=security, set_as_default=False, name="drsn-edge")
    except (OSError, asyncio.TimeoutError) as exc:
        raise JobsError(
            f"The cluster at {address} cannot be reached: {exc}. Start its scheduler with `dask scheduler`, or correct "
            "the address.",
            "cluster_unreachable",
            address=address,
            reason=str(exc),
        ) from exc
    with client:
        yield client


def _security(address: str) -> Security:
    """Return the certificates of Dask's own configuration; a client that fails over them takes long to end."""
    security = Security()
    try:
        has_certificates = security.get_connection_args("client")["ssl_context"] is not None
    except OSError as exc:  # a file is missing, or holds something else (SSLError)
        reason = str(exc)
    else:
        reason = "" if has_certificates else "Dask's configuration names none"
    if reason and address.startswith("tls:"):
        raise JobsError(
            f"The certificates for {address} cannot be used: {reason}. Set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
            "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY to their files.",
            "no_certificates",
            address=address,
            reason=reason,
        )
    return security


def _wait_for_workers(client: Client, address: str) -> None:
    """Wait for a worker, and check that the present ones have this room; a worker that cannot read a job ends."""
    try:
        client.wait_for_workers(1, timeout=_WORKERS_S)
    except (TimeoutError, asyncio.TimeoutError) as exc:
        raise _without_workers(address) from exc
    found = client.run(pkgutil.resolve_name, f"{__name__}:run_on_cluster", on_error="return")
    for worker, answer in found.items():
        if isinstance(answer, ImportError):
            raise _lacks(worker, answer) from answer


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's log off the terminal: what matters is raised."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _gone(address: str) -> JobsError:
    words = f"The scheduler of the cluster at {address} went away. {_KEPT} once it is back, or without --cluster."
    return JobsError(words, "cluster_gone", address=address)


def _without_workers(address: str) -> JobsError:
    words = f"The cluster at {address} has no workers. Start some with `dask worker {address} --nthreads 1`. {_KEPT}."
    return JobsError(words, "no_workers", address=address)


def _lacks(where: str, exc: ImportError) -> JobsError:
    words = (
        f"A Dask worker at {where} lacks the module {exc.name}. Install drsn-edge there with the same extras as here."
    )
    return JobsError(words, "worker_lacks_module", where=where, module=exc.name)


def _killed(address: str, times: int) -> JobsError:
    words = (
        f"Workers of the cluster at {address} were killed {times} times in the same job, usually because memory ran "
        f"out. Give each worker more memory (`dask worker --memory-limit`). {_KEPT}."
    )
    return JobsError(words, "worker_killed", address=address, times=times)


def _call(here: Mapping[str, str], function: Callable[..., T], argument: Any, *shared: Any) -> T:
    """Run a job on a worker, if it runs jobs one by one and with the same versions."""
    worker = get_worker()
    if worker.state.nthreads != 1:
        raise JobsError(
            f"Worker {worker.address} runs {worker.state.nthreads} jobs at once in one process. Start each worker with "
            "`dask worker --nthreads 1`, and as many as there are cores (--nworkers).",
            "worker_of_many_threads",
            worker=worker.address,
            threads=worker.state.nthreads,
        )
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise JobsError(
            f"Worker {worker.address} computes matrices on several threads. Start it without --no-nanny and without "
            "OMP_NUM_THREADS: Dask then sets OMP_NUM_THREADS=1 for it.",
            "worker_of_many_threads",
            worker=worker.address,
            threads=os.environ.get("OMP_NUM_THREADS"),
        )
    for package, there in versions().items():
        if there != here[package]:
            raise JobsError(
                f"Worker {worker.address} has {package} {there}, and this machine has {here[package]}. Install the "
                "same version on both: results would differ.",
                "worker_differs",
                worker=worker.address,
                package=package,
                expected=here[package],
                got=there,
            )
    for name, value in ONE_THREAD.items():  # TensorFlow reads them when it is loaded; Dask has set NumPy's before
        os.environ.setdefault(name, value)
    with own_random():
        return function(argument, *shared)
