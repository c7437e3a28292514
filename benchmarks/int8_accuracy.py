"""What int8 costs in accuracy, by calibration alone and after fine-tuning, on windows that training never saw.

    python benchmarks/int8_accuracy.py --data recordings/ --results docs/results/int8.jsonl --seeds 3

Trains the presets `small` and `paper` on CWRU (load 3 held out) and on the motor-fault set (1800 rpm held out),
converts each twice, and judges float and both files under Gaussian noise and clean. A line for each training; the same
command goes on after a stop. `--write` makes the tables. --jobs K/N takes every N-th training, for a process on each
core.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from drsn_edge.convert import gateway_logits
from drsn_edge.fine_tune import QAT_LEARNING_RATE, fine_tune
from drsn_edge.front_end import network_input
from drsn_edge.judging.conditions import CLEAN, Condition, with_noise
from drsn_edge.recordings import load_recordings
from drsn_edge.training.config_file import table_from_settings
from drsn_edge.training.run_folder import Run, spans_of
from drsn_edge.training.settings import TrainSettings
from drsn_edge.training.train import Training, predict_logits, train
from quantize.convert import to_int8, write_int8

TASKS = {"cwru": "load_hp=3", "adi_mfs_mems": "rpm=1800"}
NETWORKS = ("small", "paper")
EPOCHS, QAT_EPOCHS = 12, 2
CONDITIONS = (*(Condition("gaussian", snr_db) for snr_db in (-4.0, 0.0, 4.0, 10.0)), CLEAN)
FILES = ("calibration", "qat")


def main() -> None:
    arguments = parse_arguments()
    done = read_results(arguments.results)
    k, n = map(int, arguments.jobs.split("/"))
    todo = [(seed, data, network) for seed in range(arguments.seeds) for data in TASKS for network in NETWORKS]
    for job in todo[k - 1 :: n]:
        if arguments.data and job not in {(line["seed"], line["data"], line["network"]) for line in done}:
            line = json.dumps(run_job(*job, arguments.data))
            with arguments.results.open("a") as file:
                file.write(line + "\n")
    if arguments.write:
        arguments.write.write_text(tables(read_results(arguments.results)))


def run_job(seed: int, data: str, network: str, folder: Path) -> dict[str, Any]:
    began = time.monotonic()
    recordings = load_recordings(folder / data)
    settings = TrainSettings(TASKS[data], network, window=1024, hop=512, epochs=EPOCHS, seed=seed)
    training = train(recordings, settings)
    calibration = training.calibration
    inputs = network_input(calibration.windows, training.contract, calibration.speeds_hz)
    files = {
        "calibration": to_int8(training.model, inputs).data,
        "qat": write_int8(*fine_tune(as_run(training), recordings, QAT_EPOCHS)).data,
    }
    judged = {str(condition): judge(training, files, condition, seed) for condition in CONDITIONS}
    return {
        "seed": seed, "data": data, "network": network, "hold_out": TASKS[data], "epochs": EPOCHS,
        "qat_epochs": QAT_EPOCHS, "qat_learning_rate": QAT_LEARNING_RATE, "windows": len(training.held_out),
        "conditions": judged, "bytes": {name: len(file) for name, file in files.items()},
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def as_run(training: Training) -> Run:
    """Return a training as its run folder would be read back."""
    config = {"settings": table_from_settings(training.settings), "split": spans_of(training.split)}
    return Run(
        "run", training.model, training.contract, training.labels, config, {},
        training.calibration, training.golden, training.held_out,
    )  # fmt: skip


def judge(training: Training, files: dict[str, bytes], condition: Condition, seed: int) -> dict[str, Any]:
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


def tables(lines: list[dict[str, Any]]) -> str:
    names = [str(condition) for condition in CONDITIONS]
    head = ["data", "network", "seeds", "file", *names, "mean drop, points", "same class as float, clean, %"]
    rows = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for data in TASKS:
        for network in NETWORKS:
            group = [line for line in lines if (line["data"], line["network"]) == (data, network)]
            rows += [row(group, data, network, file, names) for file in ("float", *FILES) if group]
    return "\n".join([TEXT, "", *rows, ""])


def row(group: list[dict[str, Any]], data: str, network: str, file: str, names: list[str]) -> str:
    accuracies = [f"{100 * mean(line['conditions'][name][file] for line in group):.2f}" for name in names]
    cells = [data, network, str(len(group)), file, *accuracies]
    if file != "float":
        drops = [100 * mean(drop(line, name, file) for name in names) for line in group]
        same = [100 * line["conditions"]["clean"][f"{file}_agreement"] for line in group]
        cells += [spread(drops), spread(same)]
    else:
        cells += ["", ""]
    return f"| {' | '.join(cells)} |"


def drop(line: dict[str, Any], condition: str, file: str) -> float:
    judged = line["conditions"][condition]
    return judged["float"] - judged[file]


def spread(values: list[float]) -> str:
    return f"{mean(values):.2f} +- {stdev(values):.2f}" if len(values) > 1 else f"{mean(values):.2f}"


TEXT = """# int8 against float

Made by `python benchmarks/int8_accuracy.py --results docs/results/int8.jsonl --write docs/INT8.md`; change neither by
hand. Accuracies are in percent, means over seeds, on held-out windows of 1024 samples: CWRU's load 3, the motor-fault
set's 1800 rpm. `calibration` has its ranges from calibration windows alone, `qat` was fine-tuned for two epochs. A drop
is the mean over all conditions of float minus int8; below 0, int8 is better. What has no row was not run yet."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the data sets' folders; none: tables only")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", default="1/1", help="K/N: every N-th job, from the K-th")
    parser.add_argument("--write", type=Path, help="Markdown file of the tables")
    return parser.parse_args()


if __name__ == "__main__":
    main()
