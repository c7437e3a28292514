"""Measure what carries over to a new speed, load or size of fault, by folds inside the training side.

    python benchmarks/new_conditions.py --data recordings/ --results docs/results/new_conditions.json

For each value that could be held out, the rest is the training side, and each of its values is held out in turn. The
table has the mean accuracy over these inner folds, clean and with white noise at 0 dB, and the number of folds in which
a lever beats its base. The hold-out itself is never touched. Classifiers are linear discriminants with a shrunk scatter
(scikit-learn, shrinkage by Ledoit and Wolf) on the views of windows: quick enough for all levers, and no proof for
networks, which may rank them otherwise.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.bearing import SKF_6205
from drsn_edge.signal.noise import add_noise
from drsn_edge.signal.spectra import VIEWS, Spectra, Transform, log_spectra
from drsn_edge.signal.windows import centre, cut_windows, window_starts
from drsn_edge.simulation.fault_signals import Fault, Place, resonances_of, with_fault
from drsn_edge.training.spectral import mix_styles

Array = NDArray[np.float32]
Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]

LINES, POOLED, COPIES, MIXED = 64, 4, 3, 1.0
CONDITIONS = ("clean", "0 dB")
SEVERITIES_DB = (-5.0, 5.0, 15.0)
BASE = "bands"


@dataclass(frozen=True)
class Windows:
    """Windows of a data set, one row each.

    Attributes:
        views: Log spectra by condition and view, shape (n, lines * channels).
        labels: Class index.
        values: Value of the field that is held out; NaN: in no fold (it is trained on).
        points: Number of the operating point: speed and load.
        recordings: Number of the recording; windows of one follow each other.
        healthy: Class index of the healthy machine.
        simulated: Log spectra of simulated faults by view, their class indices and their operating points; None: no
            fault was simulated.
    """

    views: dict[str, dict[str, Array]]
    labels: NDArray[np.int64]
    values: NDArray[np.float64]
    points: NDArray[np.int64]
    recordings: NDArray[np.int64]
    healthy: int
    simulated: tuple[dict[str, Array], NDArray[np.int64], NDArray[np.int64]] | None = None


@dataclass(frozen=True)
class Fold:
    """Which windows an inner fold trains on, and which it judges."""

    name: str
    learned: Flags
    judged: Flags


Lever = Callable[[Windows, Fold, str], Scores]
"""Returns log probabilities of the judged windows, shape (m, classes), in one of `CONDITIONS`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the folders cwru and adi_mfs_mems")
    parser.add_argument("--results", type=Path, required=True, help="file to write")
    arguments = parser.parse_args()
    found = {name: measured(windows) for name, windows in data_sets(arguments.data)}
    arguments.results.write_text(json.dumps({"machine": machine(), "sets": found}, indent=1) + "\n")
    print(table(found))


def data_sets(data: Path) -> Iterator[tuple[str, Windows]]:
    motor, bearing = (list(load_recordings(data / name)) for name in ("adi_mfs_mems", "cwru"))
    yield "motor, another speed", windows_of(motor, 4096, "rpm", lambda each: str(each.label))
    yield "CWRU, another load", windows_of(bearing, 1024, "load_hp", lambda each: str(each.label))
    yield "CWRU, another size of fault", windows_of(bearing, 1024, "fault_size_in", fault_of, simulate=True)


def fault_of(recording: Recording) -> str:
    return str(recording.fields.get("fault", "normal"))


def windows_of(
    recordings: Sequence[Recording],
    length: int,
    field: str,
    label: Callable[[Recording], str],
    simulate: bool = False,
) -> Windows:
    """Cut all windows of the recordings, and transform them clean and with noise."""
    classes = sorted({label(each) for each in recordings})
    healthy = classes.index("normal")
    cut = [cut_windows(each.samples, window_starts(len(each.samples), length, length), length) for each in recordings]
    counts, rng = [len(each) for each in cut], np.random.default_rng(0)
    rate = recordings[0].sample_rate_hz
    speeds = np.repeat([each.speed_hz for each in recordings], counts)
    points = {key: at for at, key in enumerate(sorted({_point(each) for each in recordings}))}
    joined = np.concatenate(cut)
    views = {
        condition: views_of(joined if condition == "clean" else add_noise(joined, 0.0, rng), speeds, rate)
        for condition in CONDITIONS
    }
    found = Windows(
        views,
        np.repeat([classes.index(label(each)) for each in recordings], counts),
        np.repeat([_value(each, field) for each in recordings], counts),
        np.repeat([points[_point(each)] for each in recordings], counts),
        np.repeat(np.arange(len(recordings)), counts),
        healthy,
    )
    if not simulate:
        return found
    return Windows(**{**vars(found), "simulated": simulated(recordings, cut, classes, points, rate)})


