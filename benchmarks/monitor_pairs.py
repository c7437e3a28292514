"""Compare the monitor of an earlier commit with this one's, with one fast sensor, in alternation.

    git worktree add ../before COMMIT
    python benchmarks/monitor_pairs.py --model adi.drsn --before ../before --results docs/results/monitor_pairs.json

Every round runs the earlier sources, these, and these with `--latency 20ms`, one after the other and in another order
each time, each as `benchmarks/monitor_cost.py` does. Ratios are taken within a round; medians are over all rounds. The
earlier monitor has no `--latency`. It gets OMP_NUM_THREADS=1, as in its published figures; these sources choose it
for themselves.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from decode import RATE_HZ
from machine import machine
from monitor_cost import bars
from monitored import ONE_THREAD, ROOT, Load, fitted, measure, seconds_of_stream
from wire_players import wire_of

BEFORE, NOW, NOW_20_MS = "before", "now", "now, --latency 20ms"
FIGURES = ("core_share", "wakeups_per_s", "resident_mb", "first_decision_s", "beyond_window_ms_median",
           "beyond_window_ms_p99")  # fmt: skip


def commit_of(checkout: Path) -> str:
    """Return the commit of a checkout, marked if its files differ from it."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def summary_of(runs: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return medians of each partner, ratios within rounds, and what the bars ask for."""
    medians = {
        name: {figure: round(statistics.median(run[figure] for run in found), 4) for figure in FIGURES}
        for name, found in runs.items()
    }
    ratios = {
        name: [round(a["core_share"] / b["core_share"], 4) for a, b in zip(found, runs[BEFORE], strict=True)]
        for name, found in runs.items()
        if name != BEFORE
    }  # fmt: skip
    quick = [run["first_decision_s"] for run in runs[NOW]]
    return {
        "medians": medians,
        "core_share_ratios": ratios,
        "median_ratios": {name: round(statistics.median(found), 4) for name, found in ratios.items()},
        "first_decision_s": {name: [run["first_decision_s"] for run in found] for name, found in runs.items()},
        "first_decisions_within_a_second": f"{sum(each <= 1.0 for each in quick)} of {len(quick)}",
        "samples_lost": sum(run["samples_lost"] + run["samples_not_received"] for run in runs[NOW]),
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--before", type=Path, required=True, metavar="FOLDER", help="checkout of the earlier commit")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each measurement")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {BEFORE: [], NOW: [], NOW_20_MS: []}
    with tempfile.TemporaryDirectory() as name:
        wire = wire_of(seconds_of_stream(given.seconds))
        now = Load(fitted(given.model, RATE_HZ, Path(name)), wire, seconds=given.seconds)
        before = replace(now, checkout=given.before, environment=ONE_THREAD)
        loads = {BEFORE: before, NOW: now, NOW_20_MS: replace(now, latency="20ms")}
        for number in range(given.runs):
            order = [*loads][number % 3 :] + [*loads][: number % 3]
            for partner in order:
                runs[partner].append(measure(loads[partner]))
                print(number + 1, partner, {figure: runs[partner][-1][figure] for figure in FIGURES}, file=sys.stderr)
    report = {
        "command": f"benchmarks/monitor_pairs.py --runs {given.runs} --seconds {given.seconds:g}",
        "machine": machine(),
        "commits": {BEFORE: commit_of(given.before), NOW: commit_of(ROOT)},
        **summary_of(runs),
        "bars": {**bars(None), "median_ratio": 1 / 3, "median_ratio_at_20_ms": 1.0},
        "runs": runs,
    }
    text = json.dumps(report, indent=1)
    print(text)
    if given.results:
        given.results.write_text(text + "\n")


if __name__ == "__main__":
    main()
