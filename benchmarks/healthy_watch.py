"""Count what a bundle of healthy recordings and a bearing says of real faults, by the commands that a user types.

    python benchmarks/healthy_watch.py --data recordings/cwru --results docs/results/healthy_watch.json

`train --simulate-faults` learns the normal recordings at loads 0 to 2, and `convert` makes the bundle. `classify --rpm`
judges the 36 recordings of faults and the normal recording at load 3, each at the speed that it states. The figures are
shares of windows: a name needs two seconds that agree, so that the first two of each recording cannot have one. The
normal recordings passed a filter that the others did not, which makes UNKNOWN easier, and names no easier.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from machine import machine

from drsn_edge.recordings.loading.load import load_recordings

BEARING = "[bearing]\nn_balls = 9\nball_diameter_mm = 7.94\npitch_diameter_mm = 39.04\n"
NAMES = {"OR": "like outer_race", "IR": "like inner_race", "B": "like ball", "normal": "normal"}
LEARNED = tuple(f"normal_load{load}.npz" for load in range(3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of CWRU's recordings")
    parser.add_argument("--results", type=Path, required=True, help="file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(arguments.data, Path(folder))
    arguments.results.write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n")
    for label, row in found["labels"].items():
        print(f"{label:8}{row['windows']:6}  " + ", ".join(f"{name} {n}" for name, n in row["said"].items()))
    print(found["all"])


def measured(data: Path, folder: Path) -> dict[str, Any]:
    """Return the windows of each label by what was said of them, and the shares of all fault windows."""
    healthy, limits, run, bundle = (folder / name for name in ("healthy", "limits.toml", "run", "motor.drsn"))
    healthy.mkdir()
    for name in LEARNED:
        shutil.copy(data / name, healthy)
    limits.write_text(BEARING)
    told("train", "--data", healthy, "--simulate-faults", limits, "--out", run)
    converted = told("convert", run, "--out", bundle)
    said: dict[str, Counter[str]] = {}
    for recording in load_recordings(data):
        path = data / f"{recording.name}.npz"
        if path.name not in LEARNED:
            rpm = float(recording.fields["rpm"])
            (judged,) = told("classify", path, "--model", bundle, "--rpm", rpm)["recordings"]
            said.setdefault(str(recording.label), Counter()).update(judged["verdicts"])
    rows = {
        label: {"windows": counts.total(), "right": counts[name_of(label)], "said": dict(counts.most_common())}
        for label, counts in sorted(said.items())
    }
    return {"labels": rows, "all": shares(rows), "early": converted["early"]}


def name_of(label: str) -> str:
    return next(name for prefix, name in NAMES.items() if label.startswith(prefix))


def shares(rows: dict[str, dict[str, Any]]) -> dict[str, float]:
    faults = [row for label, row in rows.items() if label != "normal"]
    windows = sum(row["windows"] for row in faults)
    named = sum(n for row in faults for name, n in row["said"].items() if name.startswith("like "))
    return {
        "fault windows": windows,
        "taken for healthy": sum(row["said"].get("normal", 0) for row in faults) / windows,
        "named": named / windows,
        "right of named": sum(row["right"] for row in faults) / named,
    }


def told(*command: object) -> dict[str, Any]:
    program = [sys.executable, "-m", "drsn_edge.cli.main", *map(str, command), "--json"]
    values: dict[str, Any] = json.loads(subprocess.run(program, check=True, stdout=subprocess.PIPE).stdout)
    return values


if __name__ == "__main__":
    main()
