"""The work folder: what a training needs to go on after a kill, in one file that is replaced whole.

It lies beside the run folder that is to come: `run.training/` beside `run/`, with `checkpoint.npz` in it: weights and
optimizer after the last whole epoch, the best weights so far where patience asks for them, the course so far, the
settings, and a hash of each recording. What is drawn at random in an epoch follows from the seed and the epoch's
number, so that no generator's state has to be kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge import __version__
from drsn_edge.errors import OutputError, TrainingError
from drsn_edge.recordings.recording import Recording
from drsn_edge.support.files import written_aside
from drsn_edge.training.config_file import settings_from_table, table_from_settings
from drsn_edge.training.epochs import EpochReport
from drsn_edge.training.settings import TrainSettings

SCHEMA = 1
_STATE = ("weights", "optimizer", "best")
FILE = "checkpoint.npz"

MAY_CHANGE = ("learning_rate",)
"""Settings that may be others when a training goes on: after a loss that is no number, nothing else helps."""

Fingerprint = tuple[tuple[str, str], ...]
"""Name and hash of each recording, in order."""


@dataclass(frozen=True)
class NetworkState:
    """A model and its optimizer as plain arrays.

    Attributes:
        weights: In Keras's order.
        optimizer: As the optimizer itself saves its variables.
        best: Weights of the best epoch so far, if they are to be kept.
    """

    weights: tuple[NDArray[Any], ...]
    optimizer: tuple[NDArray[Any], ...]
    best: tuple[NDArray[Any], ...] | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A training after a whole epoch, the last of its history."""

    state: NetworkState
    history: tuple[EpochReport, ...]
    settings: TrainSettings
    data: Fingerprint


@dataclass(frozen=True)
class Keeper:
    """Keeps the checkpoints of one training in its work folder."""

    folder: Path
    settings: TrainSettings
    data: Fingerprint

    def begin(self, *, resume: bool) -> Checkpoint | None:
        """Return what to go on from; without `resume` remove what is left of an earlier training.

        Raises:
            TrainingError: If the checkpoint cannot be used, or is of other settings or recordings.
        """
        if not resume:
            remove_work_folder(self.folder)
            return None
        checkpoint = load_checkpoint(self.folder)
        check_same(checkpoint, self.settings, self.data)
        return checkpoint

    def keep(self, state: NetworkState, history: Sequence[EpochReport]) -> None:
        """Replace the checkpoint by this state."""
        save_checkpoint(self.folder, Checkpoint(state, tuple(history), self.settings, self.data))


def work_folder(out: Path) -> Path:
    """Return the work folder of the run folder `out`."""
    target = out.resolve()
    return target.with_name(f"{target.name}.training")


def has_checkpoint(folder: Path) -> bool:
    """Tell whether there is a training to resume in a work folder."""
    return (folder / FILE).is_file()


def check_work_folder(folder: Path, *, resume: bool, force: bool) -> None:
    """Refuse a training that would lose another one, or that has nothing to go on from.

    Raises:
        TrainingError: Saying what to do instead.
        OutputError: If there is something else where the work folder should be.
    """
    if resume and not has_checkpoint(folder):
        raise TrainingError(f"Expected a training to resume in {folder}, found none. Leave --resume out to begin one.")
    if folder.exists() and not _is_ours(folder):
        raise OutputError(f"Expected {folder} to be free, got something else there. Move it, or choose another --out.")
    if has_checkpoint(folder) and not (resume or force):
        raise TrainingError(
            f"A training was stopped before its end and can go on: {folder}. Go on with --resume, or begin anew "
            "with --force."
        )


def remove_work_folder(folder: Path) -> None:
    """Remove a work folder and all that kills have left in it; nothing happens where there is none or another's."""
    if folder.is_dir() and _is_ours(folder):
        shutil.rmtree(folder, ignore_errors=True)


def fingerprint(recordings: Sequence[Recording]) -> Fingerprint:
    """Return name and hash of each recording: of its samples and of all that is known about it."""
    return tuple((recording.name, _hash(recording)) for recording in recordings)


def take_state(model: Any) -> NetworkState:
    """Return copies of the weights and optimizer variables of a compiled model whose optimizer is built."""
    saved: dict[str, Any] = {}
    model.optimizer.save_own_variables(saved)
    optimizer = tuple(np.array(saved[str(index)]) for index in range(len(saved)))
    return NetworkState(tuple(np.array(weights) for weights in model.get_weights()), optimizer)


