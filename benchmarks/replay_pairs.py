"""Compare the replay of a log by an earlier commit and by this one, and the lines of a live run and of its replay.

    git worktree add ../before COMMIT
    python benchmarks/replay_pairs.py --model cwru.drsn --data cwru/ --before ../before \
      --results docs/results/replay_pairs.json

A virtual accelerometer repeats recordings, with an occasional fault of the link, into a log of a quarter of an hour, as
fast as it is read. Both versions of `drsn-edge monitor` replay the log as fast as they can, with alarms, history, lines
and severity. Each is a process of its own; times include its start. The earlier one gets OMP_NUM_THREADS=1, which this
one chooses for itself.

`before`: lines of this commit's replay against those of the earlier commit's; numbers may differ by 1e-5.
`live`: lines of a sensor of 26.7 kHz that was judged in real time and recorded, against those of the replay of its log;
they must agree in all but `time` and `time_s`.

The exit code is 0 only if the lines agree and the replay takes at most half as long as before.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from day import SETTINGS, played
from decode import RATE_HZ
from machine import machine
from monitor_pairs import commit_of
from monitored import ONE_THREAD, ROOT, fitted, plain_environment
from wire_players import playing, wire_of

from drsn_edge.bundle.bundle import read_bundle
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.simulation.virtual_sensor import full_scale_for
from firmware_bridge.virtual.accelerometer import VirtualAccelerometer
from firmware_bridge.virtual.fault_script import parse_script
from firmware_bridge.virtual.faults import FaultInjector
from firmware_bridge.wire.messages import Hello

BARS = {"ratio": 0.5, "lines_that_differ": 0}
TIMES = ("time", "time_s")
TOLERANCE = 1e-5
STEPS = {"novelty": 1e-4}
"""Step of the last printed digit by field, where it is not 1e-6."""
_SHOWN = 3


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file and of the older ones that it was rotated to, the oldest first, without their times."""
    older = sorted(path.parent.glob(f"{path.name}.*"), key=lambda each: -int(each.suffix[1:]))
    for each in (*older, path):
        with each.open() as file:
            for text in file:
                line = json.loads(text)
                yield {name: value for name, value in line.items() if name not in TIMES}


def is_same(first: Any, second: Any, tolerance: float, name: str = "") -> bool:
    """Tell whether two values of JSON agree, numbers with a tolerance relative to 1 or to themselves.

    With a tolerance, printed numbers may also differ by one step of their last digit.
    """
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(is_same(first[key], second[key], tolerance, key) for key in first)
    if tolerance and isinstance(first, float) and isinstance(second, float):
        step = STEPS.get(name, 1e-6)
        return math.isclose(first, second, rel_tol=tolerance, abs_tol=tolerance + 1.01 * step)
    return bool(first == second)


def compared(first: Path, second: Path, tolerance: float = 0.0) -> dict[str, Any]:
    """Return how many lines two files hold and how many differ, with the first of them."""
    n_lines, differ = 0, 0
    shown: list[Any] = []
    for a, b in zip_longest(lines_of(first), lines_of(second)):
        n_lines += 1
        if not is_same(a, b, tolerance):
            differ += 1
            shown += [[a, b]] if len(shown) < _SHOWN else []
    return {"lines": n_lines, "lines_that_differ": differ, "first_of_them": shown}


def run(checkout: Path, folder: Path, name: str, options: Sequence[str | Path]) -> dict[str, float]:
    """Run a monitor to its end; return its time and its processor time in seconds."""
    # Each has a folder for captures of its own, since their names hold a number that is free there.
    (folder / f"{name}.toml").write_text(SETTINGS.replace('"captures"', f'"{name}"'))
    outputs = ["--lines", f"{name}.jsonl", "--history", f"{name}.sqlite"]
    command = ["monitor", "--plain", "--machine", "day", "--severity", "--settings", f"{name}.toml", *outputs, *options]
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    drsn_edge(checkout, folder, name, command)
    took_s, after = time.monotonic() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"took_s": round(took_s, 1), "processor_s": round(used_s, 1)}


