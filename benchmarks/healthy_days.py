"""Measure how often a healthy machine becomes UNKNOWN in machine-days, and how small a fault is announced.

    python benchmarks/healthy_days.py --work days --results docs/results/healthy_days.json

Each machine resembles that of the demo (`vary_machine`, with a seed of its own). A bundle is learned from it as
`drsn-edge learn --limits --rpm` does; as much time again predicts the false alarms of a day, as `train` predicts them
from its hold-out set. Then the machine is healthy for `--day-s`. All the time it changes its speed every one to five
minutes, by up to 8 %, in ramps of 10 s; in its day it also stops. Nothing disturbs it. A false alarm is a decision
UNKNOWN, or a name. At last the machine has each fault of the simulator for 20 s at each size, and the smallest size
that is announced within 10 s is compared with the one that simulated faults predict. Machines are kept in `--work`, so
that a later call goes on there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from false_alarms import CHUNK, RATE_HZ, SPEED_RANGE, Samples
from json_rows import json_rows
from machine import machine as this_machine
from numpy.typing import NDArray

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.healthy import HealthyOptions, healthy_bundle
from drsn_edge.bundle.open_model import naming_of
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.evaluation.early import FoundEarly, early_to_json
from drsn_edge.evaluation.early_detection import find_early
from drsn_edge.evaluation.without_network import model_of_bundle
from drsn_edge.monitor.healthy_machine import HealthyMachine, Turning
from drsn_edge.monitor.stages.judge import Judge, model_of
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.results import Decision
from drsn_edge.monitor.stages.stream_state import HostClock
from drsn_edge.simulation.machine import ADXL345, AXES, SEVERITY_RANGE_G, Condition, Machine
from drsn_edge.simulation.simulator import VibrationSimulator, vary_machine
from drsn_edge.support.poisson import interval
from drsn_edge.verdicts import Verdict
from firmware_bridge.wire.events import SampleBlock, SourceEvent
from firmware_bridge.wire.messages import Hello

OPTIONS = HealthyOptions("machine", "1.0.0")
FAULT_S, ANNOUNCED_S, SIZES = 20, 10.0, 8
FAULTS = ("outer_race", "inner_race", "ball", "imbalance")
DAY_S, RAMP_S, STOPPED = 86_400, 10, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the machines that are done")
    parser.add_argument("--results", type=Path, required=True, help="file to write")
    parser.add_argument("--machines", type=int, default=30, help="machines, each for one day")
    parser.add_argument("--day-s", type=int, default=DAY_S, help="length of a day in seconds")
    parser.add_argument("--learn-s", type=int, default=7200, help="time that is learned, and once more predicted from")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    one = partial(kept, arguments.work, day_s=arguments.day_s, learn_s=arguments.learn_s)
    with ProcessPoolExecutor(arguments.workers) as pool:
        found = list(pool.map(one, range(arguments.machines)))
    report = {"machine": this_machine(), "day_s": arguments.day_s, "learn_s": arguments.learn_s, **summary(found)}
    arguments.results.write_text(json_rows(report))
    print(json.dumps({name: value for name, value in report.items() if name != "machines"}, indent=1))


def kept(work: Path, seed: int, day_s: int, learn_s: int) -> dict[str, Any]:
    """Return what a machine showed, from `work` if it is there."""
    path = work / f"{seed:03}.json"
    if not path.exists():
        began = time.monotonic()
        found = one_machine(seed, day_s, learn_s)
        path.write_text(json.dumps({**found, "took_s": round(time.monotonic() - began, 1)}))
    values: dict[str, Any] = json.loads(path.read_text())
    return values


def one_machine(seed: int, day_s: int, learn_s: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    machine = replace(vary_machine(Machine(), rng), rpm=Machine().rpm)
    bundle = learned(machine, running(machine, learn_s, 10 * seed + 1))
    predicted = prediction(bundle, machine, running(machine, learn_s, 10 * seed + 2))
    decisions = list(decided(bundle, machine, a_day(machine, day_s, 10 * seed + 3)))
    alarms = [each for each in decisions if is_alarm(each, bundle)]
    return {
        "seed": seed,
        "references": len(model_of_bundle(bundle).novelty.prototypes),
        "predicted": early_to_json(predicted),
        "day_s": day_s,
        "false_alarms": len(alarms),
        "first": [(round(each.window.device_time_s, 1), each.window.label or "UNKNOWN") for each in alarms[:20]],
        "announced": {name: announced(bundle, machine, name, 10 * seed + 4) for name in FAULTS},
    }


def is_alarm(decision: Decision, bundle: Bundle) -> bool:
    window = decision.window
    return window.verdict is Verdict.UNKNOWN or (
        window.verdict is Verdict.CLASS and window.label != bundle.manifest.labels[0]
    )


def running(machine: Machine, seconds: int, seed: int) -> Iterator[Samples]:
    """Yield a machine that runs, at steady speeds and in ramps, second by second."""
    rng = np.random.default_rng(seed)
    for is_running, rpm, length in schedule(machine, seconds, rng):
        simulator = simulated(replace(machine, rpm=rpm), Condition("healthy"), rng)
        yield from (simulator.samples(CHUNK) for _ in range(length if is_running else 0))


def a_day(machine: Machine, seconds: int, seed: int) -> Iterator[Samples]:
    """Yield a day of a machine that also stops, second by second."""
    rng = np.random.default_rng(seed)
    quiet = np.asarray(ADXL345.lsb_g, np.float32)
    for is_running, rpm, length in schedule(machine, seconds, rng):
        simulator = simulated(replace(machine, rpm=rpm), Condition("healthy"), rng)
        for _ in range(length):
            noise = rng.standard_normal((CHUNK, len(AXES))) * quiet
            yield simulator.samples(CHUNK) if is_running else noise.astype(np.float32)


def schedule(machine: Machine, seconds: int, rng: np.random.Generator) -> Iterator[tuple[bool, float, int]]:
    """Yield stretches: whether the machine runs, its speed in rpm, and the duration in s; speeds change in ramps."""
    left, rpm = seconds, machine.rpm
    while left > 0:
        length = min(left, int(rng.uniform(60, 300)))
        yield rng.uniform() > STOPPED, rpm, length
        left -= length
        following = machine.rpm * (1 + rng.uniform(-SPEED_RANGE, SPEED_RANGE))
        for step in range(min(left, RAMP_S)):
            yield True, rpm + (following - rpm) * (step + 0.5) / RAMP_S, 1
            left -= 1
        rpm = following


def simulated(machine: Machine, condition: Condition, rng: np.random.Generator) -> VibrationSimulator:
    return VibrationSimulator(machine, condition, RATE_HZ, int(rng.integers(2**32)))


def events(signal: Iterable[Samples]) -> Iterator[SourceEvent]:
    scale = ADXL345.lsb_g
    yield Hello(1, "day", "1", "simulated", AXES, "g", scale, ADXL345.range_g, RATE_HZ)
    for second, samples in enumerate(signal):
        counts = np.clip(np.rint(samples / scale), -4096, 4095).astype(np.int16)
        yield SampleBlock(second * CHUNK, float(second), counts, 0)


def learned(machine: Machine, signal: Iterable[Samples]) -> Bundle:
    teacher = HealthyMachine(OPTIONS, turning=Turning(machine.bearing, machine.shaft_hz))
    for event in events(signal):
        teacher.take(event)
    taught = teacher.taught()
    options = replace(OPTIONS, unknown_share=taught.unknown_share)
    return healthy_bundle(taught.novelty, taught.contract, options, taught.examples, taught.naming)


def prediction(bundle: Bundle, machine: Machine, signal: Iterable[Samples]) -> FoundEarly:
    """Return what `train` predicts of a hold-out set of such length."""
    window, naming = bundle.manifest.contract.window, naming_of(bundle)
    samples = np.concatenate([*signal])
    n = len(samples) // window
    windows = samples[: n * window].reshape(n, window, len(AXES))
    labels, starts = np.zeros(n, np.int64), np.arange(n) * window
    held_out = WindowSet(windows, labels, np.full(n, "later"), starts, np.full(n, machine.shaft_hz))
    return find_early(model_of_bundle(bundle), naming, held_out, lambda done, of: None)


def decided(bundle: Bundle, machine: Machine, signal: Iterable[Samples]) -> Iterator[Decision]:
    monitor = Monitor(Judge(model_of(bundle), speed_hz=machine.shaft_hz), HostClock(now=lambda: 0.0))
    for event in events(signal):
        yield from (result for result in monitor.take(event) if isinstance(result, Decision))


def announced(bundle: Bundle, machine: Machine, fault: str, seed: int) -> dict[str, Any]:
    """Return the smallest size from which on each is announced in time, beside its power over the healthy one."""
    rng, rows = np.random.default_rng(seed), []
    healthy = power(simulated(machine, Condition("healthy"), rng).samples(10 * CHUNK))
    low, high = SEVERITY_RANGE_G[fault]
    for severity in np.geomspace(low / 8, high, SIZES).tolist():
        samples = simulated(machine, Condition(fault, severity), rng).samples(FAULT_S * CHUNK)
        added_db = 10 * np.log10(max(power(samples) / healthy - 1, 1e-3))
        found = [each for each in decided(bundle, machine, np.split(samples, FAULT_S)) if is_alarm(each, bundle)]
        in_time = [each for each in found if each.window.device_time_s <= ANNOUNCED_S]
        names = [each.window.label for each in found if each.window.label]
        rows.append({"g": severity, "added_db": float(added_db), "in_time": bool(in_time), "names": names})
    missed = [at for at, row in enumerate(rows) if not row["in_time"]]
    first = missed[-1] + 1 if missed else 0
    return {"from_db": rows[first]["added_db"] if first < len(rows) else None, "sizes": rows}


def power(samples: NDArray[np.float32]) -> float:
    return float(np.mean(np.var(samples, axis=0, dtype=np.float64)))


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return predicted and measured figures of all machines."""
    days = sum(each["day_s"] for each in found) / DAY_S
    heard_days = sum(each["predicted"]["false_alarms"]["heard_s"] for each in found) / DAY_S
    events_there = sum(each["predicted"]["false_alarms"]["events"] for each in found)
    events_here = sum(each["false_alarms"] for each in found)
    predicted, measured = interval(events_there), interval(events_here)
    faults = {}
    for name in FAULTS:
        expected = [
            fault["announced_db"] for each in found for fault in each["predicted"]["faults"] if fault["fault"] == name
        ]
        here = [each["announced"][name]["from_db"] for each in found]
        names = [label for each in found for row in each["announced"][name]["sizes"] for label in row["names"]]
        faults[name] = {
            "predicted_db": quartiles(expected),
            "measured_db": quartiles(here),
            "not announced": sum(value is None for value in here),
            "names": {label: names.count(label) for label in sorted(set(names))},
        }
    return {
        "machine_days": days,
        "predicted": {
            "events": events_there,
            "days": heard_days,
            "per_day_95": [each / heard_days for each in predicted],
        },
        "measured": {"events": events_here, "days": days, "per_day_95": [each / days for each in measured]},
        "machines with a false alarm": sum(each["false_alarms"] > 0 for each in found),
        "faults": faults,
        "machines": [of_machine(each) for each in found],
    }


def of_machine(found: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: found[name] for name in ("seed", "references", "day_s", "false_alarms", "first")},
        "predicted_a_day": found["predicted"]["false_alarms"]["interval_95"],
        "announced_db": {name: each["from_db"] for name, each in found["announced"].items()},
    }


def quartiles(values: list[float | None]) -> list[float] | None:
    known = [value for value in values if value is not None]
    return None if not known else [round(float(each), 1) for each in np.quantile(known, (0.25, 0.5, 0.75))]


if __name__ == "__main__":
    main()