def restore(model: Any, state: NetworkState) -> None:
    """Give such a model of the same network and its optimizer back what `take_state` took.

    Raises:
        TrainingError: If the state is that of another network or optimizer.
    """
    expected = [[tuple(v.shape) for v in variables] for variables in (model.weights, model.optimizer.variables)]
    if expected != [[array.shape for array in arrays] for arrays in (state.weights, state.optimizer)]:
        raise TrainingError("Expected the state of this network and optimizer, got another's. Begin anew with --force.")
    model.set_weights(list(state.weights))
    model.optimizer.load_own_variables({str(index): array for index, array in enumerate(state.optimizer)})


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in a work folder, which is made if it is not there.

    Raises:
        OutputError: If it cannot be written; the one before is then still there.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as exc:
        raise OutputError(f"Could not make the folder {folder}: {exc.strerror}. Choose another --out.") from exc
    about = {
        "schema": SCHEMA,
        "version": __version__,
        "settings": table_from_settings(checkpoint.settings),
        "data": checkpoint.data,
        "history": [asdict(report) for report in checkpoint.history],
    }
    arrays = {
        f"{kind}_{index}": array for kind in _STATE for index, array in enumerate(getattr(checkpoint.state, kind) or ())
    }
    with written_aside(folder / FILE) as temporary:
        np.savez(temporary, about=np.array(json.dumps(about)), **arrays)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read the checkpoint of a work folder.

    Raises:
        TrainingError: If it is missing, damaged, or from a newer version.
    """
    begin_anew = "Begin anew with --force."
    try:
        with np.load(folder / FILE, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            if about["schema"] > SCHEMA:
                raise TrainingError(
                    f"{folder} was written by drsn-edge {about['version']}, this is {__version__}: update. "
                    f"Or: {begin_anew}"
                )
            weights, optimizer, best = (_arrays(file, kind) for kind in _STATE)
        return Checkpoint(
            state=NetworkState(weights, optimizer, best or None),
            history=tuple(EpochReport(**report) for report in about["history"]),
            settings=settings_from_table(about["settings"], str(folder)),
            data=tuple((name, digest) for name, digest in about["data"]),
        )
    except TrainingError:
        raise
    except Exception as exc:  # zipfile, zlib, json and NumPy each have ways of their own to say damaged
        raise TrainingError(f"Expected a whole checkpoint in {folder}, got a damaged one: {exc}. {begin_anew}") from exc


def check_same(checkpoint: Checkpoint, settings: TrainSettings, data: Fingerprint) -> None:
    """Refuse to go on from a checkpoint with other settings (but for `MAY_CHANGE`) or other recordings.

    Raises:
        TrainingError: Naming the first difference.
    """
    difference = _other_setting(checkpoint.settings, settings) or _other_recording(checkpoint.data, data)
    if difference:
        raise TrainingError(
            f"Expected {difference}. Resume with the same settings and recordings, or begin anew with --force."
        )


def _other_setting(before: TrainSettings, now: TrainSettings) -> str | None:
    values = _by_name(now)
    for name, was in _by_name(before).items():
        if name not in MAY_CHANGE and was != values[name]:
            return f"{name} to be {was} as in the training that was stopped, got {values[name]}"
    return None


def _by_name(settings: TrainSettings) -> dict[str, Any]:
    return {**vars(settings), **vars(settings.research), "research": None}


def _other_recording(before: Fingerprint, now: Fingerprint) -> str | None:
    for was, is_now in zip_longest(before, now, fillvalue=("none", "")):
        if was[0] != is_now[0]:
            return f"the recording {was[0]} as in the training that was stopped, got {is_now[0]}"
        if was != is_now:
            return f"the recording {was[0]} as it was in the training that was stopped, got other samples or metadata"
    return None


def _hash(recording: Recording) -> str:
    about = {**vars(recording), "samples": recording.samples.shape, "fields": sorted(recording.fields.items())}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(recording.samples).data)
    return digest.hexdigest()


def _arrays(file: Any, kind: str) -> tuple[NDArray[Any], ...]:
    names = [name for name in file.files if name.startswith(f"{kind}_")]
    return tuple(file[f"{kind}_{index}"] for index in range(len(names)))


def _is_ours(folder: Path) -> bool:
    """Tell whether a work folder holds a checkpoint and parts of some only."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else [""]
    return all(name == FILE or name.startswith(f".{FILE}.") for name in names)