def drsn_edge(checkout: Path, folder: Path, name: str, command: Sequence[str | Path]) -> None:
    """Run a command in a folder, and keep what it prints in NAME.out."""
    environment = plain_environment(checkout, folder)
    if checkout != ROOT:
        environment |= ONE_THREAD
    with (folder / f"{name}.out").open("w") as out:
        subprocess.run(
            [sys.executable, "-m", "drsn_edge.cli.main", *command],
            check=True, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip


def record_recordings(data: Path, hours: float, folder: Path) -> None:
    """Record a virtual accelerometer that repeats recordings, into folder/log."""
    recordings = load_recordings(data)[::4]
    first = recordings[0]
    full_scale = max(full_scale_for(each.samples) for each in recordings)
    hello = Hello(
        0, "day", "1", "virtual", first.axes, first.unit, full_scale / 32768, full_scale, first.sample_rate_hz
    )
    faults = FaultInjector(parse_script(["drop-frame 1e-5", "repeat-frame 1e-5"]), 0)
    sensor = VirtualAccelerometer(
        hello, played(recordings, hours), link=folder / "port", speed=None, faults=faults, block_samples=500
    )
    thread = threading.Thread(target=sensor.run, daemon=True)
    thread.start()
    drsn_edge(ROOT, folder, "record", ["record", "--port", sensor.port, "--out", "log"])
    thread.join()


def live_and_replayed(model: Path, seconds: float, folder: Path) -> dict[str, Any]:
    """Judge and record a fast sensor in real time, replay the log, and compare the lines."""
    axes = len(read_bundle(model).manifest.contract.axes)
    bundle = fitted(model, RATE_HZ, folder, axes)
    with playing(wire_of(seconds, RATE_HZ, axes)) as players:
        live = ["--port", players.ports[0], "--record", "live-log", "--duration", f"{seconds:g}"]
        run(ROOT, folder, "live", ["--model", bundle.path, *live])
    run(ROOT, folder, "replayed", ["--model", bundle.path, "--replay", "live-log"])
    return compared(folder / "live.jsonl", folder / "replayed.jsonl")


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--before", type=Path, required=True, metavar="FOLDER", help="checkout of the earlier commit")
    parser.add_argument("--hours", type=float, default=0.25, help="length of the log")
    parser.add_argument("--live-seconds", type=float, default=20.0, help="length of the live run")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    model, took = given.model.resolve(), {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record_recordings(given.data, given.hours, folder)
        for partner, checkout in (("before", given.before), ("now", ROOT)):
            took[partner] = run(checkout, folder, partner, ["--model", model, "--replay", "log"])
        before_lines = compared(folder / "before.jsonl", folder / "now.jsonl", TOLERANCE)
        log_mb = sum(each.stat().st_size for each in (folder / "log").iterdir()) / 1e6
        live_lines = live_and_replayed(model, given.live_seconds, folder)
    ratio = took["now"]["took_s"] / took["before"]["took_s"]
    report = {
        "command": f"benchmarks/replay_pairs.py --hours {given.hours:g}",
        "machine": machine(),
        "commits": {"before": commit_of(given.before), "now": commit_of(ROOT)},
        "hours": given.hours,
        "log_mb": round(log_mb, 1),
        "took": took,
        "ratio": round(ratio, 3),
        "lines": {"before": before_lines, "live": live_lines},
        "bars": BARS,
    }
    text = json.dumps(report, indent=1)
    print(text)
    if given.results:
        given.results.write_text(text + "\n")
    differ = live_lines["lines_that_differ"] + before_lines["lines_that_differ"]
    return 0 if ratio <= BARS["ratio"] and not differ else 1


if __name__ == "__main__":
    sys.exit(main())
