"""Count the instructions of one inference on emulated Raspberry Pis: all presets and blocks, int8 and float32.

    python benchmarks/pi_instructions.py --json > docs/results/pi_instructions.json

LiteRT runs untrained networks of all presets with one thread. Cortex-A53 is a Pi 3 or Zero 2, A72 a Pi 4, A76 a Pi 5.
The load of the machine has no influence: two runs differ by tens of instructions, which are those of Python. Counts are
instructions, not cycles. The exit code is 0 only if `small` meets its limits.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from emulated_pi import CPUS, EmulatedPi
from int8_models import float32, settle

from drsn_edge.models.config import BLOCK_KINDS, PRESETS
from drsn_edge.models.drsn import build_model
from quantize.convert import to_int8

BARS = {"cortex-a76": 1.2, "cortex-a72": 1.1}
"""The most instructions that the shrinkage network `small` may take of the same network's without shrinkage, int8."""

JUDGED = ("small", "rsbu-cw", "residual")
_WINDOWS = 64


def main() -> int:
    arguments = parse_arguments()
    cases = [(network, block) for network in arguments.network or PRESETS for block in arguments.block or BLOCK_KINDS]
    files: list[bytes] = []
    for number, (network, block) in enumerate(cases, start=1):
        print(f"{number}/{len(cases)} {network} {block}", file=sys.stderr)
        files += built(network, block)
    pi = EmulatedPi("litert")
    rows: list[dict[str, Any]] = []
    for cpu in CPUS:
        counts = iter(pi.count(cpu, files, arguments.runs))
        rows += [
            {"network": network, "block": block, "cpu": cpu, "int8": next(counts), "float32": next(counts)}
            for network, block in cases
        ]
    report = {"rows": rows, "ratios": ratios(rows)}
    print(json.dumps(report) if arguments.json else as_text(report))
    return 0 if all(each["ratio"] <= each["bar"] for each in report["ratios"]) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", choices=PRESETS, help="one of them, not all; repeatable")
    parser.add_argument("--block", action="append", choices=BLOCK_KINDS, help="one of them, not all; repeatable")
    parser.add_argument("--runs", type=int, default=4, help="inferences that are counted")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def built(network: str, block: str) -> tuple[bytes, bytes]:
    """Return a network's files, int8 and float32."""
    keras.utils.set_random_seed(0)
    model = build_model(replace(PRESETS[network], block=block))
    windows = np.random.default_rng(0).standard_normal((_WINDOWS, *model.input_shape[1:])).astype(np.float32)
    settle(model, windows)
    return to_int8(model, windows).data, float32(model)


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what shrinkage costs on each processor that has a bar."""
    network, ours, plain = JUDGED
    found = {(row["network"], row["block"], row["cpu"]): row["int8"] for row in rows}
    return [
        {"cpu": cpu, "ratio": found[network, ours, cpu] / found[network, plain, cpu], "bar": bar}
        for cpu, bar in BARS.items()
        if (network, ours, cpu) in found and (network, plain, cpu) in found
    ]


def as_text(report: dict[str, Any]) -> str:
    lines = [f"{'network':16}{'block':10}{'cpu':12}{'int8':>10}{'float32':>10}"]
    lines += [f"{r['network']:16}{r['block']:10}{r['cpu']:12}{r['int8']:10}{r['float32']:10}" for r in report["rows"]]
    lines += [f"{' to '.join(JUDGED[1:])} on {r['cpu']}: {r['ratio']:.3f} (bar {r['bar']})" for r in report["ratios"]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