def simulated(
    recordings: Sequence[Recording],
    cut: Sequence[Array],
    classes: Sequence[str],
    points: dict[tuple[float, float], int],
    rate: float,
) -> tuple[dict[str, Array], NDArray[np.int64], NDArray[np.int64]]:
    """Return simulated faults in the healthy windows: their views, class indices and operating points."""
    made, labels, at_points, speeds = list[Array](), list[int](), list[int](), list[float]()
    for each, windows in zip(recordings, cut, strict=True):
        if fault_of(each) != "normal":
            continue
        place = Place(rate, each.speed_hz, SKF_6205, resonances_of(windows, rate))
        for name, of_class in (("outer_race", "outer"), ("inner_race", "inner"), ("ball", "ball")):
            index = next(at for at, known in enumerate(classes) if known.startswith(of_class))
            for seed, severity_db in enumerate(SEVERITIES_DB):
                made.append(with_fault(windows, Fault(name, severity_db), place, seed))
                labels += [index] * len(windows)
                at_points += [points[_point(each)]] * len(windows)
                speeds += [each.speed_hz] * len(windows)
    return views_of(np.concatenate(made), np.array(speeds), rate), np.array(labels), np.array(at_points)


def _value(recording: Recording, field: str) -> float:
    """Return the value of a field; NaN where there is none, or a size of 0: a healthy machine has no fault."""
    value = float(recording.fields.get(field, "nan"))
    return value if value or field != "fault_size_in" else float("nan")


def _point(recording: Recording) -> tuple[float, float]:
    fields = recording.fields
    load = float(fields.get("load_hp", fields.get("load_lb", 0)))
    return (load, 0.0) if "load_hp" in fields else (float(fields["rpm"]), load)


def views_of(windows: Array, speeds_hz: NDArray[np.float64], rate: float) -> dict[str, Array]:
    """Return the log spectra of windows by view, shape (n, lines * channels)."""
    found: dict[str, list[Array]] = {view: [] for view in VIEWS}
    for at in range(0, len(windows), 256):
        transform = Transform.of(centre(windows[at : at + 256]).by_axis)
        for view in VIEWS:
            spectra = Spectra((view,), LINES)
            part = log_spectra(transform, spectra, rate, speeds_hz[at : at + 256])
            found[view].append(part.reshape(len(part), -1))
    return {view: np.concatenate(parts) for view, parts in found.items()}


# --- levers ----------------------------------------------------------------------------------------------------------


def discriminants(learned: Array, labels: NDArray[np.int64], judged: Array, n_classes: int) -> Scores:
    """Return log probabilities of every class; those that were not learned have none."""
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(learned, labels)
    scores = np.full((len(judged), n_classes), -1e3)
    scores[:, model.classes_] = model.predict_log_proba(judged)
    return scores


def on_views(*views: str) -> Lever:
    """Return discriminants on views."""

    def scored(windows: Windows, fold: Fold, condition: str) -> Scores:
        shown = np.concatenate([windows.views[condition][view] for view in views], 1)
        learned = with_noise_too(windows, fold, views)
        labels = np.tile(windows.labels[fold.learned], 2)
        return discriminants(learned, labels, shown[fold.judged], windows.labels.max() + 1)

    return scored


def with_noise_too(windows: Windows, fold: Fold, views: Sequence[str]) -> Array:
    """Return the learned windows as recorded, and once more with noise, as a training draws them."""
    return np.concatenate(
        [np.concatenate([windows.views[each][view] for view in views], 1)[fold.learned] for each in CONDITIONS]
    )


