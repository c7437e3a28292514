"""Measure the accuracy lost to inverted or swapped axes of a sensor, with and without the monitor's check for them.

    python benchmarks/mounting.py --model drsn-edge-demo/demo.drsn
    python benchmarks/mounting.py --model motor.drsn --data recordings/motor --only rpm=3000 --healthy normal --site rpm

Without --data: ten simulated machines that the demo's network never saw. With --healthy and --site, each site is
learned first from half of the healthy recordings of each value of that field (simulated: of each machine). Prints a
JSON line for each arrangement of three axes, and for white noise in the right one: shares of the windows that are right
and wrong, before the axes are looked at and then, UNKNOWN, and withheld for their axes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from drsn_edge.bundle.bundle import Bundle, read_bundle
from drsn_edge.bundle.open_model import novelty_of
from drsn_edge.demo.run import CLASSES
from drsn_edge.errors import LearningError
from drsn_edge.monitor.stages.learned import overlay
from drsn_edge.monitor.stages.learner import Learner
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.signal.network_input import input_of
from drsn_edge.signal.noise import add_noise
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.windows import FloatArray, centre, cut_windows, window_starts
from drsn_edge.simulation.simulator import simulate_dataset

SEED = 4321
MOST = 30
"""Windows of each recording."""

WAYS = {
    "as in training": ((0, 1, 2), (1, 1, 1)),
    "x inverted": ((0, 1, 2), (-1, 1, 1)),
    "y inverted": ((0, 1, 2), (1, -1, 1)),
    "z inverted": ((0, 1, 2), (1, 1, -1)),
    "turned by 180 degrees about z": ((0, 1, 2), (-1, -1, 1)),
    "turned by 90 degrees about z": ((1, 0, 2), (1, -1, 1)),
    "x and y swapped": ((1, 0, 2), (1, 1, 1)),
    "x and z swapped": ((2, 1, 0), (1, 1, 1)),
    "y and z swapped": ((0, 2, 1), (1, 1, 1)),
    "all three moved on": ((1, 2, 0), (1, 1, 1)),
}
NOISE_DB = (10.0, 0.0, -4.0, -6.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", default="", metavar="FIELD=VALUE")
    parser.add_argument("--healthy", metavar="LABEL")
    parser.add_argument("--site", default="machine", metavar="FIELD")
    arguments = parser.parse_args()
    bundle = read_bundle(arguments.model)
    name, _, value = arguments.only.partition("=")
    some = load_recordings(arguments.data) if arguments.data else simulate_dataset(CLASSES, 10, 5.0, SEED)
    chosen = [each for each in some if not name or str(each.fields.get(name)) == value]
    sites = known(bundle, chosen, arguments.healthy, arguments.site)
    rng = np.random.default_rng(SEED)
    for words, (order, signs) in WAYS.items():
        seen = [(each, windows_of(each, bundle)[..., list(order)] * np.array(signs, np.float32)) for each in chosen]
        print(json.dumps({"axes": words, **shares(bundle, seen, sites, arguments.site)}))
    for snr_db in NOISE_DB:
        seen = [(each, np.stack([add_noise(w, snr_db, rng) for w in windows_of(each, bundle)])) for each in chosen]
        print(json.dumps({"axes": f"as in training, noise at {snr_db:g} dB", **shares(bundle, seen, sites,
                                                                                     arguments.site)}))  # fmt: skip


def windows_of(recording: Recording, bundle: Bundle) -> FloatArray:
    contract = bundle.manifest.contract
    starts = window_starts(len(recording.samples), contract.window, contract.hop)
    return cut_windows(recording.samples, starts[:: max(1, len(starts) // MOST)][:MOST], contract.window)


def known(bundle: Bundle, chosen: Sequence[Recording], healthy: str | None, field: str) -> dict[object, Novelty]:
    """Return the statistics of each site; with --healthy they include what its healthy recordings teach."""
    novelty = novelty_of(bundle)
    assert novelty is not None and novelty.mounting is not None, "convert the run again: this bundle knows no mounting"
    found: dict[object, Novelty] = {each.fields.get(field): novelty for each in chosen}
    for site in found if healthy else ():
        learner = Learner(novelty.lines, novelty.mounting)
        for each in chosen:
            if each.label == healthy and each.fields.get(field) == site:
                starts = window_starts(len(each.samples), bundle.manifest.contract.window, 64)
                for window in cut_windows(each.samples, starts[: len(starts) // 2], bundle.manifest.contract.window):
                    learner.take(window[None])
        try:
            taught = overlay(learner, novelty, bundle, 0.0).references
        except LearningError as exc:
            print(json.dumps({"site": site, "nothing learned": str(exc)}))
            continue
        found[site] = novelty.with_references(taught)
    return found


def judged(
    bundle: Bundle, recording: Recording, windows: FloatArray, novelty: Novelty, classifier: Classifier
) -> Iterator[tuple[str, bool]]:
    """Yield the verdict on each window, and whether it is withheld because of its axes."""
    contract, rpm = bundle.manifest.contract, recording.fields.get("rpm")
    speed_hz = float(str(rpm)) / 60 if contract.spectra is not None and rpm is not None else None
    for window in windows.astype(np.float32):
        centred = centre(window[None])
        if novelty.of_centred(centred)[0] > 1:
            yield "UNKNOWN", False
        else:
            logits = classifier.logits(input_of(centred, contract, speed_hz))
            yield bundle.manifest.labels[int(logits[0].argmax())], bool(novelty.are_turned(centred)[0])


def shares(
    bundle: Bundle, seen: Sequence[tuple[Recording, FloatArray]], sites: dict[object, Novelty], field: str
) -> dict[str, float | int]:
    classifier = Classifier(bundle.network)
    said = [
        (each.label, *result)
        for each, windows in seen
        for result in judged(bundle, each, windows, sites[each.fields.get(field)], classifier)
    ]
    n = len(said)
    wrong = [turned for label, called, turned in said if called not in (label, "UNKNOWN")]
    right = [turned for label, called, turned in said if called == label]
    unknown = sum(called == "UNKNOWN" for _, called, _ in said)
    return {
        "windows": n,
        "wrong_before": round(len(wrong) / n, 4),
        "wrong": round(wrong.count(False) / n, 4),
        "right_before": round(len(right) / n, 4),
        "right": round(right.count(False) / n, 4),
        "unknown": round(unknown / n, 4),
        "withheld": round((wrong + right).count(True) / n, 4),
    }


if __name__ == "__main__":
    main()
