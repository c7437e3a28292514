"""Write docs/RUNTIMES.md and its picture from the results of the benchmarks of runtimes.

    python benchmarks/runtime_tables.py --results docs/results/ --write docs/RUNTIMES.md

Each section comes from a file of the results folder; a section whose file is missing is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from int8_tables import steps, table, write_document
from monitor_stages import OUTSIDE, STAGES
from pi_monitor import KERNEL_PER_CALL

Values = Any

INSIDE = [stage for stage in STAGES if stage != OUTSIDE]

matplotlib.use("Agg")


def main() -> None:
    write_document(__doc__, HEAD, SECTIONS)


def runtimes(reports: list[Values], folder: Path) -> str:
    draw(reports, folder / "runtimes.png")
    parts = [RUNTIMES]
    for report in reports:
        rows = [
            [c["second"], c["windows"], steps(c["lsb_differences"]), c["class_flips"], margins(c["flip_margins_lsb"])]
            for c in report["comparisons"]
        ]
        same = "; ".join(" and ".join(pair) for pair in report["equal"]) or "none"
        parts.append(f"`{report['model']}`; equal in every logit: {same}.")
        head = ["runtime", "windows", "logits by difference in steps", "other class", "margin, steps"]
        parts.append(table(head, rows))
    return "\n\n".join(parts)


def margins(found: list[int]) -> str:
    return f"{found[0]} to {found[-1]}, median {found[len(found) // 2]}" if found else ""


def draw(reports: list[Values], path: Path) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(reports), figsize=(6 * len(reports), 4), squeeze=False, sharey=True)
    for ax, report in zip(axes[0], reports, strict=True):
        found = report["comparisons"]
        for number, c in enumerate(found):
            differences = {int(step): count for step, count in c["lsb_differences"].items()}
            at = np.array(sorted(differences)) + (number - (len(found) - 1) / 2) * 0.16
            shares = np.array([differences[step] for step in sorted(differences)]) / sum(differences.values())
            ax.bar(at, 100 * shares, width=0.15, label=c["second"])
        ax.set(title=report["model"], xlabel="difference from the NumPy engine's logit, steps of int8", yscale="log")
        ax.set_xticks(range(-6, 7))
    axes[0][0].set_ylabel("share of the logits, %")
    axes[0][-1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def instructions(report: Values, _: Path) -> str:
    cpus = list(dict.fromkeys(row["cpu"] for row in report["rows"]))
    found = {(row["network"], row["block"], row["cpu"]): row for row in report["rows"]}
    cases = list(dict.fromkeys((row["network"], row["block"]) for row in report["rows"]))
    head = ["network", "block", *(f"{cpu} {kind}" for cpu in cpus for kind in ("int8", "float32"))]
    rows = [
        [*case, *(thousands(found[(*case, cpu)][kind]) for cpu in cpus for kind in ("int8", "float32"))]
        for case in cases
    ]
    ratios = [[each["cpu"], f"{each['ratio']:.3f}", f"{each['bar']:.1f}"] for each in report["ratios"]]
    ratio_head = ["processor", "`small`: rsbu-cw / residual, int8", "goal, at most"]
    return f"{INSTRUCTIONS}\n\n{table(head, rows)}\n\n{table(ratio_head, ratios)}"


def thousands(count: int) -> str:
    return f"{count / 1000:.0f}"


def monitor(versions: Values, _: Path) -> str:
    names = list(versions)
    found = {(name, each["cpu"], each["rate_hz"]): each for name in names for each in versions[name]["estimates"]}
    cases = list(dict.fromkeys((cpu, rate_hz) for _, cpu, rate_hz in found))
    shares = [
        [
            each[0]["pi"],
            f"{each[0]['rate_hz'] / 1000:.1f} kHz",
            *(share(found.get((name, *case))) for name in names),
            goal(each[0]["bar"]),
        ]
        for case in cases
        for each in [[row for key, row in found.items() if key[1:] == case]]
    ]
    estimates = table(["estimate for", "rate", *names, "goal"], shares)
    parts = [MONITOR.format(per_call=KERNEL_PER_CALL), estimates, STAGE_NAMES]
    for cpu, title in (("cortex-a72", "a Pi 4"), ("x86-64", "x86-64")):
        parts += [MONITOR_STAGES.format(of=title), by_stage(versions, cpu)]
    return "\n\n".join([*parts, MONITOR_REST, rest_table(versions)])


def share(estimate: Values | None) -> str:
    return "" if estimate is None else f"{100 * estimate['share']:.0f} %"


def goal(bar: float | None) -> str:
    return "" if bar is None else f"at most {100 * bar:.0f} %"


def by_stage(versions: Values, cpu: str) -> str:
    rows = {
        (f"{row['rate_hz'] / 1000:.1f} kHz, {name}"): row
        for name, report in versions.items()
        for row in report["rows"]
        if row["cpu"] == cpu
    }
    columns = sorted(rows, key=lambda title: -rows[title]["rate_hz"])
    lines = [[stage, *(millions(rows[title]["instructions"].get(stage, 0)) for title in columns)] for stage in INSIDE]
    lines.append(["all", *(millions(rows[title]["total"]) for title in columns)])
    return table(["stage", *columns], lines)


def rest_table(versions: Values) -> str:
    rows = [
        [name, f"{each['rate_hz'] / 1000:.1f} kHz" if each["rate_hz"] else "silent", millions(each["instructions"]),
         f"{each['calls']:.0f}"]
        for name, report in versions.items()
        for each in report["running"]
        if each["kept_up"]
    ]  # fmt: skip
    return table(["version", "sensor", "instructions", "system calls"], rows)


def millions(count: float) -> str:
    return f"{count / 1e6:.1f}"


def sizes(report: Values, _: Path) -> str:
    rows = [[name, f"{size / 1e6:.1f}"] for name, size in report["packages"].items()]
    rows.append(["all", f"{report['bytes'] / 1e6:.1f}"])
    return f"{SIZES.format(**report)}\n\n{table(['package', 'MB'], rows)}"


HEAD = """# Runtimes

