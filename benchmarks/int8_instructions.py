"""Count the instructions of one int8 and float32 inference on emulated Raspberry Pis 4 (cortex-a72) and 5 (cortex-a76).

    python benchmarks/int8_instructions.py [--json]

The load of the machine has no influence: two runs differ by tens of instructions, which are those of Python. The call
from Python is part of each count. Counts are instructions, not cycles.

The exit code is 0 only if every ratio meets its limit.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from emulated_pi import EmulatedPi
from int8_models import FORMS, TASKS, Variant, build_variants

BARS = {"cortex-a72": 1.00, "cortex-a76": 0.50}
"""Highest ratio of the instructions of the int8 shrinkage network to those of the same network in float32."""

JUDGED = "rsbu-cw"


def main() -> int:
    arguments = parse_arguments()
    pi = EmulatedPi()
    report = {
        task: count_task(pi, build_variants(task, arguments.network, tuple(arguments.form or FORMS)), arguments.runs)
        for task in arguments.task or TASKS
    }
    print(json.dumps(report) if arguments.json else "\n\n".join(as_text(*item) for item in report.items()))
    return 0 if all(row["ratio"] <= row["bar"] for rows in report.values() for row in rows if row["bar"]) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", choices=TASKS, help="one of them, instead of all; repeatable")
    parser.add_argument("--form", action="append", choices=FORMS, help="one of them, instead of all; repeatable")
    parser.add_argument("--network", default="small", help="preset")
    parser.add_argument("--runs", type=int, default=4, help="inferences that are counted")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def count_task(pi: EmulatedPi, variants: list[Variant], runs: int) -> list[dict[str, Any]]:
    rows = []
    for cpu in BARS:
        counts = pi.count(cpu, [variant.data for variant in variants], runs)
        by_name = {variant.name: count for variant, count in zip(variants, counts, strict=True)}
        for form in dict.fromkeys(variant.form for variant in variants):
            int8, float32 = by_name[f"{form} int8"], by_name[f"{form} float32"]
            bar = BARS[cpu] if form == JUDGED else None
            rows.append(
                {"cpu": cpu, "form": form, "int8": int8, "float32": float32, "ratio": int8 / float32, "bar": bar}
            )
    return rows


def as_text(task: str, rows: list[dict[str, Any]]) -> str:
    lines = [f"{task:22}{'cpu':12}{'int8':>10}{'float32':>10}{'ratio':>8}{'bar':>7}"]
    lines += [
        f"{r['form']:22}{r['cpu']:12}{r['int8']:10}{r['float32']:10}{r['ratio']:8.3f}"
        + (f"{r['bar']:7.2f}" if r["bar"] else "")
        for r in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
