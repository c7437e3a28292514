"""Measure the time of one inference by kind of kernel on this machine, for int8 and float32.

    python benchmarks/int8_profile.py [--form rsbu-cw] [--json]

Samples the processor clock with Linux's perf (Debian's package linux-perf), which needs no hardware counters, while
LiteRT runs one file in a process of its own, and reads the kernels' names from LiteRT's own symbols.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from int8_models import FORMS, TASKS, TYPES, build_variants
from machine import machine

KINDS = (
    ("convolutions", r"gemm"),
    ("elementwise", r"xnn_\w+_v(add|sub|mul|clamp|lrelu|abs|max)|BinaryElementwise|BroadcastBinary"),
    ("means", r"rdsum|rsum|ConvertOp|xnn_compute_\w*reduc"),
    ("logistic", r"_lut_|sigmoid"),
    ("copies", r"mem(move|cpy|set)|slice|transpose|pad"),
    ("calls of kernels", r"^xnn_|threadpool"),
)
"""(kind, pattern of the symbols), the first that matches. What no sample is found for is outside XNNPACK."""

_OUTSIDE = "outside XNNPACK"

_LOOP = """
import sys, time
import numpy as np
from drsn_edge.runtime.interpreters import open_interpreter
_, interpreter = open_interpreter(open(sys.argv[1], "rb").read(), "litert")
end = interpreter.get_input_details()[0]
noise = np.random.default_rng(2).standard_normal(end["shape"])
interpreter.set_tensor(end["index"], (noise * (40 if end["dtype"] is np.int8 else 1)).astype(end["dtype"]))
begin, inferences = time.process_time(), 0
while (taken := time.process_time() - begin) < float(sys.argv[2]):
    for _ in range(100):
        interpreter.invoke()
    inferences += 100
print(inferences, 1e6 * taken / inferences)
"""
"""Loads nothing heavy: the samples hold the start too. Prints how many inferences, and microseconds of each."""

_HERTZ = 4000


def main() -> int:
    arguments = parse_arguments()
    if shutil.which("perf") is None:
        raise SystemExit("perf is not on the PATH. On Debian, type: apt install linux-perf")
    variants = build_variants(arguments.task, arguments.network, (arguments.form,))
    kinds = {variant.type: profile(variant.data, arguments.seconds) for variant in variants}
    report = {"machine": machine(), "form": arguments.form, "task": arguments.task, "us": kinds}
    print(json.dumps(report) if arguments.json else as_text(arguments.form, kinds))
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, default=next(iter(TASKS)), help="axes and classes")
    parser.add_argument("--form", choices=FORMS, default=FORMS[0], help="kind of block")
    parser.add_argument("--network", default="small", help="preset")
    parser.add_argument("--seconds", type=float, default=5.0, help="of processor time for each file")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def profile(model: bytes, seconds: float) -> dict[str, float]:
    """Return microseconds of processor time per inference and kind of kernel."""
    with tempfile.TemporaryDirectory() as folder:
        file, samples = Path(folder) / "model.tflite", Path(folder) / "samples"
        file.write_bytes(model)
        record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(_HERTZ), "-o", str(samples)]
        loop = [sys.executable, "-c", _LOOP, str(file), str(seconds)]
        inferences, inference_us = map(float, capture([*record, *loop]).split()[-2:])
        lines = capture(["perf", "script", "-i", str(samples), "-F", "ip,sym"]).splitlines()
    kinds = Counter(kind_of(line.split(maxsplit=1)[-1]) for line in lines if line.strip())
    taken = {kind: kinds[kind] * 1e6 / _HERTZ / inferences for kind, _ in KINDS}
    return {**taken, _OUTSIDE: inference_us - sum(taken.values())}


def capture(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def kind_of(symbol: str) -> str:
    return next((kind for kind, pattern in KINDS if re.search(pattern, symbol)), _OUTSIDE)


def as_text(form: str, report: dict[str, Any]) -> str:
    lines = [f"{form + ', us':22}" + "".join(f"{type_:>10}" for type_ in TYPES)]
    lines += [f"{kind:22}" + "".join(f"{report[type_][kind]:10.1f}" for type_ in TYPES) for kind in report["int8"]]
    lines.append(f"{'sum':22}" + "".join(f"{sum(report[type_].values()):10.1f}" for type_ in TYPES))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
