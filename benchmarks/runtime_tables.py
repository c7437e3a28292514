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

Values = Any

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

SIZES = """## Installed size

`python benchmarks/installed_size.py > docs/results/installed_size.json`

Size of the files on the disk, compiled Python included, of a fresh virtual environment with `requirements/gateway.txt`
and the wheel, without pip, on {platform} with Python {python}. The goal is at most 190 MB."""

SECTIONS: dict[str, Callable[[Any, Path], str]] = {
    "runtimes.jsonl": runtimes,
    "pi_instructions.json": instructions,
    "installed_size.json": sizes,
}
"""By the file of the results folder."""


if __name__ == "__main__":
    main()
