"""Measure how the cost of the monitor grows: rate, axes, sensors, window and overlap, one factor at a time.

    python benchmarks/monitor_growth.py --models growth-models/ --results docs/results/monitor_growth.jsonl

Every point is one run of `drsn-edge monitor` with everything on, as in `benchmarks/monitor_cost.py`, from a base of one
sensor of 6.7 kHz and 3 axes with windows of 1024 samples that overlap by half. The networks are `small`, trained for
one epoch on synthetic signals, since verdicts do not matter here; they are kept in the folder of models.

A point whose figures the results hold is not measured again. `--prepare` only trains the missing networks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from decode import AXIS_NAMES
from machine import machine
from monitored import Load, fitted, measure, seconds_of_stream
from wire_players import wire_of

EVERY_S, LOOK_S = 0.01, 0.02
_TRAINED_HZ = 6_667


@dataclass(frozen=True)
class Point:
    """What a monitor watches.

    Attributes:
        rate_hz: Sampling rate in Hz.
        axes: Axes of a sensor.
        sensors: Sensors in one process.
        window: Samples in a window.
        overlap: Share of a window that the next one repeats.
    """

    rate_hz: int = 6_667
    axes: int = 3
    sensors: int = 1
    window: int = 1024
    overlap: float = 0.5

    @property
    def hop(self) -> int:
        """Samples between the starts of two windows."""
        return round(self.window * (1 - self.overlap))

    @property
    def windows_per_s(self) -> float:
        """Windows that the monitor judges in a second, of all sensors."""
        return self.sensors * self.rate_hz / self.hop


BASE = Point()
FACTORS: dict[str, tuple[float, ...]] = {
    "rate_hz": (1_667, 3_333, 6_667, 13_333, 26_667),
    "axes": (1, 2, 3, 6),
    "sensors": (1, 2, 4, 8, 16, 32),
    "window": (256, 512, 1024, 2048, 4096),
    "overlap": (0.0, 0.5, 0.75, 0.875),
}


def points() -> Iterator[tuple[str, Point]]:
    """Yield the points that differ from the base, with the factor; the base comes first, with the factor `base`."""
    yield "base", BASE
    for factor, values in FACTORS.items():
        for value in values:
            point = replace(BASE, **{factor: value})  # type: ignore[arg-type]  # whole numbers where they must be
            if point != BASE:
                yield factor, point


def model_of(point: Point, folder: Path) -> Path:
    """Return a bundle for a number of axes and a window, trained if it is missing."""
    bundle = folder / f"axes{point.axes}-window{point.window}.drsn"
    if not bundle.exists():
        with tempfile.TemporaryDirectory(dir=folder) as name:
            data, run = Path(name) / "data", Path(name) / "run"
            data.mkdir()
            write_recordings(data, point.axes)
            drsn_edge = [sys.executable, "-m", "drsn_edge.cli.main"]
            options = ["--hold-out", "time=0.3", "--inputs", "waveform", "--window", str(point.window), "--epochs", "1"]
            subprocess.run(
                [*drsn_edge, "train", "--data", str(data), *options, "--out", str(run)], check=True, stdout=sys.stderr
            )
            subprocess.run([*drsn_edge, "convert", str(run), "--out", str(bundle)], check=True, stdout=sys.stderr)
    return bundle


def write_recordings(folder: Path, axes: int) -> None:
    """Write recordings of two tones in noise, of 20 s each."""
    random = np.random.default_rng(0)
    for label, step in (("slow", 0.3), ("fast", 0.7)):
        n = 20 * _TRAINED_HZ
        x = 0.2 * np.sin(step * np.arange(n)) + random.normal(0, 0.05, (axes, n))
        names = list(AXIS_NAMES[:axes])
        np.savez(folder / f"{label}.npz", x=x.astype(np.float32), fs=_TRAINED_HZ, axes=names, unit="g", label=label)


def measured(point: Point, model: Path, seconds: float, latency: str | None) -> dict[str, Any]:
    """Return the figures of a point."""
    with tempfile.TemporaryDirectory() as name:
        bundle = fitted(model, point.rate_hz, Path(name), point.axes, point.hop)
        wire = wire_of(seconds_of_stream(seconds, point.sensors), point.rate_hz, point.axes)
        load = Load(bundle, wire, point.sensors, seconds, latency, every_s=EVERY_S, look_s=LOOK_S)
        return measure(load)


def main() -> None:
    """Measure the points that the results lack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, metavar="FOLDER", help="folder of the bundles")
    parser.add_argument("--results", type=Path, required=True, help=".jsonl file, to which points are appended")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each measurement")
    parser.add_argument("--only", choices=("base", *FACTORS), nargs="+", help="factors to measure")
    parser.add_argument("--latency", help="passed to the monitor")
    parser.add_argument("--prepare", action="store_true")
    given = parser.parse_args()
    given.models.mkdir(parents=True, exist_ok=True)
    lines = given.results.read_text().splitlines() if given.results.exists() else []
    known = [json.loads(line)["point"] for line in lines]
    for factor, point in points():
        model = model_of(point, given.models)
        if given.prepare or asdict(point) in known or (given.only and factor not in given.only):
            continue
        found = measured(point, model, given.seconds, given.latency)
        line = {
            "command": "benchmarks/monitor_growth.py",
            "machine": machine(),
            "factor": factor,
            "point": asdict(point),
            "windows_per_s": round(point.windows_per_s, 1),
            **found,
        }
        with given.results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{factor:8} {point}: {100 * found['core_share']:.1f} % of a core", file=sys.stderr)


if __name__ == "__main__":
    main()
