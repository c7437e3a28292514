"""Measure false alarms per day, and compare them with the prediction of `tune-alarms` from other machine-days.

    drsn-edge demo --out /tmp/demo
    python benchmarks/false_alarms.py --model /tmp/demo/demo.drsn --work /tmp/days --results false_alarms.json

All machines resemble those of the demo (`vary_machine`), each with its own seed. A machine is healthy for a day: it
stops and starts occasionally, changes its speed in ramps, and is disturbed about thirty times by knocks, or by the
noise or a tone of a neighbour. Afterwards it has each fault of the demo's classes for some minutes. The monitor judges
every window, and its results are stored in `--work`, so that a later call continues there. The disturbances are unlike
anything in the training, and their windows are UNKNOWN: this counts as no alarm, as on sites where they are usual.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.bundle import read_bundle
from drsn_edge.monitor.offline.tune_alarms import Judged, Point, choose, condensed, grid, sweep
from drsn_edge.monitor.stages.alarms import AlarmSettings
from drsn_edge.monitor.stages.judge import Judge, model_of
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.results import WindowResult
from drsn_edge.monitor.stages.stream_state import HostClock
from drsn_edge.simulation.machine import ADXL345, AXES, SEVERITY_RANGE_G, Condition, Machine
from drsn_edge.simulation.simulator import VibrationSimulator, vary_machine
from drsn_edge.support.files import write_file
from firmware_bridge.wire.events import SampleBlock, SourceEvent
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.stream import StreamCounters

RATE_HZ = 3200.0
DAY_S = 86_400
FAULT_S = 300
CUT_S = 100.0
SPEED_RANGE = 0.08
PASSINGS_PER_DAY = 30
STOPS_PER_DAY = 4
RAMP_S = 10
CHUNK = 3200

Samples = NDArray[np.float32]


def healthy_day(machine: Machine, seed: int, day_s: int) -> Iterator[Samples]:
    """Yield a day of a healthy machine second by second, in g, with the disturbances around it."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    passing = passings(day_s, rng)
    second = 0
    for running, rpm, length_s in schedule(machine, day_s, rng):
        still = replace(machine, rpm=rpm)
        simulator = VibrationSimulator(still, Condition("healthy"), RATE_HZ, int(rng.integers(2**32)))
        quiet = np.asarray(ADXL345.lsb_g, np.float32)
        for _ in range(length_s):
            if running:
                samples = simulator.samples(CHUNK)
            else:  # the sensor's own noise and the steps of its converter
                samples = (rng.standard_normal((CHUNK, len(AXES))) * quiet).astype(np.float32)
            yield samples + passing.get(second, np.float32(0))
            second += 1


def schedule(machine: Machine, day_s: int, rng: np.random.Generator) -> Iterator[tuple[bool, float, int]]:
    """Yield stretches: whether the machine runs, its speed in rpm, and the duration in s; speeds change in ramps."""
    left, rpm = day_s, machine.rpm
    while left > 0:
        length = min(left, int(rng.uniform(900, 3600)))
        yield True, rpm, length
        left -= length
        if left > 0 and rng.uniform() < STOPS_PER_DAY * 2250 / DAY_S:
            length = min(left, int(rng.uniform(30, 900)))
            yield False, rpm, length
            left -= length
        following = machine.rpm * (1 + rng.uniform(-SPEED_RANGE, SPEED_RANGE))
        for step in range(min(left, RAMP_S)):
            yield True, rpm + (following - rpm) * (step + 0.5) / RAMP_S, 1
            left -= 1
        rpm = following


def passings(day_s: int, rng: np.random.Generator) -> dict[int, Samples]:
    """Return the disturbances by second: knocks, noise or a tone of a neighbour, up to the machine's own level."""
    found: dict[int, Samples] = {}
    for _ in range(rng.poisson(PASSINGS_PER_DAY * day_s / DAY_S)):
        first, kind, level = int(rng.integers(day_s)), int(rng.integers(3)), float(rng.uniform(0.02, 0.3))
        length = int(rng.uniform(2, (20, 60, 120)[kind]))
        t = np.arange(length * CHUNK) / RATE_HZ
        if kind == 0:
            signal = np.zeros(len(t))
            ring = np.exp(-np.arange(400) / 60) * np.sin(2 * np.pi * rng.uniform(200, 1500) / RATE_HZ * np.arange(400))
            for at in np.flatnonzero(rng.uniform(size=len(t)) < rng.uniform(0.5, 4) / RATE_HZ):
                end = min(len(t), int(at) + 400)
                signal[at:end] += 5 * level * ring[: end - int(at)]
        elif kind == 1:
            signal = level * rng.standard_normal(len(t))
        else:
            signal = level * np.sin(2 * np.pi * rng.uniform(20, 1200) * t)
        axes = rng.uniform(0.3, 1, len(AXES))
        fade = np.minimum(1, np.minimum(t, t[-1] - t))
        heard = ((signal * fade)[:, None] * axes).astype(np.float32).reshape(length, CHUNK, len(AXES))
        for second, part in enumerate(heard, start=first):
            found[second] = found.get(second, np.float32(0)) + part
    return found


