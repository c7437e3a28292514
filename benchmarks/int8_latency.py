"""Compare the time of the int8 network with float32, a ResNet, and the authors' form of shrinkage on this machine.

    python benchmarks/int8_latency.py [--json]

One process with one thread runs LiteRT with its default XNNPACK delegate. Each round runs every file a few times in a
new random order and measures the processor time of the thread, so that a busy machine causes no bias. A figure is the
median over the rounds. A ratio is the median of the ratios of all rounds, because both files of a round have the same
caches and clock. The rounds are cut into consecutive parts; the range of the ratios of the parts shows their precision.

The exit code is 0 only if every ratio meets its limit.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from int8_models import TASKS, Variant, build_variants
from machine import machine

from drsn_edge.runtime.interpreters import open_interpreter

BARS = (
    ("rsbu-cw int8", "residual int8", 1.20),
    ("rsbu-cw int8", "sign int8", 0.60),
    ("rsbu-cw int8", "rsbu-cw float32", 1.15),
)
"""(what, against what, the most that it may cost of it)."""

_RUNS_PER_ROUND = 8
_PARTS = 5


@dataclass(frozen=True)
class Ratio:
    """Ratio of the times of two files: median of the rounds, and lowest and highest median of the parts."""

    of: str
    to: str
    median: float
    low: float
    high: float
    bar: float


@dataclass(frozen=True)
class Latency:
    """One file's figures.

    Attributes:
        name: Name of the variant.
        median_us: Processor time of one inference in microseconds, median of the rounds.
        p10_us: Processor time of one inference in microseconds, 10th percentile of the rounds.
        operators: Number of operators in the file.
        partitions: Parts of the graph that XNNPACK runs.
        bytes: Length of the file.
    """

    name: str
    median_us: float
    p10_us: float
    operators: int
    partitions: int
    bytes: int


def main() -> int:
    arguments = parse_arguments()
    tasks = {task: measure_task(task, arguments) for task in arguments.task or TASKS}
    report = {"machine": machine(), "tasks": tasks}
    print(json.dumps(report) if arguments.json else "\n\n".join(as_text(*item) for item in tasks.items()))
    ratios = [ratio for task in tasks.values() for ratio in task["ratios"]]
    return 0 if all(ratio["median"] <= ratio["bar"] for ratio in ratios) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", choices=TASKS, help="one of them, instead of all; repeatable")
    parser.add_argument("--network", default="small", help="preset")
    parser.add_argument("--rounds", type=int, default=2000, help=f"of {_RUNS_PER_ROUND} inferences of every file")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def measure_task(task: str, arguments: argparse.Namespace) -> dict[str, Any]:
    variants = build_variants(task, arguments.network)
    interpreters = {variant.name: open_loaded(variant) for variant in variants}
    rounds = measure_rounds(interpreters, arguments.rounds)
    return {
        "files": [asdict(describe(variant, interpreters[variant.name], rounds[variant.name])) for variant in variants],
        "ratios": [asdict(compare(rounds, *bar)) for bar in BARS],
    }


def open_loaded(variant: Variant) -> Any:
    """Return an interpreter whose input holds noise in the type of the input."""
    _, interpreter = open_interpreter(variant.data, "litert")
    end = interpreter.get_input_details()[0]
    noise = np.random.default_rng(2).standard_normal(end["shape"])
    interpreter.set_tensor(end["index"], (noise * (40 if end["dtype"] is np.int8 else 1)).astype(end["dtype"]))
    return interpreter


def measure_rounds(interpreters: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """Return processor time per inference, microseconds, of each file and round."""
    taken: dict[str, list[float]] = {name: [] for name in interpreters}
    order = list(interpreters)
    shuffle = random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            invoke = interpreters[name].invoke
            invoke()  # the file before has left the caches to itself
            begin = time.thread_time_ns()
            for _ in range(_RUNS_PER_ROUND):
                invoke()
            taken[name].append((time.thread_time_ns() - begin) / 1000 / _RUNS_PER_ROUND)
    return taken


def compare(rounds: dict[str, list[float]], of: str, to: str, bar: float) -> Ratio:
    ratios = [a / b for a, b in zip(rounds[of], rounds[to], strict=True)]
    size = max(1, len(ratios) // _PARTS)
    parts = [statistics.median(ratios[first : first + size]) for first in range(0, len(ratios), size)]
    return Ratio(of, to, statistics.median(ratios), min(parts), max(parts), bar)


def describe(variant: Variant, interpreter: Any, taken: list[float]) -> Latency:
    # After the delegate has chosen, its parts stand behind the file's own operators.
    names = [operator["op_name"] for operator in interpreter._get_ops_details()]
    partitions = names.count("DELEGATE")
    return Latency(
        name=variant.name,
        median_us=statistics.median(taken),
        p10_us=float(np.percentile(taken, 10)),
        operators=len(names) - partitions,
        partitions=partitions,
        bytes=len(variant.data),
    )


def as_text(task: str, report: dict[str, Any]) -> str:
    lines = [f"{task:22}{'median us':>10}{'p10 us':>9}{'operators':>11}{'partitions':>12}{'kB':>8}"]
    lines += [
        f"{f['name']:22}{f['median_us']:10.1f}{f['p10_us']:9.1f}{f['operators']:11}{f['partitions']:12}"
        f"{f['bytes'] / 1000:8.1f}"
        for f in report["files"]
    ]
    lines += [
        f"{r['of'] + ' / ' + r['to']:32}{r['median']:6.2f}  ({r['low']:.2f} to {r['high']:.2f}; bar {r['bar']:.2f})"
        for r in report["ratios"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
