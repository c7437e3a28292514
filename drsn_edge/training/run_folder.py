"""The run folder: the result of `train` and the input of `convert`, written whole or not at all.

config.json           settings, network, signal contract, labels, the recordings on each side
config.toml           the settings alone, for `drsn-edge train --config`
model.keras           the trained network in the format of Keras
metrics.json          scores on the hold-out set, and the history of the training
log.csv               one row per epoch, with its time
learning_curve.png    loss and accuracy over the epochs, and the accuracy on the hold-out set at the end
calibration.npz       windows of the training side that set the int8 ranges
golden.npz            a few hold-out windows per class, for the bundle
held_out.npz          all hold-out windows, to evaluate the int8 file
novelty.npz           statistics that detect unknown windows, see `drsn_edge.signal.novelty`
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drsn_edge import __version__
from drsn_edge.datasets.span import Span, Split
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.errors import TrainingError
from drsn_edge.models.config import count_macs
from drsn_edge.signal.contract import SignalContract, contract_from_json, contract_to_json
from drsn_edge.signal.novelty import MEMBER, Novelty, novelty_from_bytes, novelty_to_bytes
from drsn_edge.support.files import folder_aside
from drsn_edge.training.config_file import table_from_settings, write_config
from drsn_edge.training.epochs import write_log
from drsn_edge.training.plots import save_learning_curve
from firmware_bridge.support.regular_file import read_text_file

if TYPE_CHECKING:
    from drsn_edge.training.train import Training

SCHEMA = 1
_WINDOW_FILES = ("calibration", "golden", "held_out")


@dataclass(frozen=True)
class RunRecord:
    """The part of a run folder that can be read without Keras.

    Attributes:
        name: Name of the folder.
        contract: How windows become inputs of the network.
        labels: The classes in the order of the logits.
        config: Contents of config.json.
        metrics: Contents of metrics.json.
        held_out: All hold-out windows.
    """

    name: str
    contract: SignalContract
    labels: tuple[str, ...]
    config: dict[str, Any]
    metrics: dict[str, Any]
    held_out: WindowSet


@dataclass(frozen=True)
class Run(RunRecord):
    """A complete run folder.

    Attributes:
        model: The Keras model.
        calibration: Windows that set the int8 ranges.
        golden: A few hold-out windows of each class.
        novelty: Statistics that detect unknown windows, before their limit is set.
    """

    model: Any
    calibration: WindowSet
    golden: WindowSet
    novelty: Novelty


def is_run_folder(folder: Path) -> bool:
    """Return whether `folder` looks like one that `save_run` wrote."""
    return (folder / "config.json").is_file() and (folder / "model.keras").is_file()


def save_run(training: Training, metrics: dict[str, Any], folder: Path) -> None:
    """Write a training to `folder`, replacing its contents.

    Args:
        training: The training.
        metrics: Result of `drsn_edge.evaluation.after_training.evaluate`.
        folder: The run folder.

    Raises:
        OutputError: If it cannot be written; the folder is then unchanged.
    """
    with folder_aside(folder) as new:
        _write_json(new / "config.json", _config(training))
        _write_json(new / "metrics.json", metrics)
        training.model.save(new / "model.keras")
        write_config(training.settings, new / "config.toml")
        write_log(training.history, new / "log.csv")
        held_out = metrics["held_out"]["clean"]["accuracy"]
        save_learning_curve(training.history, held_out, metrics["kept_epoch"], new / "learning_curve.png")
        for name in _WINDOW_FILES:
            np.savez_compressed(new / f"{name}.npz", **vars(getattr(training, name)))
        (new / MEMBER).write_bytes(novelty_to_bytes(training.novelty))


def read_run(folder: Path) -> RunRecord:
    """Read a run folder without its network.

    Raises:
        TrainingError: If the folder is missing, not a run folder, damaged, or from a newer version.
    """
    if not is_run_folder(folder):
        raise TrainingError(
            f"{folder} is not a run folder. Name a folder that `drsn-edge train --out` wrote.",
            "not_a_run_folder",
            path=folder,
        )
    with _refused_if_damaged(folder):
        config = json.loads(read_text_file(folder / "config.json"))
        if config["schema"] > SCHEMA:
            raise TrainingError(
                f"{folder} was written by drsn-edge {config['version']}, this is {__version__}. Update drsn-edge.",
                "newer_version",
                path=folder,
                version=config["version"],
            )
        return RunRecord(
            name=folder.resolve().name,
            contract=contract_from_json(config["contract"]),
            labels=tuple(config["labels"]),
            config=config,
            metrics=json.loads(read_text_file(folder / "metrics.json")),
            held_out=_load_windows(folder, "held_out"),
        )


def load_run(folder: Path) -> Run:
    """Read a run folder with its network; raises the same errors as `read_run`."""
    record = read_run(folder)
    import keras  # takes seconds: other folders are refused before

    import drsn_edge.models.drsn  # noqa: F401  # registers the classes that a file may name

    with _refused_if_damaged(folder):
        return Run(
            **vars(record),
            model=keras.saving.load_model(folder / "model.keras", compile=False),
            calibration=_load_windows(folder, "calibration"),
            golden=_load_windows(folder, "golden"),
            novelty=novelty_from_bytes((folder / MEMBER).read_bytes(), len(record.contract.axes)),
        )


@contextmanager
def _refused_if_damaged(folder: Path) -> Iterator[None]:
    try:
        yield
    except TrainingError:
        raise
    except Exception as exc:  # json, zipfile, zlib, NumPy, h5py and Keras raise different errors for damaged files
        raise TrainingError(f"The run folder {folder} is damaged: {exc}. Train again.", "damaged", path=folder) from exc


def _config(training: Training) -> dict[str, Any]:
    split = training.split
    return {
        "schema": SCHEMA,
        "version": __version__,
        "settings": table_from_settings(training.settings),
        "network": asdict(training.network),
        "macs": count_macs(training.network),
        "parameters": training.model.count_params(),
        "contract": contract_to_json(training.contract),
        "labels": list(training.labels),
        "leak": split.leak,
        "split": spans_of(split),
        "rates": [change.to_json() for change in split.rates],
    }


def spans_of(split: Split) -> dict[str, list[list[Any]]]:
    """Return the spans of each side in the form of config.json: [recording, first sample, end]."""
    return {side: [_span(span) for span in getattr(split, side)] for side in ("train", "validation", "held_out")}


def _span(span: Span) -> list[Any]:
    return [span.recording.name, span.start, span.stop]


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n")


def _load_windows(folder: Path, name: str) -> WindowSet:
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        return WindowSet(**{each.name: file[each.name] for each in fields(WindowSet)})