`python benchmarks/runtime_tables.py --results docs/results --write docs/RUNTIMES.md` writes this page; edit nothing
here by hand. Each section names the command that measured it."""

RUNTIMES = """## One bundle on six runtimes

`python benchmarks/runtimes.py --model cwru.drsn --run run/ --windows 1000 >> docs/results/runtimes.jsonl`

Each runtime gets the same codes of the same held-out windows: LiteRT 2.3 and tflite-runtime 2.14 on x86-64 (Python
3.11) and on the emulated aarch64 of a Raspberry Pi 4, and tflite-runtime with Debian's NumPy 1.24 on an emulated
armv7l. Logits are compared with those of the NumPy engine, which are equal to those of TFLite's reference kernels, in
steps of int8. The margin is the distance between the two best logits of a window that gets another class.

![Histogram of the differences of logits by runtime, for each bundle](runtimes.png)"""

INSTRUCTIONS = """## Instructions on a Raspberry Pi

`make pi-bench`

Thousands of instructions, not cycles, of one inference by LiteRT under QEMU's user emulation, for untrained networks of
every preset. cortex-a53 is a Raspberry Pi 3 or Zero 2 W, cortex-a72 a Pi 4, and cortex-a76 a Pi 5, which has the int8
dot product. Two runs differ by tens of instructions."""

MONITOR = """## The whole monitor on a Raspberry Pi

`make pi-bench MODEL=machine.drsn`

An estimate of the share of one core that a monitor takes with one sensor of 3 axes, windows of 1024 samples that
overlap by half, alarms, severity, history, MQTT and `--lines` with every window. No Pi was measured. The instructions
of the process were counted under QEMU's user emulation, with Debian's Python 3.11 and the wheels of NumPy and LiteRT
for aarch64, whose NEON kernels are chosen by the processor. From instructions to time, this is assumed:

- 1.0 instruction per cycle on a Pi 4 (1.5 GHz) and a Pi 5 (2.4 GHz), 0.6 on a Pi Zero 2 W (1.0 GHz). A published count
  on a [Pi 4](https://github.com/SE-Processor-Fuzzing/control-hazard-analyzer/issues/65) has 0.88, for `ls`.
- {per_call} instructions of the kernel for each system call. The emulation counts the calls, and does not run them.

"Before slices" is the monitor as it was before it judged samples in slices of time ([latency](explanation/latency.md)).

The shares may well be two to three times as high. On an x86-64 machine (Intel Xeon, busy with other programs), the
stages before slices took 2.1 instructions per nanosecond, and Python's n-body benchmark 7.5. 5 million steps of n-body
took [158 s on a Pi 4](https://chaitanyamehta.github.io/projects/performance-analysis-of-programming-languages). That is
1.2 instructions per cycle with the 58,000 instructions that Python 3.11 takes a step, and more if it was an older
Python. A monitor that falls behind n-body on a Pi as far as on x86-64 has 0.35 instructions per cycle, or some more."""

STAGE_NAMES = """Stages of the next tables: `reading` the port; `decoding` frames; `blocks`, the clock and the cutting
of windows for each block of samples; `quality` of windows; `judge`, what joins the stages that judge a window;
`spectra`, the spectra and inputs of the network; `novelty`, the distance from the training data; `noise alone`, the
check for a sensor that measures only noise; `network`, its inference; `severity` of the vibration; `decisions`, with
alarms; `lines` and `history`, the two outputs."""

MONITOR_STAGES = """Millions of instructions for a second of stream, by stage, on {of}:"""

MONITOR_REST = """Millions of instructions per second of a whole monitor on the emulated Pi 4, with its threads, their
waking up, and MQTT to a local broker. The estimate adds what is above the sum of the stages. Monitor and sensor ran in
slow motion, so that the emulator kept up; a case in which it did not is left out."""

SIZES = """## Installed size

`python benchmarks/installed_size.py > docs/results/installed_size.json`

Size of the files on the disk, compiled Python included, of a fresh virtual environment with `requirements/gateway.txt`
and the wheel, without pip, on {platform} with Python {python}. The goal is at most 190 MB."""

SECTIONS: dict[str, Callable[[Any, Path], str]] = {
    "runtimes.jsonl": runtimes,
    "pi_instructions.json": instructions,
    "pi_monitor.json": monitor,
    "installed_size.json": sizes,
}
"""By the file of the results folder."""


if __name__ == "__main__":
    main()
