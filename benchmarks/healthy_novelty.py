"""Measure novelty learned from healthy recordings alone, on machines at operating points that were never learned.

    python benchmarks/healthy_novelty.py --data recordings/ --results docs/results/healthy_novelty.json

CWRU: learned from the normal recordings of three loads, judged on the normal recording of the fourth load and on all
36 fault recordings, as recorded and without everything above 5 kHz; load 3 is the one that the rule was not chosen by.
Motor faults: learned from `normal` at three speeds, judged at the fourth; and from the first 60 % of `normal` at all
speeds, judged on its last 35 % and on all faults. For each: the share of windows and of seconds that are UNKNOWN and
AUROC over 1 s of evidence, by class, with 95 % intervals. `own windows` are limits without the allowance for operating
points that were never learned. The command prints the tables.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from json_rows import json_rows
from numpy.typing import NDArray

from drsn_edge.evaluation.metrics import wilson_interval
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.differences import differences
from drsn_edge.signal.evidence import TIME_S, combined, windows_in
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.references import hear, learn_references
from drsn_edge.signal.windows import FloatArray, cut_windows, window_starts

SHARE, BELOW_HZ, DRAWS = 0.01, 5000.0, 1000
HEALTHY = "normal"
RULES = ("learned", "own windows")
WINDOWS = {"cwru": 1024, "adi_mfs_mems": 4096}
"""As in benchmarks/open_set.py; the hop is half a window."""


@dataclass(frozen=True)
class Task:
    """What is learned and what is judged; each part is the windows of one recording, with its label.

    Attributes:
        name: Name of the task.
        learned: Healthy windows to learn from.
        judged: Healthy windows and those of faults.
        count: Windows in a second of evidence.
        sample_rate_hz: Sampling rate.
        axes: Names of the axes.
    """

    name: str
    learned: list[FloatArray]
    judged: list[tuple[str, FloatArray]]
    count: int
    sample_rate_hz: float
    axes: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    arguments = parser.parse_args()
    found = [judged(task) for task in tasks(arguments.data)]
    arguments.results.write_text(json_rows({"asked": SHARE, "time_s": TIME_S, "tasks": found}))
    print(tables(found))


def tasks(data: Path) -> Iterator[Task]:
    bearing = list(load_recordings(data / "cwru"))
    for low in (False, True):
        recordings = [below(each, BELOW_HZ) for each in bearing] if low else bearing
        for load in (3, 0, 1, 2):
            normal = [each for each in recordings if each.label == HEALTHY]
            learned = [each for each in normal if each.fields["load_hp"] != load]
            new = [each for each in normal if each.fields["load_hp"] == load]
            faults = [each for each in recordings if each.label != HEALTHY]
            where = ", below 5 kHz" if low else ""
            yield task(f"CWRU{where}, load {load} never learned", "cwru", learned, new + faults)
    motor = list(load_recordings(data / "adi_mfs_mems"))
    for rpm in (600, 1200, 1800, 3000):
        learned = [each for each in motor if each.label == HEALTHY and each.fields["rpm"] != rpm]
        new = [each for each in motor if each.fields["rpm"] == rpm]
        yield task(f"motor, {rpm} rpm never learned", "adi_mfs_mems", learned, new)
    early = [part(each, 0.0, 0.6) for each in motor if each.label == HEALTHY]
    late = [part(each, 0.65, 1.0) if each.label == HEALTHY else each for each in motor]
    yield task("motor, all speeds learned", "adi_mfs_mems", early, late)


def task(name: str, data: str, learned: Sequence[Recording], new: Sequence[Recording]) -> Task:
    window = WINDOWS[data]
    rate = learned[0].sample_rate_hz
    judged = [(each.label or "", windows_of(each, window)) for each in new]
    count = windows_in(TIME_S, window / rate, window / 2 / rate)
    return Task(name, [windows_of(each, window) for each in learned], judged, count, rate, learned[0].axes)


def windows_of(recording: Recording, window: int) -> FloatArray:
    return cut_windows(recording.samples, window_starts(len(recording.samples), window, window // 2), window)


def part(recording: Recording, first: float, last: float) -> Recording:
    n = len(recording.samples)
    return replace(recording, samples=recording.samples[round(first * n) : round(last * n)])


def below(recording: Recording, hz: float) -> Recording:
    spectrum = np.fft.rfft(recording.samples, axis=0)
    spectrum[np.fft.rfftfreq(len(recording.samples), 1 / recording.sample_rate_hz) > hz] = 0
    samples = np.fft.irfft(spectrum, len(recording.samples), axis=0).astype(np.float32)
    return replace(recording, samples=samples)


def judged(task: Task) -> dict[str, Any]:
    stretches = np.repeat(np.arange(len(task.learned)), [len(each) for each in task.learned])
    windows = np.concatenate(task.learned)
    heard = hear(windows, stretches)
    known = learn_references(heard, SHARE)
    rules = dict(zip(RULES, (known, learn_references(heard, SHARE, new_points=False)), strict=True))
    return {
        "name": task.name,
        "from": {"windows": len(windows), "recordings": len(task.learned), "references": len(known.prototypes)},
        "limits": [round(float(each), 2) for each in known.limits],
        **{rule: figures(task, novelty) for rule, novelty in rules.items()},
        "differences": words(task, known),
    }


def words(task: Task, known: Novelty) -> dict[str, list[str]]:
    """Return what differs in the first second of the last recording of each class."""
    last = {label: windows[: task.count] for label, windows in task.judged}
    return {
        label: [each.words for each in differences(known, windows, task.sample_rate_hz, task.axes)]
        for label, windows in last.items()
    }


def figures(task: Task, novelty: Novelty) -> dict[str, Any]:
    """Return the figures of each class; a second is a second of evidence, and seconds do not overlap."""
    found = [(label, novelty.novelty(windows)) for label, windows in task.judged]
    seconds: dict[str, list[NDArray[np.float64]]] = {}
    for label, values in found:
        count = min(task.count, len(values))
        seconds.setdefault(label, []).append(combined(values, count)[::count])
    healthy = np.concatenate(seconds[HEALTHY])
    classes = {}
    for label, parts in sorted(seconds.items()):
        windows = np.concatenate([values for each, values in found if each == label])
        own = np.concatenate(parts)
        classes[label] = {"windows": share(windows), "seconds": share(own), "median": round(float(np.median(own)), 2)}
        if label != HEALTHY:
            classes[label]["auroc"] = auroc(healthy, own)
    faults = np.concatenate([each for label, parts in seconds.items() if label != HEALTHY for each in parts])
    least = round(float(faults.min()), 2)
    return {
        "all faults": {"seconds": share(faults), "auroc": auroc(healthy, faults), "least": least},
        "healthy, most": round(float(healthy.max()), 2),
        "classes": classes,
    }


def share(novelties: NDArray[np.floating]) -> dict[str, Any]:
    unknown = int((novelties > 1).sum())
    low, high = wilson_interval(unknown, len(novelties))
    return {"n": len(novelties), "unknown": unknown, "interval_95": [round(low, 4), round(high, 4)]}


def auroc(healthy: NDArray[np.float64], faults: NDArray[np.float64]) -> dict[str, Any]:
    """Return AUROC and its interval by drawing seconds again; where none overlap, the interval is that one number."""
    rng = np.random.default_rng(0)
    won = (faults > healthy[:, None]) + 0.5 * (faults == healthy[:, None])
    one, other = (rng.multinomial(n, np.full(n, 1 / n), DRAWS) / n for n in won.shape)
    low, high = np.quantile(np.einsum("ij,ij->i", one @ won, other), (0.025, 0.975)).tolist()
    return {"auroc": round(float(won.mean()), 4), "interval_95": [round(low, 4), round(high, 4)]}


def tables(found: Sequence[dict[str, Any]]) -> str:
    rows = [
        "| task | healthy UNKNOWN, windows | without the allowance | faults UNKNOWN, seconds | without the allowance | "
        "AUROC over 1 s |",
        "|---|---|---|---|---|---|",
    ]
    for each in found:
        cells = [
            _percent(values)
            for values in (
                *(each[rule]["classes"][HEALTHY]["windows"] for rule in RULES),
                *(each[rule]["all faults"]["seconds"] for rule in RULES),
            )
        ]
        rows.append(f"| {each['name']} | {' | '.join(cells)} | {_area(each['learned']['all faults']['auroc'])} |")
    for each in found:
        rows += ["", f"{each['name']}:", "", "| class | UNKNOWN, windows | UNKNOWN, seconds | AUROC over 1 s |"]
        rows.append("|---|---|---|---|")
        rows += [
            f"| {label} | {_percent(values['windows'])} | {_percent(values['seconds'])} | "
            f"{_area(values['auroc']) if 'auroc' in values else ''} |"
            for label, values in each["learned"]["classes"].items()
        ]
    return "\n".join(rows)


def _percent(values: dict[str, Any]) -> str:
    low, high = values["interval_95"]
    return f"{values['unknown'] / values['n']:.1%} ({low:.1%} to {high:.1%}) of {values['n']}"


def _area(values: dict[str, Any]) -> str:
    low, high = values["interval_95"]
    return f"{values['auroc']:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
