"""Run 24 hours of machine time through the whole monitor, as fast as possible, and watch memory and open files.

    drsn-edge train --data cwru/ --hold-out load_hp=3 --inputs waveform --out run
    drsn-edge convert run --out cwru.drsn
    python benchmarks/day.py --model cwru.drsn --data cwru/ --hours 24 --results docs/results/day.json

A virtual accelerometer repeats recordings through a pseudo-terminal, with an occasional fault of the link. A station
with reader thread, alarms, history, lines and severity reads it. Resident memory and descriptors are recorded every ten
minutes of machine time; the slope is that of the second half.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from drsn_edge.monitor.assembly import Plan, assembled
from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.sink_table import Opener
from drsn_edge.monitor.sinks.history import HistorySink
from drsn_edge.monitor.stages.results import Result, Summary, WindowResult
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.simulation.virtual_sensor import full_scale_for
from drsn_edge.support.files import write_file
from firmware_bridge.virtual.accelerometer import VirtualAccelerometer
from firmware_bridge.virtual.fault_script import parse_script
from firmware_bridge.virtual.faults import FaultInjector
from firmware_bridge.wire.messages import Hello

EVERY_S = 600.0
SETTINGS = """
[alarms]
normal = ["normal"]
on_delay_s = 0.0

[capture]
folder = "captures"
keep = 20
"""


class Meter:
    """A sink that records memory and descriptors over machine time."""

    def __init__(self) -> None:
        """Begin."""
        self.points: list[tuple[float, int, int]] = []
        self.summary: Summary | None = None
        self.windows = 0

    def take(self, result: Result) -> None:
        """Take in one result."""
        if isinstance(result, Summary):
            self.summary = result
        if isinstance(result, WindowResult):
            self.windows += 1
            if not self.points or result.device_time_s >= self.points[-1][0] + EVERY_S:
                self.points.append((result.device_time_s, resident_bytes(), len(os.listdir("/proc/self/fd"))))

    def close(self) -> None:
        """Nothing waits."""


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def played(recordings: list[Recording], hours: float) -> Iterator[np.ndarray]:
    """Yield the samples of recordings, one after the other, for a given time."""
    left = round(hours * 3600 * recordings[0].sample_rate_hz)
    while left > 0:
        for each in recordings:
            centred = each.samples - each.samples.mean(axis=0)
            for start in range(0, len(centred), 12_000):
                chunk = centred[start : start + min(12_000, left)]
                left -= len(chunk)
                if len(chunk):
                    yield chunk


def main() -> None:
    """Run the day and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    model, results = given.model.resolve(), given.results and given.results.resolve()
    recordings = load_recordings(given.data)[::4]
    first = recordings[0]
    full_scale = max(full_scale_for(each.samples) for each in recordings)
    hello = Hello(
        0, "day", "1", "virtual", first.axes, first.unit, full_scale / 32768, full_scale, first.sample_rate_hz
    )
    faults = FaultInjector(parse_script(["drop-frame 1e-5", "repeat-frame 1e-5"]), 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        (folder / "monitor.toml").write_text(SETTINGS)
        sensor = VirtualAccelerometer(
            hello, played(recordings, given.hours), link=folder / "port", speed=None, faults=faults, block_samples=500
        )
        meter, start_s = Meter(), time.time()
        history = HistorySink(folder / "history.sqlite", "day", now_s=lambda: start_s + _machine_time(meter))
        config = SensorConfig(
            port=sensor.port, machine="day", model=model, settings=folder / "monitor.toml",
            severity=True, lines=folder / "lines.jsonl",
        )  # fmt: skip
        sinks: dict[str, Opener] = {"meter": lambda _: meter, "history of machine time": lambda _: history}
        thread = threading.Thread(target=sensor.run, daemon=True)
        began_s = time.monotonic()
        thread.start()
        with assembled(Plan([config]), sinks, tell=print) as supervisor:
            supervisor.work()
        thread.join()
        took_s = time.monotonic() - began_s
    half = np.array(meter.points[len(meter.points) // 2 :])
    slope = float(np.polyfit(half[:, 0] / 3600, half[:, 1] / 1e6, 1)[0]) if len(half) > 2 else None
    assert meter.summary is not None
    found = {
        "command": "benchmarks/day.py",
        "machine_hours": round(meter.points[-1][0] / 3600, 2),
        "took_s": round(took_s),
        "windows": meter.windows,
        "samples_received": meter.summary.samples_received,
        "samples_lost": meter.summary.samples_lost,
        "samples_lost_in_truth": faults.totals.samples_lost,
        "resident_mb": [round(point[1] / 1e6, 1) for point in meter.points[:: max(1, len(meter.points) // 24)]],
        "slope_mb_per_hour": None if slope is None else round(slope, 4),
        "descriptors": sorted({point[2] for point in meter.points}),
    }
    text = json.dumps(found, indent=1)
    print(text)
    if results:
        write_file(results, (text + "\n").encode())


def _machine_time(meter: Meter) -> float:
    return meter.points[-1][0] if meter.points else 0.0


if __name__ == "__main__":
    main()
