"""Count the instructions of learning a healthy machine on emulated Raspberry Pis.

    python benchmarks/pi_learning.py --results docs/results/pi_learning.json

`drsn_edge.monitor.healthy_machine`, which `drsn-edge learn --out` uses, listens to made-up vibration of three axes,
with and without the geometry of a bearing. Counted are the instructions of a second of listening, between two times of
the same run, and those of the end, which turns what was heard into a bundle. QEMU's user emulation counts the
instructions of the process, not cycles, and not the kernel's. Peak memory is that of the same program on this machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from emulated_pi import REPOSITORY, EmulatedPi
from json_rows import json_rows
from machine import machine

CPUS = {"cortex-a53": "Pi Zero 2 W", "cortex-a72": "Pi 4"}
RATES_HZ = (26_667.0, 6_667.0)
WARM_S, COUNTED_S = 32, 6
"""Time before the first count, with which there is enough to learn from, and between the two counts, in seconds."""

GUEST = """
import os, resource, sys
import numpy as np
from drsn_edge.bundle.healthy import HealthyOptions
from drsn_edge.monitor.healthy_machine import HealthyMachine, Turning
from drsn_edge.signal.bearing import SKF_6205
from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.messages import Hello

rate, named, warm, counted = float(sys.argv[1]), sys.argv[2] == "named", int(sys.argv[3]), int(sys.argv[4])
turning = Turning(SKF_6205, 29.5) if named else None
teacher = HealthyMachine(HealthyOptions("pump", "1.0.0"), turning=turning)
teacher.take(Hello(1, "pump", "1", "test", ("x", "y", "z"), "g", 2**-12, 8.0, rate))
rng, n, first = np.random.default_rng(0), round(rate / 5), 0
noises = (rng.normal(scale=400, size=(n, 3)) for _ in range(5 * (warm + counted)))
line = 1200 * np.sin(2 * np.pi * 6 * np.arange(n) / n)[:, None]
pieces = [(line + each + 0.8 * np.roll(each, 1, axis=0)).astype(np.int16) for each in noises]

def listen(seconds):
    global first
    for _ in range(5 * seconds):
        teacher.take(SampleBlock(first, first / rate, pieces[first // n], 0))
        first += n

listen(warm)
os.getppid()
listen(counted)
os.getppid()
teacher.taught()
os.getppid()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
"""
"""Listens, and asks for the count before and after the counted time, and at the end."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="file to write")
    arguments = parser.parse_args()
    pi, rows = EmulatedPi(), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as name:
        guest = Path(name) / "guest.py"
        guest.write_text(GUEST)
        for rate_hz in RATES_HZ:
            for named in (False, True):
                for cpu, board in CPUS.items():
                    rows.append(counted(pi, guest, cpu, board, rate_hz, named))
                    print(rows[-1], flush=True)
    arguments.results.write_text(json_rows({"machine": machine(), "rows": rows}))


def counted(pi: EmulatedPi, guest: Path, cpu: str, board: str, rate_hz: float, named: bool) -> dict[str, Any]:
    words = [str(guest), str(rate_hz), "named" if named else "plain", str(WARM_S), str(COUNTED_S)]
    alone = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    _, log = pi.counted(cpu, words, (REPOSITORY,), environment=alone)
    (before, _), (after, _), (ended, _) = log[-3:]
    here = subprocess.run([sys.executable, *words], check=True, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    return {
        "board": board,
        "cpu": cpu,
        "rate_hz": rate_hz,
        "with_bearing": named,
        "per_second": round((after - before) / COUNTED_S),
        "at_the_end": ended - after,
        "peak_mb_here": round(float(here.stdout), 1),
    }


if __name__ == "__main__":
    main()
