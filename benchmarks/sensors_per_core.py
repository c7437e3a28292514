"""Measure how many sensors of 12.8 kHz and 3 axes one core can monitor, by the processor time of one monitor.

    python benchmarks/sensors_per_core.py --model adi.drsn --results docs/results/sensors_per_core.json

Each sensor is a `drsn-edge simulate` of its own, at the pace of its rate, through a pseudo-terminal; one `drsn-edge
monitor` reads them all, with windows that overlap by half, and writes every window as a line of JSON to a file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from monitor_cost import bundle_for, resident_mb, used_s

RATE_HZ = 12_800
COMMAND = [sys.executable, "-m", "drsn_edge.cli.main"]


def measure(model: Path, recording: Path, sensors: int, seconds: int, folder: Path) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ports = [folder / f"sensor{number}" for number in range(sensors)]
    playing = [
        subprocess.Popen(
            [*COMMAND, "simulate", "--recording", str(recording), "--link", str(port), "--loop"],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for port in ports
    ]  # fmt: skip
    try:
        while not all(port.exists() for port in ports):
            time.sleep(0.05)
        options = [option for port in ports for option in ("--port", str(port))]
        with (folder / "lines").open("w") as lines:
            monitor = subprocess.Popen(
                [*COMMAND, "monitor", *options, "--model", str(model), "--json"], env=environment, stdout=lines
            )
            time.sleep(6)
            before, began = used_s(monitor.pid), time.monotonic()
            time.sleep(seconds)
            share = (used_s(monitor.pid) - before) / (time.monotonic() - began)
            memory = resident_mb(monitor.pid)
            monitor.terminate()
            monitor.wait()
    finally:
        for process in playing:
            process.terminate()
            process.wait()
    found = [json.loads(line) for line in (folder / "lines").read_text().splitlines()]
    summaries = [line for line in found if line["type"] == "summary"]
    return {
        "sensors": sensors,
        "core_share": round(share, 4),
        "core_share_each": round(share / sensors, 4),
        "resident_mb": round(memory, 1),
        "samples_lost": sum(line["samples_lost"] for line in summaries),
        "windows_skipped": sum(line["windows_skipped"] for line in summaries),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--sensors", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--results", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, *_ = bundle_for(given.model, RATE_HZ, folder)
        noise = np.random.default_rng(0).normal(size=(3, 5 * RATE_HZ))
        noise += np.sin(0.3 * np.arange(5 * RATE_HZ))  # noise alone would not be judged
        np.savez(
            folder / "noise.npz", x=noise.astype(np.float32), fs=RATE_HZ, axes=["x", "y", "z"], unit="g", label="noise"
        )
        found = [measure(model, folder / "noise.npz", n, given.seconds, folder) for n in given.sensors]
    report = {"command": "benchmarks/sensors_per_core.py", "machine": machine(), "rate_hz": RATE_HZ, "found": found}
    given.results.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
