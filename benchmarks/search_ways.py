"""Measure how long a search takes by workers, and compare what each way finds.

    python benchmarks/search_ways.py --data recordings/cwru --hold-out load_hp=3 --results docs/results/search_ways.json

Each way is a fresh `drsn-edge search`: one process, two processes, a Dask cluster of two workers on this machine, and
the same with one worker killed after half of the files that a whole search leaves. The start of the cluster is not
measured. Each way runs once. The exit code is 0 only if all ways find the same to the digit: the choice, its expected
accuracy, the table of all candidates, and the logits of the choice's inner folds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machine import machine


class Way(NamedTuple):
    """A way to search.

    Attributes:
        name: What the table calls it.
        workers: Number of workers.
        options: Options of the command.
    """

    name: str
    workers: int
    options: tuple[str, ...]


class Searched(NamedTuple):
    """What a way came to: its duration in seconds, a hash of what it found, and the files of its jobs."""

    way: Way
    seconds: float
    found: str
    jobs: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hold-out", required=True)
    parser.add_argument("--label-field")
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    command = ["--data", str(arguments.data), "--hold-out", arguments.hold_out]
    if arguments.label_field:
        command += ["--label-field", arguments.label_field]
    with tempfile.TemporaryDirectory() as name:
        ways = searched_by_all(command, Path(name))
    report = {
        "machine": machine(),
        "data": arguments.data.name,
        "hold_out": arguments.hold_out,
        "ways": [{"name": each.way.name, "workers": each.way.workers, "seconds": each.seconds} for each in ways],
        "same": len({each.found for each in ways}) == 1,
    }
    print("all ways found the same" if report["same"] else "the ways found different things")
    if arguments.results:
        arguments.results.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if report["same"] else 1


def searched_by_all(command: list[str], folder: Path) -> list[Searched]:
    """Search in every way, one after another."""
    from distributed import LocalCluster

    one, two = (Way(words, n, ("--workers", str(n))) for words, n in (("one process", 1), ("two processes", 2)))
    found = [run(way, command, folder / f"{way.workers}") for way in (one, two)]
    quiet = logging.CRITICAL  # the worker that is killed
    with LocalCluster(2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1", silence_logs=quiet) as cluster:
        whole = Way("a Dask cluster of two workers", 2, ("--cluster", cluster.scheduler_address))
        found.append(run(whole, command, folder / "cluster"))
        pids: list[Any] = list(cluster.get_client().run(os.getpid).values())

        def kill_one(work: Path) -> None:
            while jobs_in(work) < found[0].jobs // 2:
                time.sleep(0.05)
            os.kill(pids[0], signal.SIGKILL)

        found.append(run(whole._replace(name="the same, one worker killed"), command, folder / "killed", kill_one))
    return found


def run(way: Way, command: list[str], out: Path, while_running: Callable[[Path], None] | None = None) -> Searched:
    """Search in one way."""
    work, most = out.with_name(out.name + ".search"), [0]
    stopped = threading.Event()

    def count() -> None:
        while not stopped.wait(0.5):
            most[0] = max(most[0], jobs_in(work))

    threading.Thread(target=count, daemon=True).start()
    if while_running is not None:
        threading.Thread(target=while_running, args=(work,), daemon=True).start()
    began = time.monotonic()
    program = [sys.executable, "-m", "drsn_edge.cli.main", "search", *command, "--out", str(out), *way.options]
    subprocess.run(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    seconds = round(time.monotonic() - began, 1)
    stopped.set()
    print(f"{way.name:30} {seconds:8.1f} s  {most[0]} files of jobs", flush=True)
    return Searched(way, seconds, digest(out), most[0])


def jobs_in(work: Path) -> int:
    """Return the number of jobs whose result is in the work folder of a search."""
    return len(list(work.glob("*.npz")))


def digest(out: Path) -> str:
    """Return a hash of what a search found, without its duration."""
    result = json.loads((out / "search.json").read_text(encoding="utf-8"))
    result.pop("seconds")
    total = hashlib.sha256(json.dumps(result, sort_keys=True).encode())
    with np.load(out / "inner_folds.npz") as folds:
        for name in sorted(folds.files):
            total.update(name.encode() + folds[name].tobytes())
    return total.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
