"""Plant 13 kinds of damage in recordings, each in 5 strengths, and see what `train` says before it trains.

    python benchmarks/planted_damage.py --results docs/results/planted_damage.json \
        --page docs/explanation/recording-quality.md [--data /path/to/real/recordings]

Three machines, two classes, 20 s at 800 Hz in g on three axes, hold-out set `machine=2`, window 512. The damage is in
the class `worn` only, as in a folder where one sensor failed. With --data, the real recordings are checked as well, and
each warning is listed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.damage import check_damage
from drsn_edge.datasets.doubts import doubts_about
from drsn_edge.datasets.profile import profile_of
from drsn_edge.errors import SplitError
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.support.files import write_file
from drsn_edge.training.feed import split_recordings
from drsn_edge.training.settings import TrainSettings

RATE_HZ, SECONDS, WINDOW = 800, 20, 512
STEP = 1 / 4096
MACHINES = 3
SETTINGS = TrainSettings("machine=2", window=WINDOW)
REAL = {"cwru": 1024, "adi_mfs_mems": 1024, "fan_mems_ceiling": 128}
"""Folders of the real recordings, and their windows in samples."""

Samples = NDArray[np.float64]
Plant = Callable[[Samples, int], Samples]
"""Takes the samples of a recording and the number of its machine, returns them with damage."""


def machine(label: str, seed: int, seconds: float = SECONDS) -> Samples:
    """A shaft with harmonics, impacts of a worn bearing, noise and gravity, shape (n, 3), in g."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    shaft = 23.7 * (1 + 0.01 * rng.uniform(-1, 1))
    x = sum(0.1 / k * np.sin(2 * np.pi * k * shaft * t + rng.uniform(0, 6)) for k in (1, 2, 3))
    if label == "worn":
        phase = (3.6 * shaft * t) % 1
        x = x + 0.25 * np.exp(-phase / 0.15) * np.sin(2 * np.pi * 210 * t)
    spread = np.stack([x, 0.6 * x, 0.3 * x], axis=1) + 0.02 * rng.normal(size=(len(t), 3))
    return np.asarray(spread + np.array([0.03, -0.02, 1.0]))


def dead(share: float) -> Plant:
    def plant(x: Samples, number: int) -> Samples:
        x[round(len(x) * (1 - share)) :] = 0
        return x

    return plant


def stuck(length: int) -> Plant:
    def plant(x: Samples, number: int) -> Samples:
        for start in range(100, len(x) - length, RATE_HZ):
            x[start : start + length, 1] = x[start, 1]
        return x

    return plant


def clipped(share: float) -> Plant:
    def plant(x: Samples, number: int) -> Samples:
        return np.minimum(x, np.quantile(x, 1 - share, axis=0))

    return plant


def repeated(times: float) -> Plant:
    return lambda x, number: x[(np.arange(len(x)) / times).astype(int)]


def wrapped(share: float) -> Plant:
    def plant(x: Samples, number: int) -> Samples:
        half = np.ceil(np.quantile(np.abs(x[:, 0]), 1 - share) / STEP) * STEP
        x[:, 0] = (x[:, 0] + half) % (2 * half) - half
        return x

    return plant


def unsigned(share: float) -> Plant:
    def plant(x: Samples, number: int) -> Samples:
        part = x[: round(share * len(x))]
        part[part < 0] += 65536 * STEP
        return x

    return plant


def in_unit(factor: float, machines: float) -> Plant:
    """Scale the first of the machines; a half is the first half of a recording."""

    def plant(x: Samples, number: int) -> Samples:
        share = min(1.0, max(0.0, machines - number))
        x[: round(share * len(x))] *= factor
        return x

    return plant