def faulty(machine: Machine, label: str, seed: int) -> Iterator[Samples]:
    """Yield some minutes of a fault second by second, with a severity between barely and clearly visible."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2, *label.encode())))
    low, high = SEVERITY_RANGE_G[label]
    severity = low * (high / low) ** rng.uniform()
    simulator = VibrationSimulator(machine, Condition(label, severity), RATE_HZ, int(rng.integers(2**32)))
    for _ in range(FAULT_S):
        yield simulator.samples(CHUNK)


def windows(model: Path, signal: Iterator[Samples]) -> Iterator[WindowResult]:
    """Yield the monitor's window results for a signal."""
    bundle = read_bundle(model)
    monitor = Monitor(Judge(model_of(bundle)), HostClock(now=lambda: 0.0))

    def events() -> Iterator[SourceEvent]:
        scale = ADXL345.lsb_g
        yield Hello(1, "day", "1", "simulated", AXES, "g", scale, ADXL345.range_g, RATE_HZ)
        for second, samples in enumerate(signal):
            counts = np.clip(np.rint(samples / scale), -4096, 4095).astype(np.int16)
            yield SampleBlock(second * CHUNK, float(second), counts, 0)

    for result in monitor.run(events(), StreamCounters):
        if isinstance(result, WindowResult):
            yield result


def machine_day(model: Path, work: Path, seed: int, day_s: int) -> None:
    """Monitor one machine's day and its faults, and store the results."""
    path = work / f"{seed}.npz"
    if path.exists():
        return
    bundle = read_bundle(model)
    labels, hop_s = bundle.manifest.labels, bundle.manifest.contract.hop_s
    machine = vary_machine(Machine(), np.random.default_rng(np.random.SeedSequence(seed)))
    arrays: dict[str, Any] = {}
    for label in labels:
        signal = healthy_day(machine, seed, day_s) if label == "healthy" else faulty(machine, label, seed)
        each = condensed(label, label == "healthy", labels, hop_s, windows(model, signal))
        arrays |= {f"{label}.states": each.states, f"{label}.scores": each.scores, f"{label}.levels": each.levels}
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)
    temporary.replace(path)


def read_day(path: Path, labels: tuple[str, ...], hop_s: float) -> list[Judged]:
    """Return the results that `machine_day` stored."""
    with np.load(path) as file:
        return [
            Judged(f"{label}-{path.stem}", label == "healthy", labels, hop_s, *(
                file[f"{label}.{what}"] for what in ("states", "scores", "levels")
            ))
            for label in labels
        ]  # fmt: skip


def figures(point: Point) -> dict[str, object]:
    """Return a point as JSON."""
    low, high = point.false_alarms.interval()
    return {
        "false_alarms": point.false_alarms.alarms,
        "machine_days": round(point.false_alarms.days, 4),
        "per_day": round(point.false_alarms.per_day, 4),
        "per_day_95": [round(low, 4), round(high, 4)],
        "fault_trials": len(point.delays_s),
        "missed": point.missed,
        "median_delay_s": round(point.median_delay_s, 2),
        "worst_delay_s": round(point.worst_delay_s, 2),
    }


def main() -> None:
    """Simulate, monitor, tune the alarms, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--tuning-days", type=int, default=4)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--day-s", type=int, default=DAY_S)
    parser.add_argument("--false-alarms", type=float, default=0.5)
    parser.add_argument("--announced", type=float, default=0.8)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1000)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    first, then = given.seed, given.seed + given.tuning_days
    seeds = range(first, then + given.days)
    began = time.monotonic()
    with ProcessPoolExecutor(given.jobs) as pool:
        jobs = [pool.submit(machine_day, given.model, given.work, seed, given.day_s) for seed in seeds]
        for seed, job in zip(seeds, jobs, strict=True):
            job.result()
            print(f"machine-day {seed} judged, {time.monotonic() - began:.0f} s", flush=True)
    bundle = read_bundle(given.model)
    contract = bundle.manifest.contract
    days = [read_day(given.work / f"{seed}.npz", bundle.manifest.labels, contract.hop_s) for seed in seeds]
    to_tune = [each for day in days[: given.tuning_days] for each in day]
    base = AlarmSettings(("healthy", "UNKNOWN"), inhibit_after_start_s=10.0, inhibit_level_change=0.3, inhibit_s=10.0)
    points = sweep(to_tune, list(grid(base)), contract.window_s, CUT_S)
    chosen = choose(points, given.false_alarms, given.announced)
    measured = sweep(
        [each for day in days[given.tuning_days :] for each in day], [chosen.settings], contract.window_s, CUT_S
    )[0]
    found = {
        "command": "benchmarks/false_alarms.py",
        "seeds": [first, seeds[-1]],
        "allowed_per_day": given.false_alarms,
        "announced_share": given.announced,
        "settings": asdict(chosen.settings),
        "predicted": figures(chosen),
        "measured": figures(measured),
        "windows": sum(len(each.states) for day in days for each in day),
    }
    text = json.dumps(found, indent=1)
    print(text)
    if given.results:
        write_file(given.results, (text + "\n").encode())


if __name__ == "__main__":
    main()
