"""Measure processor time, memory and delays of the whole monitor with one fast sensor.

    python benchmarks/monitor_cost.py --model adi.drsn [--seconds 30]

One process writes the stream of an IIS3DWB to a pseudo-terminal in real time. `drsn-edge monitor` runs as another
process with alarms, history, lines of JSON and severity, and prints every window. The bundle keeps its network, but its
contract gets the sensor's rate and windows that overlap by half: the verdicts do not matter here.

`beyond_window_ms`: time from the last byte of a window's last block on the wire to the line with its verdict.
`first_decision_s`: time from the start of the process to the first decision, without the length of its windows.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import stream_latency
from decode import BLOCK, RATE_HZ
from machine import machine

from drsn_edge.bundle.bundle import read_bundle, write_bundle

VOTES = 4
BARS = {"core_share": 0.05, "beyond_window_ms_p99": 20.0, "resident_mb": 120.0, "first_decision_s": 1.0}


def used_s(pid: int) -> float:
    """Return the processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Return the peak memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1]
    return int(status.split()[0]) * 1024 / 1e6


def bundle_for(model: Path, rate_hz: float, folder: Path) -> tuple[Path, int, str]:
    """Write the bundle for the sensor; return it with its window and a label."""
    bundle = read_bundle(model)
    contract = bundle.manifest.contract
    contract = replace(
        contract, sample_rate_hz=float(rate_hz), hop=contract.window // 2, unit="g", axes=("x", "y", "z")
    )
    write_bundle(replace(bundle, manifest=replace(bundle.manifest, contract=contract)), folder / "fast.drsn")
    return folder / "fast.drsn", contract.window, bundle.manifest.labels[0]


def watch(process: subprocess.Popen[str], seconds: float) -> tuple[list[tuple[float, dict[str, Any]]], float, float]:
    """Return the lines with their times, the share of a core after the first second, and the memory."""
    assert process.stdout is not None
    lines: list[tuple[float, dict[str, Any]]] = []
    began = used = 0.0
    share = memory = 0.0
    for text in process.stdout:
        now = time.monotonic()
        lines.append((now, json.loads(text)))
        if not began and len(lines) > 50:
            began, used = now, used_s(process.pid)
        if began and now - began > 0.8 * seconds - 2 and not share:
            share = (used_s(process.pid) - used) / (now - began)
            memory = resident_mb(process.pid)
    return lines, share, memory


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    stream_latency.SECONDS = given.seconds  # type: ignore[attr-defined]
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    player = context.Process(target=stream_latency.play, args=(there, given.seconds), daemon=True)
    player.start()
    path = here.recv()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, window, label = bundle_for(given.model, RATE_HZ, folder)
        (folder / "monitor.toml").write_text(f"[alarms]\nnormal = [{json.dumps(label)}]\n[capture]\nfolder = 'c'\n")
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "drsn_edge.cli.main", "monitor", "--port", path, "--model", str(model), "--json",
             "--settings", "monitor.toml", "--history", "history.sqlite", "--lines", "lines.jsonl", "--severity",
             "--duration", str(given.seconds + 4)],
            stdout=subprocess.PIPE, text=True, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        lines, share, memory = watch(process, given.seconds)
        process.wait()
    out, late_s = here.recv() if here.poll(5) else ([], 0.0)
    here.send("done")
    delays = [
        1e3 * (came - out[(line["first_sample"] + window - 1) // BLOCK])
        for came, line in lines
        if line["type"] == "window" and (line["first_sample"] + window - 1) // BLOCK < len(out)
    ]
    first = next((came for came, line in lines if line["type"] == "decision"), None)
    needed_s = (window + (VOTES - 1) * window // 2) / RATE_HZ
    summary = lines[-1][1]
    report = {
        "command": "benchmarks/monitor_cost.py",
        "machine": machine(),
        "windows": summary["windows"],
        "verdicts": summary["verdicts"],
        "samples_lost": summary["samples_lost"],
        "core_share": round(share, 4),
        "beyond_window_ms_median": round(float(np.median(delays)), 2),
        "beyond_window_ms_p99": round(float(np.percentile(delays, 99)), 2),
        "resident_mb": round(memory, 1),
        "first_decision_s": None if first is None else round(first - began - needed_s, 3),
        "sender_late_s": round(late_s, 4),
        "bars": BARS,
    }
    print(json.dumps(report, indent=1))
    if given.results:
        given.results.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
