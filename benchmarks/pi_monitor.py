"""Count the instructions of the whole monitor for a second of stream on emulated Raspberry Pis, stage by stage.

    python benchmarks/pi_monitor.py --model adi.drsn --results docs/results/pi_monitor.json

benchmarks/monitor_stages.py runs on Debian's Python with the wheels of NumPy and LiteRT for aarch64, under QEMU's user
emulation, which counts the instructions between the stages. Beside that, a whole monitor runs in slow motion on an
emulated Pi 4 (benchmarks/pi_running.py), for what the stages lack. The load of the machine has no influence on the
stages' counts. Counts are instructions of the process, not cycles; what the kernel does is not counted, but its calls
are.

With --version and --checkout, another version of drsn-edge is measured, and kept beside the others in the results.
The exit code is 0 only if the present version's estimates meet their limits.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from emulated_pi import CPUS, REPOSITORY, EmulatedPi, counted
from monitor_stages import BY_STAGE, OUTSIDE, OVER, STAGES, WHOLE, Setting, prepare, scaled
from pi_running import running

HERE = Path(__file__).parent
X86 = "x86-64"
X86_GETPPID = 110
RATES_HZ = (26_667.0, 6_667.0)
NOW = "now"
RUNS_ON = "cortex-a72"

PACES = {
    "cortex-a53": ("Pi Zero 2 W", 1.0e9, 0.6),
    "cortex-a72": ("Pi 4", 1.5e9, 1.0),
    "cortex-a76": ("Pi 5", 2.4e9, 1.0),
}
"""The Pi with each processor, its cycles per second, and the instructions per cycle that are assumed of it."""

KERNEL_PER_CALL = 3000
"""Instructions that a system call is assumed to cost in the kernel, with its share of interrupts and switching."""

BARS = {("cortex-a72", 26_667.0): 0.20, ("cortex-a53", 6_667.0): 0.25}
"""Highest estimated share of a core, by processor and rate."""

GUEST = """
import json, sys
from pathlib import Path
from monitor_stages import Setting, marked
print(json.dumps(marked(Setting(Path(sys.argv[1]), *map(float, sys.argv[2:])))))
"""
"""Runs the stages, and prints which stage each line of the plugin's log ends."""


def main() -> int:
    given = parse_arguments()
    pi = EmulatedPi("litert")
    rows: list[dict[str, Any]] = []
    whole: list[dict[str, Any]] = []
    for cpu in given.cpu or (*CPUS, X86):
        with ThreadPoolExecutor(given.jobs) as pool:  # one processor at a time: they share the file that describes it
            counting = pool.map(partial(count, pi, given, cpu), given.rate or RATES_HZ)
            if cpu == RUNS_ON and not given.stages_only:
                whole = run_whole(pi, given)
            rows += counting
    report = {"slice_s": given.slice, "rows": rows, "running": whole}
    known = json.loads(given.results.read_text()) if given.results and given.results.exists() else {}
    known[given.version] = {**report, "estimates": estimates(report)}
    if given.results:
        given.results.write_text(json.dumps(known, indent=1) + "\n")
    print(as_text(known[given.version]))
    return 0 if all(each["share"] <= each["bar"] for each in known[given.version]["estimates"] if each["bar"]) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="bundle of three axes")
    parser.add_argument("--cpu", action="append", choices=(*CPUS, X86), help="one of them, not all; repeatable")
    parser.add_argument("--rate", action="append", type=float, help="samples per second; repeatable")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each stretch (default 2)")
    parser.add_argument("--slice", type=float, default=0.2, help="length of a slice in seconds (default 0.2)")
    parser.add_argument("--stages-only", action="store_true", help="run no whole monitor")
    parser.add_argument("--checkout", type=Path, default=REPOSITORY, help="folder of the version to measure")
    parser.add_argument("--version", default=NOW, help=f"its name in the results (default {NOW})")
    parser.add_argument("--jobs", type=int, default=2, help="emulators at once (default 2)")
    parser.add_argument("--results", type=Path, help="file of results, where this version's are replaced")
    return parser.parse_args()


