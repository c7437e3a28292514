"""Run a function once for each of many arguments, in processes of this machine or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def run_jobs(
    function: Callable[..., T],
    arguments: Sequence[Any],
    *,
    workers: int,
    cluster: str | None = None,
    shared: tuple[Any, ...] = (),
) -> Iterator[tuple[int, T]]:
    """Yield the index and the result of `function(argument, *shared)` for each argument, in order of completion.

    Each job runs alone in its process and on one thread, so that results do not depend on the number of processes. A
    job whose worker was killed runs again, at most twice. When the iterator is closed or a job fails, the other jobs
    are cancelled; what was yielded before is not repeated or taken back.

    Args:
        function: Function at the top level of a module that the workers can import.
        arguments: First argument of each job; picklable, small.
        workers: Number of processes on this machine; without meaning for a cluster.
        cluster: Address of a Dask scheduler, such as tcp://10.0.0.5:8786 or tls://10.0.0.5:8786; None: this machine.
        shared: Further arguments, the same for all jobs; picklable. Each worker gets them once.

    Raises:
        ModuleNotFoundError: If joblib (extra `train`) or distributed (extra `cluster`) is not installed.
        JobsError: If a job lost its worker three times, or the cluster cannot be used or went away.
        DrsnEdgeError: Whatever a job raised.
    """
    if not arguments:
        return iter(())
    if cluster is None:
        from drsn_edge.jobs.local import run_here

        return run_here(function, arguments, workers, shared)
    from drsn_edge.jobs.cluster import run_on_cluster

    return run_on_cluster(function, arguments, cluster, shared)
