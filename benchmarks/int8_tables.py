"""Write docs/INT8.md from the results of the int8 benchmarks.

    python benchmarks/int8_tables.py --results docs/results/ --write docs/INT8.md

Each section comes from a file of the results folder; a section whose file is missing is left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

Values = Any

FORMS = ("float", "calibration", "qat")


def main() -> None:
    write_document(__doc__, HEAD, {name: _alone(of) for name, of in SECTIONS.items()})


def _alone(of: Callable[[Values], str]) -> Callable[[Values, Path], str]:
    """Return a section that needs no folder."""
    return lambda values, _: of(values)


def write_document(doc: str | None, head: str, sections: Mapping[str, Callable[[Any, Path], str]]) -> None:
    """Write the Markdown file that the command line names.

    Args:
        doc: Of the script.
        head: What it begins with.
        sections: By the file of the results folder; each is given its values, and the folder of the Markdown file.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder")
    parser.add_argument("--write", type=Path, required=True, help="Markdown file; pictures go beside it")
    arguments = parser.parse_args()
    parts = [head]
    for name, section in sections.items():
        path = arguments.results / name
        if path.exists():
            parts.append(section(read(path), arguments.write.parent))
    arguments.write.write_text("\n\n".join(parts) + "\n")


def read(path: Path) -> Values:
    text = path.read_text()
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)


def accuracy(lines: list[Values]) -> str:
    conditions = list(lines[0]["conditions"])
    head = [
        "data",
        "network",
        "seeds",
        "file",
        *(name.replace("_", " ") for name in conditions),
        "drop, points",
        "same",
    ]
    rows = []
    for key in dict.fromkeys((line["data"], line["network"]) for line in lines):
        group = [line for line in lines if (line["data"], line["network"]) == key]
        for form in FORMS:
            found = [f"{100 * mean(line['conditions'][name][form] for line in group):.2f}" for name in conditions]
            rows.append([*key, len(group), form, *found, *losses(group, form, conditions)])
    return f"{ACCURACY}\n\n{table(head, rows)}"


def losses(group: list[Values], form: str, conditions: list[str]) -> tuple[str, str]:
    """Return the drop over all conditions and the agreement with float as recorded, over a group's seeds."""
    if form == "float":
        return "", ""
    judged = [line["conditions"] for line in group]
    drops = [100 * mean(each[name]["float"] - each[name][form] for name in conditions) for each in judged]
    return spread(drops), spread([100 * each["clean"][f"{form}_agreement"] for each in judged])


def spread(values: list[float]) -> str:
    return f"{mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{mean(values):.2f}"


def latency(report: Values) -> str:
    parts = [f"{LATENCY}\n\nMeasured on {machine(report['machine'])}."]
    for task, found in report["tasks"].items():
        files = [[f["name"], f"{f['median_us']:.1f}", f["operators"], f["partitions"]] for f in found["files"]]
        parts.append(table([task, "median, µs", "operators", "XNNPACK partitions"], files))
        ratios = [
            [f"{r['of']} / {r['to']}", f"{r['median']:.2f}", f"{r['low']:.2f} to {r['high']:.2f}", f"{r['bar']:.2f}"]
            for r in found["ratios"]
        ]
        parts.append(table(["ratio", "median", "of fifths of the rounds", "goal, at most"], ratios))
    return "\n\n".join(parts)


def profile(report: Values) -> str:
    int8, float32 = report["us"]["int8"], report["us"]["float32"]
    rows = [[kind, f"{int8[kind]:.1f}", f"{float32[kind]:.1f}"] for kind in int8]
    rows.append(["sum", f"{sum(int8.values()):.1f}", f"{sum(float32.values()):.1f}"])
    head = [f"{report['form']}, {report['task']}", "int8, µs", "float32, µs"]
    return f"{PROFILE}\n\nMeasured on {machine(report['machine'])}.\n\n{table(head, rows)}"


def instructions(report: Values) -> str:
    rows = [
        [task, r["cpu"], r["form"], r["int8"], r["float32"], f"{r['ratio']:.3f}", f"{r['bar']:.2f}" if r["bar"] else ""]
        for task, found in report.items()
        for r in found
    ]
    head = ["network", "processor", "block", "int8", "float32", "ratio", "goal, at most"]
    return f"{INSTRUCTIONS}\n\n{table(head, rows)}"


