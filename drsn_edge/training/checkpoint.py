"""The work folder: the state that a training needs to continue after a kill, in one file that is replaced whole.

The folder `run.training/` lies beside the future run folder `run/`. Its file `checkpoint.npz` holds weights and
optimizer after the last complete epoch, the best weights so far if patience needs them, the history so far, the
settings, and a hash of each recording. The random numbers of an epoch follow from the seed and the number of the epoch,
so that no state of a generator is saved.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
"""Settings that may change when a training continues: after a divergence, only a lower learning rate helps."""

_SAME = "Resume with the same settings and recordings, or start again with --force."

Fingerprint = tuple[tuple[str, str], ...]
"""Name and hash of each recording, in order."""


@dataclass(frozen=True)
class NetworkState:
    """A model and its optimizer as plain arrays.

    Attributes:
        weights: Weights in Keras's order.
        optimizer: Variables in the order in which the optimizer saves them.
        best: Weights of the best epoch so far; None without patience.
    """

    weights: tuple[NDArray[Any], ...]
    optimizer: tuple[NDArray[Any], ...]
    best: tuple[NDArray[Any], ...] | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A training after a complete epoch, the last of `history`."""

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
        """Return the checkpoint to continue from; without `resume` remove the rest of an earlier training.

        Raises:
            TrainingError: If the checkpoint cannot be used, or has other settings or recordings.
        """
        if not resume:
            remove_work_folder(self.folder)
            return None
        checkpoint = load_checkpoint(self.folder)
        check_same(checkpoint, self.settings, self.data)
        return checkpoint

    def keep(self, state: NetworkState, history: Sequence[EpochReport]) -> None:
        """Replace the checkpoint with this state."""
        save_checkpoint(self.folder, Checkpoint(state, tuple(history), self.settings, self.data))


def work_folder(out: Path) -> Path:
    """Return the work folder of the run folder `out`."""
    target = out.resolve()
    return target.with_name(f"{target.name}.training")


def has_checkpoint(folder: Path) -> bool:
    """Return whether a work folder holds a training to resume."""
    return (folder / FILE).is_file()


def check_work_folder(folder: Path, *, resume: bool, force: bool) -> None:
    """Refuse a training that would overwrite another one, or that has nothing to resume.

    Raises:
        TrainingError: If there is nothing to resume, or another training would be lost.
        OutputError: If something else is in the place of the work folder.
    """
    if resume and not has_checkpoint(folder):
        raise TrainingError(
            f"There is no training to resume in {folder}. Start a new one without --resume.",
            "nothing_to_resume",
            path=folder,
        )
    if folder.exists() and not _is_ours(folder):
        raise OutputError(
            f"{folder} holds something else. Move it, or choose another --out.", "holds_something_else", path=folder
        )
    if has_checkpoint(folder) and not (resume or force):
        raise TrainingError(
            f"{folder} holds a training that was stopped before its end. Continue it with --resume, or start again "
            "with --force.",
            "stopped_training",
            path=folder,
        )


def remove_work_folder(folder: Path) -> None:
    """Remove a work folder and everything that kills have left in it; other folders and files stay."""
    if folder.is_dir() and _is_ours(folder):
        shutil.rmtree(folder, ignore_errors=True)


def fingerprint(recordings: Sequence[Recording]) -> Fingerprint:
    """Return the name of each recording with a hash of its samples and metadata."""
    return tuple((recording.name, _hash(recording)) for recording in recordings)


def take_state(model: Any) -> NetworkState:
    """Return copies of the weights and optimizer variables of a compiled model whose optimizer is built."""
    saved: dict[str, Any] = {}
    model.optimizer.save_own_variables(saved)
    optimizer = tuple(np.array(saved[str(index)]) for index in range(len(saved)))
    return NetworkState(tuple(np.array(weights) for weights in model.get_weights()), optimizer)