def pooled(base: Lever) -> Lever:
    """Return the mean log probability of up to `POOLED` windows in a row of one recording, for each of them."""

    def scored(windows: Windows, fold: Fold, condition: str) -> Scores:
        scores = base(windows, fold, condition)
        rows = windows.recordings[fold.judged]
        for recording in np.unique(rows):
            own = np.flatnonzero(rows == recording)
            for part in np.array_split(own, max(1, len(own) // POOLED)):
                scores[part] = scores[part].mean(axis=0)
        return scores

    return scored


def both(one: Lever, other: Lever) -> Lever:
    """Return the mean log probabilities of two classifiers."""
    return lambda windows, fold, condition: (one(windows, fold, condition) + other(windows, fold, condition)) / 2


def referenced(view: str) -> Lever:
    """Return discriminants on spectra against the machine's own healthy mean at the same speed and load.

    A user has it only if the healthy machine was recorded, or learned on site, at each condition that is judged.
    """

    def scored(windows: Windows, fold: Fold, condition: str) -> Scores:
        against = {each: _against_healthy(windows, windows.views[each][view]) for each in CONDITIONS}
        learned = np.concatenate([against[each][fold.learned] for each in CONDITIONS])
        labels = np.tile(windows.labels[fold.learned], 2)
        return discriminants(learned, labels, against[condition][fold.judged], windows.labels.max() + 1)

    return scored


def _against_healthy(windows: Windows, spectra: Array) -> Array:
    found = spectra.copy()
    for point in np.unique(windows.points):
        here = windows.points == point
        found[here] -= spectra[here & (windows.labels == windows.healthy)].mean(axis=0)
    return found


def mixed(view: str) -> Lever:
    """Return discriminants that also learn spectra into which differences of other windows were mixed."""

    def scored(windows: Windows, fold: Fold, condition: str) -> Scores:
        learned = with_noise_too(windows, fold, (view,))
        labels, rng = np.tile(windows.labels[fold.learned], 2), np.random.default_rng(0)
        spectra = learned[:, None, :, None]
        more = [mix_styles(spectra, labels, MIXED, rng)[:, 0, :, 0] for _ in range(COPIES)]
        judged = windows.views[condition][view][fold.judged]
        every = np.concatenate([learned, *more])
        return discriminants(every, np.tile(labels, 1 + COPIES), judged, labels.max() + 1)

    return scored


def with_simulated(view: str) -> Lever:
    """Return discriminants that also learn faults simulated into the healthy windows of the training side."""

    def scored(windows: Windows, fold: Fold, condition: str) -> Scores:
        assert windows.simulated is not None
        views, labels, points = windows.simulated
        own = np.isin(points, windows.points[fold.learned & (windows.labels == windows.healthy)])
        learned = with_noise_too(windows, fold, (view,))
        every = np.concatenate([learned, views[view][own]])
        all_labels = np.concatenate([np.tile(windows.labels[fold.learned], 2), labels[own]])
        return discriminants(every, all_labels, windows.views[condition][view][fold.judged], windows.labels.max() + 1)

    return scored


def levers(windows: Windows) -> dict[str, Lever]:
    """Return the levers by name, `BASE` first."""
    every = on_views(*VIEWS)
    found = {
        BASE: on_views("bands"),
        "orders": on_views("orders"),
        "envelopes": on_views("envelopes"),
        "all views": every,
        f"bands, pooled over {POOLED} windows": pooled(on_views("bands")),
        f"all views, pooled over {POOLED} windows": pooled(every),
        "bands against the healthy machine": referenced("bands"),
        "bands, differences mixed in": mixed("bands"),
        "two classifiers: bands and all views": both(on_views("bands"), every),
        "two classifiers: bands and orders": both(on_views("bands"), on_views("orders")),
    }
    found["two classifiers, pooled"] = pooled(both(on_views("bands"), every))
    if windows.simulated is not None:
        taught = with_simulated("envelopes")
        found["bands, with simulated faults"] = with_simulated("bands")
        found["envelopes, with simulated faults"] = taught
        found["two classifiers: all views, and these envelopes"] = both(every, taught)
    return found


# --- figures ---------------------------------------------------------------------------------------------------------


def folds(windows: Windows) -> list[Fold]:
    """Return the inner folds of each hold-out; windows without a value lie half on each side, by time."""
    known = ~np.isnan(windows.values)
    half = _second_half(windows)
    found = []
    for held_out in np.unique(windows.values[known]):
        for inner in np.unique(windows.values[known]):
            if inner != held_out:
                learned = np.where(known, (windows.values != held_out) & (windows.values != inner), ~half)
                judged = np.where(known, windows.values == inner, half)
                found.append(Fold(f"{held_out:g} out, {inner:g} judged", learned, judged))
    return found


def _second_half(windows: Windows) -> Flags:
    half = np.zeros(len(windows.labels), bool)
    for recording in np.unique(windows.recordings):
        own = np.flatnonzero(windows.recordings == recording)
        half[own[len(own) // 2 :]] = True
    return half


def measured(windows: Windows) -> dict[str, Any]:
    """Return the accuracy of each lever in each inner fold and condition."""
    parts, found = folds(windows), dict[str, Any]()
    for name, lever in levers(windows).items():
        rows = {
            condition: [
                float((lever(windows, fold, condition).argmax(axis=1) == windows.labels[fold.judged]).mean())
                for fold in parts
            ]
            for condition in CONDITIONS
        }
        found[name] = {
            condition: {"mean": round(float(np.mean(row)), 4), "folds": [round(each, 4) for each in row]}
            for condition, row in rows.items()
        }
        print(name, *(f"{condition} {np.mean(row):.3f}" for condition, row in rows.items()), flush=True)
    return {"folds": [fold.name for fold in parts], "levers": found}


def table(found: dict[str, Any]) -> str:
    """Return the figures as a table of Markdown: means, and in how many folds a lever beats the base, clean."""
    names = list(dict.fromkeys(name for each in found.values() for name in each["levers"]))
    rows = [
        "| lever | " + " | ".join(f"{each}, clean / 0 dB (better folds)" for each in found) + " |",
        "|---|" + "---|" * len(found),
    ]
    for name in names:
        cells = []
        for each in found.values():
            own = each["levers"].get(name)
            if own is None:
                cells.append("-")
                continue
            base = each["levers"][BASE]["clean"]["folds"]
            better = sum(a > b for a, b in zip(own["clean"]["folds"], base, strict=True))
            wins = "" if name == BASE else f" ({better} of {len(base)})"
            cells.append(f"{own['clean']['mean']:.3f} / {own['0 dB']['mean']:.3f}{wins}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
