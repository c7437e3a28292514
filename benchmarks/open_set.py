"""Measure how many windows of classes without training data are UNKNOWN: five classes of each data set, one at a time.

    python benchmarks/open_set.py --data recordings/ --results docs/results/open_set.jsonl

Trained on the first 60 % of each recording of the other classes, with the default noise; the limit of `novelty` is set
on the next 20 %, for 1 % of false unknowns, and everything is judged on the last 20 % and on the withheld class. A line
for each training, with the energy of the network's logits beside `drsn_edge.signal.novelty`. The same command continues
after a stop and prints the table.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from drsn_edge.datasets.span import Span
from drsn_edge.datasets.windows import WindowSet, cut_spans
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.windows import FloatArray
from drsn_edge.training.fit import predict_logits
from drsn_edge.training.fit_novelty import with_limit
from drsn_edge.training.settings import TrainSettings
from drsn_edge.training.train import Training, train

TASKS = {
    "cwru": (1024, ("B007", "IR014", "OR007", "OR021", "normal")),
    "adi_mfs_mems": (4096, ("ball_heavy", "bent_shaft", "imbalance_heavy", "inner_heavy", "normal")),
}
"""Window and withheld classes. 4096 samples of the motor faults are two turns of the shaft at 600 rpm."""

SHARE = 0.01
EPOCHS = 12


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    arguments = parser.parse_args()
    path: Path = arguments.results
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for data, (window, labels) in TASKS.items():
        recordings: list[Recording] = []
        for label in labels:
            if (data, label) not in {(line["data"], line["withheld"]) for line in done}:
                recordings = recordings or list(load_recordings(arguments.data / data))
                done.append(judge(recordings, data, label, window))
                with path.open("a") as file:
                    file.write(json.dumps(done[-1]) + "\n")
    print(table(done))


def judge(recordings: list[Recording], data: str, withheld: str, window: int) -> dict[str, Any]:
    known = [recording for recording in recordings if recording.label != withheld]
    training = train(known, TrainSettings("time=0.4", "small", window=window, hop=window // 2, epochs=EPOCHS))
    early, late = halves(training.held_out)
    spans = [Span(each, 0, len(each.samples)) for each in recordings if each.label == withheld]
    new = cut_spans(spans, (withheld,), window, window)
    novelty, _ = with_limit(training.novelty, early, SHARE)
    scores = {"novelty": scores_of(novelty, late, new), "energy": (energy(training, late), energy(training, new))}
    accuracy = np.mean(predict_logits(training.model, late, training.contract).argmax(axis=1) == late.labels)
    return {
        "data": data, "withheld": withheld, "window": window, "epochs": EPOCHS, "false_unknown_asked": SHARE,
        "windows": [len(late), len(new)], "accuracy_of_known": round(float(accuracy), 4),
        **{f"auroc_{name}": round(auroc(*pair), 4) for name, pair in scores.items()},
        "false_unknown": round(float(np.mean(scores["novelty"][0] > 1)), 4),
        "unknown_of_withheld": round(float(np.mean(scores["novelty"][1] > 1)), 4),
    }  # fmt: skip


def halves(held_out: WindowSet) -> tuple[WindowSet, WindowSet]:
    """Return the earlier and the later windows of each recording."""
    early = np.zeros(len(held_out), np.bool_)
    for name in np.unique(held_out.recordings):
        own = np.flatnonzero(held_out.recordings == name)
        own = own[np.argsort(held_out.first_samples[own])]
        early[own[: len(own) // 2]] = True
    return tuple(replace(held_out, **{k: v[part] for k, v in vars(held_out).items()}) for part in (early, ~early))  # type: ignore[return-value]


def scores_of(novelty: Novelty, late: WindowSet, new: WindowSet) -> tuple[FloatArray, FloatArray]:
    return novelty.novelty(late.windows), novelty.novelty(new.windows)


def energy(training: Training, windows: WindowSet) -> FloatArray:
    logits = predict_logits(training.model, windows, training.contract)
    highest = logits.max(axis=1)
    return np.asarray(-highest - np.log(np.exp(logits - highest[:, None]).sum(axis=1)), np.float32)


def auroc(known: FloatArray, new: FloatArray) -> float:
    return float(roc_auc_score(np.repeat([0, 1], [len(known), len(new)]), np.concatenate([known, new])))


def table(lines: list[dict[str, Any]]) -> str:
    rows = [
        "| data | withheld | AUROC | by energy | called unknown | false unknown, asked 1 % |",
        "|---|---|---|---|---|---|",
    ]
    for data in TASKS:
        own = [line for line in lines if line["data"] == data]
        rows += [_row(data, line["withheld"], [line]) for line in own]
        rows.append(_row(data, "**mean**", own))
    return "\n".join(rows)


def _row(data: str, name: str, lines: list[dict[str, Any]]) -> str:
    def mean(key: str) -> float:
        return float(np.mean([line[key] for line in lines]))

    return (
        f"| {data} | {name} | {mean('auroc_novelty'):.3f} | {mean('auroc_energy'):.3f} | "
        f"{mean('unknown_of_withheld'):.1%} | {mean('false_unknown'):.1%} |"
    )


if __name__ == "__main__":
    main()