def restore(model: Any, state: NetworkState) -> None:
    """Set the weights and optimizer variables of such a model to a state that `take_state` returned.

    Raises:
        TrainingError: If the state belongs to another network or optimizer.
    """
    expected = [[tuple(v.shape) for v in variables] for variables in (model.weights, model.optimizer.variables)]
    if expected != [[array.shape for array in arrays] for arrays in (state.weights, state.optimizer)]:
        raise TrainingError(
            "The checkpoint belongs to another network or optimizer. Start again with --force.", "other_network"
        )
    model.set_weights(list(state.weights))
    model.optimizer.load_own_variables({str(index): array for index, array in enumerate(state.optimizer)})


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in a work folder, which is created if necessary.

    Raises:
        OutputError: If it cannot be written; the previous checkpoint then stays.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as exc:
        raise OutputError(
            f"Could not make the folder {folder}: {exc.strerror}. Choose another --out.",
            "cannot_make_folder",
            path=folder,
            reason=exc.strerror,
        ) from exc
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
    try:
        with np.load(folder / FILE, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            if about["schema"] > SCHEMA:
                raise TrainingError(
                    f"{folder} was written by drsn-edge {about['version']}, this is {__version__}. Update drsn-edge, "
                    "or start again with --force.",
                    "newer_version",
                    path=folder,
                    version=about["version"],
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
    except Exception as exc:  # zipfile, zlib, json and NumPy raise different errors for damaged files
        raise TrainingError(
            f"The checkpoint in {folder} is damaged: {exc}. Start again with --force.", "damaged", path=folder
        ) from exc


def check_same(checkpoint: Checkpoint, settings: TrainSettings, data: Fingerprint) -> None:
    """Refuse to continue from a checkpoint with other settings (except `MAY_CHANGE`) or other recordings.

    Raises:
        TrainingError: If a setting or recording differs; the error names the first one.
    """
    _check_settings(checkpoint.settings, settings)
    _check_recordings(checkpoint.data, data)


def _check_settings(before: TrainSettings, now: TrainSettings) -> None:
    values = _by_name(now)
    for name, was in _by_name(before).items():
        if name not in MAY_CHANGE and was != values[name]:
            raise _other_setting(name, was, values[name])


def check_named(settings: TrainSettings, named: Mapping[str, Any]) -> TrainSettings:
    """Return the settings of a checkpoint, with a named learning rate; refuse any other named setting that differs.

    Args:
        settings: Settings of the checkpoint.
        named: Settings by name, those for research among them, as a user typed them.

    Raises:
        TrainingError: If a setting differs.
    """
    values = _by_name(settings)
    for name, now in named.items():
        if name not in MAY_CHANGE and values[name] != now:
            raise _other_setting(name, values[name], now)
    return replace(settings, **{name: named[name] for name in MAY_CHANGE if name in named})


def _other_setting(name: str, was: Any, now: Any) -> TrainingError:
    return TrainingError(
        f"The stopped training had {name} = {was}, got {now}. {_SAME}",
        "other_setting",
        setting=name,
        expected=was,
        got=now,
    )


def _by_name(settings: TrainSettings) -> dict[str, Any]:
    return {**vars(settings), **vars(settings.research), "research": None}


def _check_recordings(before: Fingerprint, now: Fingerprint) -> None:
    for was, is_now in zip_longest(before, now, fillvalue=("none", "")):
        if was[0] != is_now[0]:
            raise TrainingError(
                f"The stopped training had the recording {was[0]} where {is_now[0]} is now. {_SAME}",
                "other_recording",
                expected=was[0],
                got=is_now[0],
            )
        if was != is_now:
            raise TrainingError(
                f"The samples or metadata of the recording {was[0]} have changed since the stopped training. {_SAME}",
                "changed_recording",
                recording=was[0],
            )


def _hash(recording: Recording) -> str:
    about = {**vars(recording), "samples": recording.samples.shape, "fields": sorted(recording.fields.items())}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(recording.samples).data)
    return digest.hexdigest()


def _arrays(file: Any, kind: str) -> tuple[NDArray[Any], ...]:
    names = [name for name in file.files if name.startswith(f"{kind}_")]
    return tuple(file[f"{kind}_{index}"] for index in range(len(names)))


def _is_ours(folder: Path) -> bool:
    """Return whether a work folder holds only a checkpoint and partly written ones."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else [""]
    return all(name == FILE or name.startswith(f".{FILE}.") for name in names)
