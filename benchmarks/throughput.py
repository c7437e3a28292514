"""Measure how many recordings a second `classify` does by workers, and compare what each way says.

    python benchmarks/throughput.py --model machine.drsn [--recordings 1000] [--results docs/results/throughput.json]

Recordings of 2 s of a simulated machine at the bundle's rate and axes are written once. Each way classifies them in a
fresh command, with `--out`: one process, `--workers` 2, 4, ... to the number of cores, a Dask cluster of two workers on
this machine, and the same with one worker killed after a third of the recordings. The start of the cluster is not
measured. Times are medians over rounds, each of which takes every way once. The exit code is 0 only if all ways print
the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import signal
import statistics
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

from drsn_edge.bundle.bundle import read_bundle
from drsn_edge.simulation.virtual_sensor import simulated_recording

CONDITIONS = ("healthy", "imbalance", "misalignment", "outer_race", "inner_race", "ball")
SECONDS = 2.0


class Way(NamedTuple):
    """A way to classify.

    Attributes:
        name: What the table calls it.
        workers: Number of workers.
        options: Options of the command.
        seconds: How long the command took.
        printed: SHA-256 of what it printed.
    """

    name: str
    workers: int
    options: tuple[str, ...]
    seconds: float = 0.0
    printed: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--recordings", type=int, default=1000)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_recordings(folder / "archive", arguments.recordings, arguments.model)
        rounds = [one_round(folder, arguments.model, arguments.recordings) for _ in range(arguments.rounds)]
    ways = []
    for same in zip(*rounds, strict=True):
        seconds = statistics.median(each.seconds for each in same)
        values = {"name": same[0].name, "workers": same[0].workers, "seconds": seconds}
        ways.append({**values, "recordings_per_s": round(arguments.recordings / seconds, 1)})
        print(f"{same[0].name:30} {seconds:8.1f} s {ways[-1]['recordings_per_s']:8} recordings/s")
    report = {
        "machine": machine(),
        "recordings": arguments.recordings,
        "seconds_each": SECONDS,
        "rounds": arguments.rounds,
        "ways": ways,
        "same": len({each.printed for found in rounds for each in found}) == 1,
    }
    if arguments.results:
        arguments.results.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if report["same"] else 1


def one_round(folder: Path, model: Path, recordings: int) -> list[Way]:
    return [*(run(way, folder, model) for way in ways_here()), *on_a_cluster(folder, model, recordings)]


def write_recordings(folder: Path, number: int, model: Path) -> None:
    contract = read_bundle(model).manifest.contract
    folder.mkdir()
    for index in range(number):
        condition = CONDITIONS[index % len(CONDITIONS)]
        made = simulated_recording(condition, 1480, SECONDS, index)
        n = len(contract.axes)
        samples = np.resize(made.samples.T, (n, made.samples.shape[0])).astype(np.float32)
        stated: dict[str, Any] = {"fs": contract.sample_rate_hz, "unit": contract.unit, "axes": list(contract.axes)}
        np.savez(folder / f"r{index:04}.npz", x=samples, **stated)


def ways_here() -> list[Way]:
    cores = len(os.sched_getaffinity(0))
    numbers = [n for n in (2, 4, 8, 16, 32) if n <= cores]
    return [Way("one process", 1, ()), *(Way(f"--workers {n}", n, ("--workers", str(n))) for n in numbers)]


def run(way: Way, folder: Path, model: Path, while_running: Callable[[Path], None] | None = None) -> Way:
    """Return a way with its time and what it printed."""
    out = folder / "out.jsonl"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "drsn_edge.cli.main", "classify", str(folder / "archive"), "--model", str(model)]
    began = time.monotonic()
    if while_running is not None:
        threading.Thread(target=while_running, args=(out,), daemon=True).start()
    done = subprocess.run(
        [*command, "--json", "--out", str(out), *way.options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.monotonic() - began
    return way._replace(seconds=round(seconds, 2), printed=hashlib.sha256(done.stdout).hexdigest())


def on_a_cluster(folder: Path, model: Path, number: int) -> list[Way]:
    from distributed import LocalCluster

    quiet = logging.CRITICAL  # the worker that is killed
    with LocalCluster(2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1", silence_logs=quiet) as cluster:
        whole = Way("a Dask cluster", 2, ("--cluster", cluster.scheduler_address))
        pids: list[Any] = list(cluster.get_client().run(os.getpid).values())

        def kill_one(out: Path) -> None:
            while not out.exists() or out.read_bytes().count(b"\n") < number // 3:
                time.sleep(0.05)
            os.kill(pids[0], signal.SIGKILL)

        found = [run(whole, folder, model)]
        found.append(run(whole._replace(name="the same, one worker killed"), folder, model, kill_one))
    return found


if __name__ == "__main__":
    sys.exit(main())