def run_whole(pi: EmulatedPi, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return what a whole monitor takes per second: with a silent sensor, and at each rate that it keeps up with."""
    rates_hz = sorted(given.rate or RATES_HZ)
    cases = [(rates_hz[0], True), *((rate_hz, False) for rate_hz in rates_hz)]

    def one(case: tuple[float, bool]) -> dict[str, Any]:
        rate_hz, silent = case
        counts = running(pi, given.model, given.checkout.resolve(), RUNS_ON, rate_hz, silent=silent)
        return {"rate_hz": 0.0 if silent else rate_hz, **counts}

    with ThreadPoolExecutor(len(cases)) as pool:  # they sleep most of the time
        return [*pool.map(one, cases)]


def count(pi: EmulatedPi, given: argparse.Namespace, cpu: str, rate_hz: float) -> dict[str, Any]:
    """Return the instructions and the system calls per second of stream, by stage."""
    print(f"{cpu}, {rate_hz:g} Hz", file=sys.stderr)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(given.model, Setting(folder, rate_hz, given.seconds, given.slice))
        guest = folder / "guest.py"
        guest.write_text(GUEST)
        arguments = [str(guest), name, str(rate_hz), str(given.seconds), str(given.slice)]
        threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        extra = (given.checkout.resolve(), HERE)
        if cpu == X86:
            path = os.pathsep.join(map(str, extra))
            command = ["qemu-x86_64", "-cpu", "max", sys.executable, *arguments]
            printed, log = counted(command, pi.plugin, X86_GETPPID, environment={"PYTHONPATH": path, **threads})
        else:
            printed, log = pi.counted(cpu, arguments, extra, environment=threads)
    return {"cpu": cpu, "rate_hz": rate_hz, **by_stage(json.loads(printed), log)}


def by_stage(marked: dict[str, Any], log: list[tuple[int, int]]) -> dict[str, Any]:
    """Return what each stage takes per second of stream.

    Args:
        marked: See `monitor_stages.marked`.
        log: Instructions and system calls so far at each of its marks.
    """
    if len(log) != len(marked["left"]):
        raise SystemExit(f"The emulator logged {len(log)} counts for {len(marked['left'])} marks.")
    found: list[dict[str, dict[str, float]]] = []
    for what in (0, 1):
        counts = [each[what] for each in log]
        stretches = {}
        for name, end in ((WHOLE, BY_STAGE), (BY_STAGE, OVER)):
            (began_s, first), (ended_s, last) = marked["at"][name], marked["at"][end]
            sums: Counter[str] = Counter()
            for number in range(first, last):
                sums[STAGES[marked["left"][number]]] += counts[number] - counts[number - 1]
            stretches[name] = {stage: taken / (ended_s - began_s) for stage, taken in sums.items()}
        found.append(stretches)
    instructions, calls = found
    report = scaled(instructions[WHOLE], instructions[BY_STAGE])
    return {
        "instructions": {stage: round(taken) for stage, taken in report["stages"].items()},
        "total": round(report["total"]),
        "noting": round(report["noting"], 4),
        "calls": {stage: round(taken, 1) for stage, taken in calls[WHOLE].items()},
        "verdicts": marked["verdicts"],
    }


def estimates(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the estimated share of a core by processor and rate.

    The estimate has the stages, the rest of a running monitor, and the kernel. A rate at which the emulated monitor
    could not keep up gets the rest of the highest rate at which it could.
    """
    rest = rests(report)
    found = []
    for row in report["rows"]:
        if row["cpu"] not in PACES:
            continue
        name, cycles_per_s, per_cycle = PACES[row["cpu"]]
        known = [each for rate_hz, each in sorted(rest.items()) if rate_hz <= row["rate_hz"]]
        more, calls = known[-1] if known else (0.0, 0.0)
        kernel = KERNEL_PER_CALL * (calls + sum(taken for stage, taken in row["calls"].items() if stage != OUTSIDE))
        total = row["total"] + more + kernel
        share = total / (cycles_per_s * per_cycle)
        found.append({
            "pi": name, "cpu": row["cpu"], "rate_hz": row["rate_hz"], "stages": row["total"], "rest": round(more),
            "kernel": round(kernel), "share": round(share, 4), "bar": BARS.get((row["cpu"], row["rate_hz"])),
        })  # fmt: skip
    return found


def rests(report: dict[str, Any]) -> dict[float, tuple[float, float]]:
    """Return by rate the instructions and calls of a running monitor beyond those of its stages, where it kept up."""
    alone = {row["rate_hz"]: row for row in report["rows"] if row["cpu"] == RUNS_ON}
    found = {}
    for each in report["running"]:
        row = alone.get(each["rate_hz"])
        if row is not None and each["kept_up"]:
            calls = sum(taken for stage, taken in row["calls"].items() if stage != OUTSIDE)
            found[each["rate_hz"]] = (each["instructions"] - row["total"], each["calls"] - calls)
    return found


def as_text(report: dict[str, Any]) -> str:
    lines = []
    for row in report["rows"]:
        lines.append(f"{row['cpu']} {row['rate_hz']:g} Hz: {row['total'] / 1e6:.1f} M/s; noting {row['noting']:+.1%}")
        lines += [f"  {stage:14}{taken / 1e6:8.2f}" for stage, taken in row["instructions"].items()]
        lines.append(f"  calls {row['calls']}, windows {row['verdicts']}")
    lines += [f"running: {each}" for each in report["running"]]
    lines += [f"{each}" for each in report["estimates"]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
