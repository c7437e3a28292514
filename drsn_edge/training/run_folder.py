"""The run folder: what `train` leaves and `convert` takes, whole or not at all.

config.json           settings, network, signal contract, labels, the recordings on each side
config.toml           the settings alone, for `drsn-edge train --config`
model.keras           the trained network, as Keras writes it
metrics.json          held-out scores and the course of the training
log.csv               one row per epoch, with the time that it took
learning_curve.png    the same as a picture
calibration.npz       windows that set the int8 ranges, from the training side
golden.npz            a few held-out windows per class that go with the model
held_out.npz          every held-out window, to judge the int8 file
novelty.npz           what tells the trained from the new, see `drsn_edge.signal.novelty`
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
    """What a run folder says of its training: all that can be read without Keras.

    Attributes:
        name: Of the folder.
        contract: How the network sees a window.
        labels: The classes in the order of the logits.
        config: Its config.json.
        metrics: Its metrics.json.
        held_out: Every held-out window.
    """

    name: str
    contract: SignalContract
    labels: tuple[str, ...]
    config: dict[str, Any]
    metrics: dict[str, Any]
    held_out: WindowSet


@dataclass(frozen=True)
class Run(RunRecord):
    """A run folder read back whole.

    Attributes:
        model: The Keras model.
        calibration: Windows that set the int8 ranges.
        golden: A few held-out windows of each class.
        novelty: What tells the trained from the new, its limit still to come.
    """

    model: Any
    calibration: WindowSet
    golden: WindowSet
    novelty: Novelty


def is_run_folder(folder: Path) -> bool:
    """Tell whether `folder` looks like one that `save_run` wrote."""
    return (folder / "config.json").is_file() and (folder / "model.keras").is_file()


def save_run(training: Training, metrics: dict[str, Any], folder: Path) -> None:
    """Write a training to `folder`, replacing what is there.

    Raises:
        OutputError: If it cannot be written; the folder is then as it was.
    """
    with folder_aside(folder) as new:
        _write_json(new / "config.json", _config(training))
        _write_json(new / "metrics.json", metrics)
        training.model.save(new / "model.keras")
        write_config(training.settings, new / "config.toml")
        write_log(training.history, new / "log.csv")
        save_learning_curve(training.history, new / "learning_curve.png")
        for name in _WINDOW_FILES:
            np.savez_compressed(new / f"{name}.npz", **vars(getattr(training, name)))
        (new / MEMBER).write_bytes(novelty_to_bytes(training.novelty))


def read_run(folder: Path) -> RunRecord:
    """Read what a run folder says of its training, without its network.

    Raises:
        TrainingError: If the folder is missing, not a run folder, damaged, or from a newer version.
    """
    if not is_run_folder(folder):
        raise TrainingError(f"Expected a run folder as `drsn-edge train --out` writes it, got {folder}.")
    with _refused_if_damaged(folder):
        config = json.loads(read_text_file(folder / "config.json"))
        if config["schema"] > SCHEMA:
            raise TrainingError(
                f"{folder} was written by drsn-edge {config['version']}, this is {__version__}: update."
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
    """Read a run folder back, its network with it; raises what `read_run` does."""
    record = read_run(folder)
    import keras  # takes seconds, and what is no run folder was refused without it

    import drsn_edge.models.drsn  # noqa: F401  # tells Keras of the classes that a file may name

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
    except Exception as exc:  # json, zipfile, zlib, NumPy, h5py and Keras each have ways of their own to say damaged
        raise TrainingError(f"Expected a whole run folder in {folder}, got a damaged one: {exc}. Train again.") from exc


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
    }


def spans_of(split: Split) -> dict[str, list[list[Any]]]:
    """Return recording, first sample and end of each span of each side, as the run folder holds them."""
    return {side: [_span(span) for span in getattr(split, side)] for side in ("train", "validation", "held_out")}


def _span(span: Span) -> list[Any]:
    return [span.recording.name, span.start, span.stop]


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n")


def _load_windows(folder: Path, name: str) -> WindowSet:
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        return WindowSet(**{each.name: file[each.name] for each in fields(WindowSet)})
