"""The run folder of a training without a network: the result of `train` with healthy recordings alone.

config.json           settings, signal contract, the label, the recordings on each side; "network" is null
config.toml           the settings alone, for `drsn-edge train --config`
metrics.json          share of UNKNOWN on the hold-out set, and what the model can say
novelty.npz           operating points and their limits, see `drsn_edge.signal.references`
naming.npz            what changes are named by, see `drsn_edge.signal.resemblance`; only with a bearing
heard.npz             what was heard of each window of the training side, for limits of another share
golden.npz            a few hold-out windows, for the bundle
held_out.npz          all hold-out windows
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from drsn_edge.datasets.windows import WindowSet
from drsn_edge.signal.novelty import MEMBER, Novelty, novelty_from_bytes, novelty_to_bytes
from drsn_edge.signal.references import Heard
from drsn_edge.signal.resemblance import MEMBER as NAMING
from drsn_edge.signal.resemblance import Naming, naming_from_bytes, naming_to_bytes
from drsn_edge.support.files import folder_aside
from drsn_edge.training.config_file import write_config
from drsn_edge.training.healthy import HealthyTraining, healthy_settings
from drsn_edge.training.run_folder import (
    HEARD,
    RunRecord,
    config_of,
    load_windows,
    read_run,
    refused_if_damaged,
    save_windows,
    write_json,
)


@dataclass(frozen=True)
class HealthyRun(RunRecord):
    """A run folder without a network.

    Attributes:
        golden: A few hold-out windows.
        heard: What was heard of the training side.
        novelty: Novelty detection with limits for `drsn_edge.training.healthy.FALSE_UNKNOWN`.
        naming: What changes are named by; None: no change is named.
    """

    golden: WindowSet
    heard: Heard
    novelty: Novelty
    naming: Naming | None

    @property
    def label(self) -> str:
        """The one label."""
        return self.labels[0]


def save_healthy_run(training: HealthyTraining, metrics: dict[str, Any], folder: Path) -> None:
    """Write what was learned to `folder`, replacing its contents.

    Raises:
        OutputError: If it cannot be written; the folder is then unchanged.
    """
    settings = healthy_settings(training.settings)
    with folder_aside(folder) as new:
        write_json(new / "config.json", {**config_of(training.split, training.contract, settings), "network": None})
        write_json(new / "metrics.json", metrics)
        write_config(settings, new / "config.toml")
        (new / MEMBER).write_bytes(novelty_to_bytes(training.novelty))
        if training.naming is not None:
            (new / NAMING).write_bytes(naming_to_bytes(training.naming))
        np.savez_compressed(new / HEARD, **vars(training.heard))
        save_windows(new, "golden", training.golden)
        save_windows(new, "held_out", training.held_out)


def load_healthy_run(folder: Path) -> HealthyRun:
    """Read a run folder without a network.

    Raises:
        TrainingError: If the folder is damaged or from a newer version.
    """
    record = read_run(folder)
    with refused_if_damaged(folder):
        return HealthyRun(
            **vars(record),
            golden=load_windows(folder, "golden"),
            heard=_load_heard(folder),
            novelty=novelty_from_bytes((folder / MEMBER).read_bytes(), len(record.contract.axes)),
            naming=naming_from_bytes((folder / NAMING).read_bytes()) if (folder / NAMING).exists() else None,
        )


def _load_heard(folder: Path) -> Heard:
    with np.load(folder / HEARD, allow_pickle=False) as file:
        arrays = {each.name: file[each.name] for each in fields(Heard)}
    return Heard(**{**arrays, "lines": int(arrays["lines"])})
