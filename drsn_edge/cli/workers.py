"""Options for jobs on several cores or machines, which several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from drsn_edge.cli.output import say
from drsn_edge.errors import JobsError
from drsn_edge.jobs.addresses import check_address, is_readable_on_the_way


def workers_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds --workers to a command.

    Args:
        default: What the help calls the default.
    """
    return click.option(
        "--workers",
        type=click.IntRange(1, 1024),
        metavar="N",
        help=f"Number of processes, each on one core.  [default: {default}]",
    )


def _cluster(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        check_address(value)
    except JobsError as exc:
        raise click.BadParameter(str(exc), ctx, param) from exc
    if is_readable_on_the_way(value):
        say(
            f"What travels to {value} and back is not encrypted, and whoever reaches that port can run programs on the "
            "workers. Use a network of your own, or tls://."
        )
    return value


cluster_option = click.option(
    "--cluster",
    metavar="URL",
    callback=_cluster,
    help="Dask scheduler that runs the jobs instead of this machine, such as `tcp://127.0.0.1:8786`.",
)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compute_on_one_thread() -> None:
    """Keep NumPy's matrix products on one thread, unless the user has set a number of threads.

    OpenBLAS starts a thread for each core when NumPy is imported. The products here are too small to gain from them,
    their last bit depends on the number of threads, and each thread takes memory and wakes up.
    """
    if "numpy" not in sys.modules:  # otherwise it is too late, and only child processes would see the setting
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # OPENBLAS_NUM_THREADS and MKL_NUM_THREADS overrule it