def spikes(height: float) -> Plant:
    def plant(x: Samples, number: int) -> Samples:
        x[50 :: RATE_HZ // 2, 0] += height * x[:, 0].std()
        return x

    return plant


def dropouts(share: float) -> Plant:
    def plant(x: Samples, number: int) -> Samples:
        x[np.random.default_rng(number).random(len(x)) < share] = 0
        return x

    return plant


def jump(offset: float) -> Plant:
    def plant(x: Samples, number: int) -> Samples:
        x[round(0.6 * len(x)) :, 1] += offset
        return x

    return plant


def hum(amplitude: float) -> Plant:
    def plant(x: Samples, number: int) -> Samples:
        t = np.arange(len(x)) / RATE_HZ
        mains = np.sum([np.sin(2 * np.pi * 50.01 * k * t + number) / k for k in (1, 2, 3)], axis=0)
        return np.asarray(x + amplitude * mains[:, None])

    return plant


def louder(factor: float) -> Plant:
    def plant(x: Samples, number: int) -> Samples:
        means = x.mean(axis=0)
        return np.asarray(means + factor * (x - means))

    return plant


@dataclass(frozen=True)
class Kind:
    """A kind of damage: its name, and five strengths in words with what plants them."""

    name: str
    strengths: Mapping[str, Plant]


KINDS = (
    Kind("dead at the end", {f"{100 * s:g} % of each file": dead(s) for s in (0.005, 0.02, 0.1, 0.5, 0.87)}),
    Kind("one axis sticks, once a second", {f"{n} samples": stuck(n) for n in (3, 6, 12, 50, 300)}),
    Kind("clipped at one end", {f"{100 * s:g} % of the samples": clipped(s) for s in (1e-4, 1e-3, 0.01, 0.1, 0.3)}),
    Kind("values read several times", {f"{k:g} times": repeated(k) for k in (1.05, 1.25, 2, 4, 8)}),
    Kind("wraps at its range", {f"{100 * s:g} % of the samples": wrapped(s) for s in (1e-4, 1e-3, 0.01, 0.1, 0.3)}),
    Kind("lost sign", {f"first {100 * s:g} % of each file": unsigned(s) for s in (0.005, 0.02, 0.1, 0.5, 1.0)}),
    Kind("m/s2 called g", {f"{m:g} of 3 files": in_unit(9.80665, m) for m in (0.1, 0.5, 1, 2, 3)}),
    Kind("mg called g", {f"{m:g} of 3 files": in_unit(1000, m) for m in (0.1, 0.5, 1, 2, 3)}),
    Kind("spikes, twice a second", {f"{h:g} times the RMS": spikes(h) for h in (3, 10, 30, 100, 300)}),
    Kind("readings drop to 0", {f"{100 * s:g} % of the samples": dropouts(s) for s in (1e-4, 1e-3, 5e-3, 0.02, 0.1)}),
    Kind("offset jumps and stays", {f"{g:g} g": jump(g) for g in (0.01, 0.05, 0.2, 0.5, 2)}),
    Kind("mains hum in one class", {f"{1000 * a:g} mg": hum(a) for a in (0.001, 0.005, 0.01, 0.02, 0.1)}),
    Kind("one class louder", {f"{f:g} times": louder(f) for f in (3, 10, 50, 100, 1000)}),
)  # fmt: skip


def recordings_with(plant: Plant | None) -> list[Recording]:
    """Return the recordings of all machines and classes, with damage in the class `worn`."""
    found = []
    for number in range(MACHINES):
        for label in ("healthy", "worn"):
            x = machine(label, 10 * number + (label == "worn"))
            if plant is not None and label == "worn":
                x = plant(x, number)
            samples = (np.rint(x / STEP) * STEP).astype(np.float32)
            name = f"pump{number}_{label}"
            found.append(Recording(name, samples, float(RATE_HZ), tuple("xyz"), "g", label, name, {"machine": number}))
    return found


def outcome(plant: Plant | None) -> dict[str, Any]:
    """Return whether `train` refuses, warns or passes, how many windows of the class are damaged, and the message."""
    recordings = recordings_with(plant)
    try:
        split = split_recordings(recordings, SETTINGS)
    except SplitError as exc:
        if exc.problem != "damaged":
            return {"outcome": "refused", "damaged": None, "message": str(exc).splitlines()[0]}
        lines = [line for line in str(exc).splitlines() if line]
        return {"outcome": "refused", "damaged": exc.facts["share"], "message": f"{lines[0]} ... {lines[2]}"}
    worn = [each for each in split.damage if each.label == "worn"]
    share = sum(each.damaged for each in worn) / sum(each.windows for each in worn)
    reasons = sorted({reason for each in worn for reason in each.reasons})
    messages = [f"Left out: {', '.join(reasons)}."] if share else []
    messages += [doubt.sentence for doubt in split.doubts]
    return {"outcome": "warned" if messages else "passed", "damaged": share, "message": " ".join(messages)}


def planted() -> list[dict[str, Any]]:
    """Return one row for each kind and strength."""
    rows = [{"kind": "none", "strength": "", **outcome(None)}]
    for kind in KINDS:
        rows += [{"kind": kind.name, "strength": name, **outcome(plant)} for name, plant in kind.strengths.items()]
    return rows


def real(folder: Path, window: int) -> dict[str, Any]:
    """Return what is said of real recordings, and the processor time of the checks."""
    recordings = [replace(each, label=each.label or "") for each in load_recordings(folder)]
    began = time.process_time()
    damage = check_damage(recordings, window, window // 2, 0.05)
    checked = time.process_time()
    doubts = doubts_about([profile_of(each) for each in recordings])
    return {
        "folder": folder.name,
        "recordings": len(recordings),
        "windows": sum(each.windows for each in damage),
        "damaged": {each.recording: dict(each.reasons) for each in damage if each.damaged},
        "doubts": [doubt.sentence for doubt in doubts],
        "damage_cpu_s": round(checked - began, 2),
        "doubts_cpu_s": round(time.process_time() - checked, 2),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table for the page: a line for each kind, a column for each strength."""
    lines = ["| planted in one class | weakest | | | | strongest |", "|---|---|---|---|---|---|"]
    for kind in KINDS:
        cells = [_cell(row) for row in rows if row["kind"] == kind.name]
        lines.append(f"| {kind.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: dict[str, Any]) -> str:
    share = f" ({row['damaged']:.0%})" if row["damaged"] else ""
    return f"{row['strength']}: {row['outcome']}{share}"


def write_page(page: Path, text: str) -> None:
    """Replace the table between the two marks of a page."""
    begin, end = "<!-- planted damage -->\n", "<!-- end of planted damage -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    write_file(page, f"{before}{begin}{text}\n{end}{after}".encode())


def main() -> None:
    """Measure, and write results and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    kept = json.loads(arguments.results.read_text()) if arguments.results.exists() else {}
    values: dict[str, Any] = {"planted": planted(), "real": kept.get("real", [])}
    if arguments.data:
        values["real"] = [real(arguments.data / name, window) for name, window in REAL.items()]
    write_file(arguments.results, (json.dumps(values, indent=1) + "\n").encode())
    text = table(values["planted"])
    if arguments.page:
        write_page(arguments.page, text)
    print(text)


if __name__ == "__main__":
    main()
