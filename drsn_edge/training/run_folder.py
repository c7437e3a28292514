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
search.json           the choice of a search, its expected accuracy and all candidates; only if there was a search
inner_folds.npz       logits of the choice for windows that its inner folds held out; only if there was a search
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
from drsn_edge.training.inner_folds import INNER_FOLDS, MOST_BYTES, FoldedLogits, folded_from_bytes
from drsn_edge.training.plots import save_learning_curve
from firmware_bridge.support.regular_file import read_regular, read_text_file

if TYPE_CHECKING:
    from drsn_edge.training.train import Training

SCHEMA = 1
HEARD = "heard.npz"
"""File of a run folder without a network; see `drsn_edge.training.healthy_run`."""

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
        inner_folds: What the chosen network says of windows that its inner folds held out; None without a search.
    """

    model: Any
    calibration: WindowSet
    golden: WindowSet
    novelty: Novelty
    inner_folds: FoldedLogits | None = None


def is_run_folder(folder: Path) -> bool:
    """Return whether `folder` looks like one that `save_run` wrote."""
    return is_healthy_run(folder) or ((folder / "config.json").is_file() and (folder / "model.keras").is_file())


def is_healthy_run(folder: Path) -> bool:
    """Return whether `folder` looks like the run folder of healthy recordings alone, which has no network."""
    return (folder / "config.json").is_file() and (folder / HEARD).is_file()


def save_run(
    training: Training, metrics: dict[str, Any], folder: Path, files: Mapping[str, bytes] | None = None
) -> None:
    """Write a training to `folder`, replacing its contents.

    Args:
        training: The training.
        metrics: Result of `drsn_edge.evaluation.after_training.evaluate`.
        folder: The run folder.
        files: Further files by name: those of a search.

    Raises:
        OutputError: If it cannot be written; the folder is then unchanged.
    """
    with folder_aside(folder) as new:
        write_json(new / "config.json", _config(training))
        write_json(new / "metrics.json", metrics)
        training.model.save(new / "model.keras")
        write_config(table_from_settings(training.settings), new / "config.toml")
        write_log(training.history, new / "log.csv")
        held_out = metrics["held_out"]["clean"]["accuracy"]
        save_learning_curve(training.history, held_out, metrics["kept_epoch"], new / "learning_curve.png")
        for name in _WINDOW_FILES:
            save_windows(new, name, getattr(training, name))
        (new / MEMBER).write_bytes(novelty_to_bytes(training.novelty))
        for name, content in (files or {}).items():
            (new / name).write_bytes(content)


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
    with refused_if_damaged(folder):
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
            held_out=load_windows(folder, "held_out"),
        )


def load_run(folder: Path) -> Run:
    """Read a run folder with its network; raises the same errors as `read_run`, and one if there is no network."""
    record = read_run(folder)
    if is_healthy_run(folder):
        words = f"{folder} has no network, because its recordings were all {record.labels[0]}."
        advice = "Choose the run of a training with two classes or more."
        raise TrainingError(f"{words} {advice}", "no_network", path=folder, label=record.labels[0])
    import keras  # takes seconds: other folders are refused before

    import drsn_edge.models.drsn  # noqa: F401  # registers the classes that a file may name

    with refused_if_damaged(folder):
        return Run(
            **vars(record),
            model=keras.saving.load_model(folder / "model.keras", compile=False),
            calibration=load_windows(folder, "calibration"),
            golden=load_windows(folder, "golden"),
            novelty=novelty_from_bytes((folder / MEMBER).read_bytes(), len(record.contract.axes)),
            inner_folds=_load_inner_folds(folder, len(record.labels)),
        )


@contextmanager
def refused_if_damaged(folder: Path) -> Iterator[None]:
    """Raise whatever goes wrong in the block as a TrainingError that the run folder is damaged."""
    try:
        yield
    except TrainingError:
        raise
    except Exception as exc:  # json, zipfile, zlib, NumPy, h5py and Keras raise different errors for damaged files
        words = f"The run folder {folder} is damaged: {str(exc).rstrip('.')}. Train again."
        raise TrainingError(words, "damaged", path=folder) from exc


def _config(training: Training) -> dict[str, Any]:
    settings = table_from_settings(training.settings)
    return {
        **config_of(training.split, training.contract, settings),
        "network": asdict(training.network),
        "macs": count_macs(training.network),
        "parameters": training.model.count_params(),
    }


def config_of(split: Split, contract: SignalContract, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the contents of config.json that need no network; `settings` are those that matter, as JSON."""
    return {
        "schema": SCHEMA,
        "version": __version__,
        "settings": settings,
        "contract": contract_to_json(contract),
        "labels": list(split.labels),
        "leak": split.leak,
        "split": spans_of(split),
        "rates": [change.to_json() for change in split.rates],
    }


def spans_of(split: Split) -> dict[str, list[list[Any]]]:
    """Return the spans of each side in the form of config.json: [recording, first sample, end]."""
    return {side: [_span(span) for span in getattr(split, side)] for side in ("train", "validation", "held_out")}


def _span(span: Span) -> list[Any]:
    return [span.recording.name, span.start, span.stop]


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a file of JSON for people and programs."""
    path.write_text(json.dumps(values, indent=1) + "\n")


def save_windows(folder: Path, name: str, windows: WindowSet) -> None:
    """Write windows with their origins as NAME.npz."""
    np.savez_compressed(folder / f"{name}.npz", **vars(windows))


def load_windows(folder: Path, name: str) -> WindowSet:
    """Read what `save_windows` wrote."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        return WindowSet(**{each.name: file[each.name] for each in fields(WindowSet)})


def _load_inner_folds(folder: Path, n_classes: int) -> FoldedLogits | None:
    path = folder / INNER_FOLDS
    return folded_from_bytes(read_regular(path, MOST_BYTES), n_classes) if path.exists() else None
