"""Compare what trainings expected of themselves with their hold-out sets, and their promises with the int8 files.

    drsn-edge train --data recordings/adi_mfs_mems --hold-out rpm=600 --out folds/speed-600      (and so on)
    python benchmarks/search_folds.py folds/* --data recordings/adi_mfs_mems --results docs/results/search_folds.jsonl

One line of the results for each run folder; runs whose line is there already are passed over. The hold-out set was used
once, at the end of the training. Here its recordings are judged again, with windows that overlap by seven eighths,
since few windows without overlap fit into short recordings: by the network and by the int8 file of `drsn-edge convert`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine

from drsn_edge.bundle.open_model import novelty_of
from drsn_edge.conversion.convert import BundleOptions, convert_run
from drsn_edge.datasets.windows import cut_spans
from drsn_edge.evaluation.conditions import CLEAN, NoiseCondition, with_noise
from drsn_edge.evaluation.kept_promise import kept_by
from drsn_edge.evaluation.metrics import figures, judge, scores
from drsn_edge.evaluation.run_model import run_model
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.runtime.classifier import Classifier, softmax
from drsn_edge.signal.network_input import network_input
from drsn_edge.training.config_file import settings_from_table
from drsn_edge.training.feed import split_recordings
from drsn_edge.training.run_folder import load_run
from quantize.convert import Tolerance

ASKED = (0.02, 0.05)
COVERAGES = np.linspace(0.05, 1, 20)
_NO_BAR = Tolerance(max_drop=1.0)


def outcome(folder: Path, recordings: Sequence[Recording], data: str) -> dict[str, Any]:
    """Return the expectation, the outcome and the promise of a run folder that a search chose.

    Args:
        folder: The run folder.
        recordings: The recordings that it was trained on.
        data: Name of the folder of recordings.
    """
    run = load_run(folder)
    settings = settings_from_table(run.config["settings"], str(folder))
    split = split_recordings(recordings, settings)
    windows = cut_spans(split.held_out, split.labels, settings.window, settings.window // 8)
    search = json.loads((folder / "search.json").read_text(encoding="utf-8"))
    conversion = convert_run(run, BundleOptions("fold", "1.0.0"), _NO_BAR)
    bundle = conversion.bundle
    floats, found = run_model(run), {}
    for condition in (CLEAN, NoiseCondition("gaussian", 0.0)):
        shown = with_noise(windows, condition, settings.seed)
        found[str(condition)] = figures(judge(floats.logits(shown), shown.labels, len(run.labels)))
    logits = Classifier(bundle.network).logits(network_input(windows.windows, run.contract, windows.speeds_hz))
    novelty, promise = novelty_of(bundle), bundle.manifest.promise
    unknown = np.full(len(windows), False) if novelty is None else novelty.novelty(windows.windows) > 1
    return {
        "run": run.name,
        "data": data,
        "seed": settings.seed,
        "hold_out": search["hold_out"],
        "inner_folds": search["inner_folds"],
        "remarks": search["remarks"],
        "choice": search["choice"]["name"],
        "macs": search["choice"]["macs"],
        "blocks": search["blocks"],
        "expected": search["choice"]["expected"],
        "windows": len(windows),
        "unknown": float(unknown.mean()),
        "outcome": found,
        "int8": {
            "accuracy": scores(windows.labels, logits.argmax(axis=1))["accuracy"],
            "same_class": float(np.mean(logits.argmax(axis=1) == floats.logits(windows).argmax(axis=1))),
        },
        "promises": []
        if promise is None
        else [_kept(promise, share, logits, windows.labels, unknown) for share in ASKED],
        "risk": risks(softmax(logits, bundle.manifest.temperature), windows.labels),
        "search_s": search["seconds"],
        **machine(),
    }


def _kept(promise: Any, share: float, logits: Any, labels: Any, unknown: Any) -> dict[str, Any]:
    found = kept_by(promise, share, logits, labels, unknown)
    named = found.named or 0
    return {
        "asked": share,
        "can": found.named is not None,
        "least": promise.least_wrong,
        "named": named / found.windows,
        "wrong": (found.wrong or 0) / named if named else None,
    }


def risks(probabilities: Any, labels: Any) -> list[list[float]]:
    """Return the share of wrong classes among the most probable windows, for shares of windows: [coverage, risk]."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    wrong = np.cumsum(probabilities.argmax(axis=1)[order] != labels[order])
    counts = np.maximum(1, np.round(COVERAGES * len(labels)).astype(int))
    return [[float(n / len(labels)), float(wrong[n - 1] / n)] for n in counts]


def main() -> None:
    """Write a line for each run folder that has none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folder of `drsn-edge train`")
    parser.add_argument("--results", type=Path, required=True, metavar="FILE", help="file of JSON lines to append to")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FOLDER", help="recordings that they were trained on"
    )
    arguments = parser.parse_args()
    recordings = load_recordings(arguments.data)
    known = arguments.results.read_text(encoding="utf-8").splitlines() if arguments.results.exists() else []
    done = {(line["data"], line["run"]) for line in map(json.loads, known)}
    for folder in arguments.runs:
        if (arguments.data.name, folder.name) in done or not (folder / "search.json").is_file():
            continue
        found = outcome(folder, recordings, arguments.data.name)
        with arguments.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        clean, noisy = (found["outcome"][name]["accuracy"] for name in ("clean", "gaussian_0_db"))
        print(f"{found['hold_out']}: {found['choice']}, {clean:.3f} as recorded, {noisy:.3f} at 0 dB", flush=True)


if __name__ == "__main__":
    main()