def backends(reports: list[Values]) -> str:
    parts = [BACKENDS]
    for report in reports:
        rows = [
            [f"{c['first']} / {c['second']}", c["windows"], steps(c["lsb_differences"]), c["class_flips"]]
            for c in report["comparisons"]
        ]
        parts.append(f"`{report['model']}`:")
        parts.append(table(["backends", "windows", "logits by difference in steps", "other class"], rows))
    rows = [
        [report["model"], backend, o["operator"], o["elements"], share(o["different"], o["elements"]), o["largest"]]
        for report in reports
        for backend, operators in report["operators_on_every_20th_window"].items()
        for o in operators
        if o["different"]
    ]
    head = ["file", "backend", "operator", "codes", "different from the reference", "by at most, steps"]
    return "\n\n".join([*parts, ROUNDING, table(head, rows)])


def steps(differences: dict[str, int]) -> str:
    """Return a histogram in words, ascending, what lies beyond three steps together."""
    total = sum(differences.values())
    near = {step: count for step, count in sorted((int(s), c) for s, c in differences.items()) if abs(step) <= 3}
    words = [
        f"{step:+d}: {share(count, total)}" if step else f"0: {share(count, total)}" for step, count in near.items()
    ]
    beyond = total - sum(near.values())
    return ", ".join([*words, *([f"beyond: {share(beyond, total)}"] if beyond else [])])


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %"


def engine(report: Values) -> str:
    rows = [
        [name.replace("_", " "), f"{ms:.3f}", f"{report['median_cpu_ms'][name]:.3f}"]
        for name, ms in report["median_wall_ms"].items()
    ]
    shape = " x ".join(str(length) for length in report["window_shape"])
    head = [f"{report['model']}, window {shape}", "wall, ms", "processor, ms"]
    return f"{ENGINE.format(**report)}\n\nMeasured on {machine(report['machine'])}.\n\n{table(head, rows)}"


def machine(found: dict[str, str]) -> str:
    numpy = f", NumPy {found['numpy']}" if "numpy" in found else ""
    return f"{found['processor']}, Python {found['python']}, LiteRT {found['litert']}{numpy}, on {found['date']}"


def table(head: list[str], rows: Iterable[Iterable[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


HEAD = """# int8 against float

`python benchmarks/int8_tables.py --results docs/results --write docs/INT8.md` writes this page; edit nothing here by
hand. Each section names the command that measured it. [How int8 works](explanation/int8.md)"""

ACCURACY = """## Accuracy

`python benchmarks/int8_accuracy.py --data recordings/ --results docs/results/int8.jsonl --seeds 3`

Accuracy in percent, mean over seeds, on held-out windows of 1024 samples: CWRU at load 3 (`cwru`), the motor-fault set
at 1800 rpm (`adi_mfs_mems`). `calibration` takes ranges and biases from calibration windows alone; `qat` is fine-tuned
as `drsn-edge convert --qat` does by default. The drop is float minus int8, mean over all conditions, with the standard
deviation over seeds; below 0, int8 is better. `same` is the share of windows as recorded, in percent, that get the same
class in int8 and in float."""

LATENCY = """## Latency

`python benchmarks/int8_latency.py --json > docs/results/int8_latency.json`

Processor time of one inference of `small`: one process, one thread, LiteRT with its XNNPACK delegate, files in random
order within each round. `rsbu-cw` shrinks with a threshold per channel. `residual` is the same network without
shrinkage. `sign` is the textbook form of shrinkage as TensorFlow converts it."""

PROFILE = """## Where the time goes

`python benchmarks/int8_profile.py --json > docs/results/int8_profile.json`

Microseconds of one inference by kind of kernel, from samples of the processor's clock."""

INSTRUCTIONS = """## Instructions on a Raspberry Pi

`python benchmarks/int8_instructions.py --json > docs/results/int8_instructions.json`

Instructions, not cycles, of one inference of `small` under QEMU's user emulation of the Raspberry Pi 4 (cortex-a72) and
5 (cortex-a76, which has the int8 dot product)."""

BACKENDS = """## The same answer on every runtime

`python benchmarks/backends.py --model cwru.drsn --run run/ --windows 1000`; each output is a line of
`docs/results/backends.jsonl`.

Differences of the logits of held-out windows, second backend minus first, in steps of the int8 output."""

ROUNDING = """Operators that round differently from TFLite's reference kernels, each compared on the backend's own
operands. An operator that is not listed gives the same codes."""

ENGINE = """## The NumPy engine

`OMP_NUM_THREADS=1 python benchmarks/engine.py > docs/results/engine.json`

One window on one thread, medians of interleaved runs. `numpy batch per window` is one window of a batch of {batch}."""

SECTIONS: dict[str, Callable[[Any], str]] = {
    "int8.jsonl": accuracy,
    "int8_latency.json": latency,
    "int8_profile.json": profile,
    "int8_instructions.json": instructions,
    "backends.jsonl": backends,
    "engine.json": engine,
}
"""By the file of the results folder."""


if __name__ == "__main__":
    main()
