"""Measure the accuracy that int8 loses on hold-out windows, by calibration alone and after fine-tuning.

    python benchmarks/int8_accuracy.py --data recordings/ --results docs/results/int8.jsonl --seeds 3

Trains the presets `small` and `paper` on CWRU (load 3 held out) and on the motor-fault set (1800 rpm held out),
converts each twice, and evaluates the float network and both files clean and with Gaussian noise. Each training gives
one line. The same command continues after a stop. --jobs K/N runs every N-th training, for one process per core.
`int8_tables.py` writes the tables.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from drsn_edge.conversion.convert import gateway_logits
from drsn_edge.conversion.fine_tune import QAT_EPOCHS, QAT_LEARNING_RATE, fine_tune
from drsn_edge.evaluation.conditions import CLEAN, NoiseCondition, with_noise
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.signal.network_input import network_input
from drsn_edge.training.config_file import table_from_settings
from drsn_edge.training.fit import predict_logits
from drsn_edge.training.run_folder import Run, spans_of
from drsn_edge.training.settings import TrainSettings
from drsn_edge.training.train import Training, train
from quantize.convert import to_int8, write_int8

TASKS = {"cwru": "load_hp=3", "adi_mfs_mems": "rpm=1800"}
NETWORKS = ("small", "paper")
EPOCHS = 12
CONDITIONS = (*(NoiseCondition("gaussian", snr_db) for snr_db in (-4.0, 0.0, 4.0, 10.0)), CLEAN)
FILES = ("calibration", "qat")


def main() -> None:
    arguments = parse_arguments()
    done = read_results(arguments.results)
    k, n = map(int, arguments.jobs.split("/"))
    todo = [(seed, data, network) for seed in range(arguments.seeds) for data in TASKS for network in NETWORKS]
    for job in todo[k - 1 :: n]:
        if job not in {(line["seed"], line["data"], line["network"]) for line in done}:
            line = json.dumps(run_job(*job, arguments.data))
            with arguments.results.open("a") as file:
                file.write(line + "\n")


def run_job(seed: int, data: str, network: str, folder: Path) -> dict[str, Any]:
    began = time.monotonic()
    recordings = load_recordings(folder / data)
    settings = TrainSettings(TASKS[data], network, window=1024, hop=512, epochs=EPOCHS, seed=seed)
    training = train(recordings, settings)
    calibration = training.calibration
    inputs = network_input(calibration.windows, training.contract, calibration.speeds_hz)
    files = {
        "calibration": to_int8(training.model, inputs).data,
        "qat": write_int8(*fine_tune(as_run(training), recordings)).data,
    }
    judged = {str(condition): judge(training, files, condition, seed) for condition in CONDITIONS}
    return {
        "seed": seed, "data": data, "network": network, "hold_out": TASKS[data], "epochs": EPOCHS,
        "qat_epochs": QAT_EPOCHS, "qat_learning_rate": QAT_LEARNING_RATE, "windows": len(training.held_out),
        "conditions": judged, "bytes": {name: len(file) for name, file in files.items()},
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def as_run(training: Training) -> Run:
    """Return a training in the form of a run folder."""
    config = {"settings": table_from_settings(training.settings), "split": spans_of(training.split)}
    return Run(
        "run", training.contract, training.labels, config, {}, training.held_out,
        training.model, training.calibration, training.golden, training.novelty,
    )  # fmt: skip


def judge(training: Training, files: dict[str, bytes], condition: NoiseCondition, seed: int) -> dict[str, Any]:
    windows = with_noise(training.held_out, condition, seed)
    expected = predict_logits(training.model, windows, training.contract).argmax(axis=1)
    inputs = network_input(windows.windows, training.contract, windows.speeds_hz)
    found: dict[str, Any] = {"float": round(float(np.mean(expected == windows.labels)), 6)}
    for name, file in files.items():
        classes = gateway_logits(file, inputs).argmax(axis=1)
        found[name] = round(float(np.mean(classes == windows.labels)), 6)
        found[f"{name}_agreement"] = round(float(np.mean(classes == expected)), 6)
    return found


def read_results(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the folders of the data sets")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", default="1/1", help="K/N: run every N-th job from the K-th on (default: 1/1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
