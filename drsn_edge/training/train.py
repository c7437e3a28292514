"""Train one network on one split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from drsn_edge.datasets.span import Split
from drsn_edge.datasets.windows import WindowSet, cut_spans, pick_per_class, with_random_noise
from drsn_edge.errors import DivergedError
from drsn_edge.models.config import DrsnConfig
from drsn_edge.models.drsn import build_model
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.novelty import Novelty
from drsn_edge.training.augment import with_random_gain
from drsn_edge.training.checkpoint import Keeper, fingerprint, has_checkpoint
from drsn_edge.training.contract import contract_for, network_for
from drsn_edge.training.discriminant import fit_discriminants
from drsn_edge.training.epochs import EpochReport
from drsn_edge.training.feed import draw_windows, split_recordings
from drsn_edge.training.fit import fit, predict_logits
from drsn_edge.training.fit_novelty import fit_novelty
from drsn_edge.training.settings import TrainSettings
from drsn_edge.training.spectral import standardised
from drsn_edge.training.subclasses import subclass_count, subclass_numbers

CALIBRATION_PER_CLASS = 32
CALIBRATION_NOISE = ("gaussian",)
"""Noise of the calibration windows. Impulses are left out: they would widen the input's range at the cost of its
resolution, and may saturate instead."""
GOLDEN_PER_CLASS = 4


@dataclass(frozen=True)
class Training:
    """A trained network with everything that its evaluation and conversion need."""

    settings: TrainSettings
    network: DrsnConfig
    contract: SignalContract
    split: Split
    model: Any
    history: tuple[EpochReport, ...]
    calibration: WindowSet
    golden: WindowSet
    held_out: WindowSet
    novelty: Novelty

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes in the order of the logits."""
        return self.split.labels


def train(
    recordings: Sequence[Recording],
    settings: TrainSettings,
    progress: Callable[[EpochReport], None] | None = None,
    checkpoints: Path | None = None,
    resume: bool = False,
    split: Split | None = None,
) -> Training:
    """Split the recordings, train a network, and select the windows for its conversion and evaluation.

    Args:
        recordings: Recordings with the same axes and unit; each has a label, or the field in the settings.
        settings: See `TrainSettings`.
        progress: Called every few steps and at the end of each epoch.
        checkpoints: Work folder (see `drsn_edge.training.checkpoint`) for the state after each epoch; the caller
            removes it once the result is saved. None: no checkpoint is written.
        resume: Continue from the work folder, with the same result as without the interruption; otherwise the contents
            of the work folder are removed.
        split: Split of these recordings by these settings; None: the split is made here.

    Raises:
        RecordingError: If a recording lacks the field that holds its class.
        SplitError: If the recordings cannot be split by the rule.
        DivergedError: If the loss or a weight is no longer finite; the last good checkpoint stays.
        TrainingError: If the settings do not suit the recordings, or differ from those of the training to resume.
        OutputError: If a checkpoint cannot be written.
    """
    keras.utils.set_random_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    split = split or split_recordings(recordings, settings)
    contract = _standardised_contract(recordings, split, settings)
    subclasses = subclass_count(subclass_numbers(split.train, settings.research.subclass_field))
    network = network_for(settings, contract, len(split.labels), subclasses)
    keeper = None if checkpoints is None else Keeper(checkpoints, settings, fingerprint(recordings))
    start = keeper.begin(resume=resume) if keeper else None
    model = build_model(network)
    if settings.research.discriminants:
        fit_discriminants(model, network, split, settings, contract)
    keep = keeper.keep if keeper else None
    with _advising_after_divergence(checkpoints):
        history = fit(model, split, settings, contract, progress, start, keep, network.fusion)
    recorded = cut_spans(split.train, split.labels, settings.window, settings.window)
    held_out = cut_spans(split.held_out, split.labels, settings.window, settings.window)
    calibration = _calibration(recorded, settings, rng)
    golden = pick_per_class(held_out, GOLDEN_PER_CLASS, rng)
    novelty = fit_novelty(split, settings, recorded)
    return Training(settings, network, contract, split, model, history, calibration, golden, held_out, novelty)


def _calibration(recorded: WindowSet, settings: TrainSettings, rng: np.random.Generator) -> WindowSet:
    """Return windows of the training side that set the int8 ranges, with the gain and noise of the training."""
    chosen = pick_per_class(recorded, CALIBRATION_PER_CLASS, rng)
    louder = with_random_gain(chosen.windows, settings.research.gain_range_db, rng)
    return replace(
        chosen,
        windows=with_random_noise(louder, CALIBRATION_NOISE, settings.snr_range_db, settings.research.clean_share, rng),
    )


def _standardised_contract(recordings: Sequence[Recording], split: Split, settings: TrainSettings) -> SignalContract:
    contract = contract_for(recordings, split, settings)
    if contract.spectra is None:
        return contract
    return standardised(contract, draw_windows(split, settings, 0), speed_trend=settings.research.speed_trend)


@contextmanager
def _advising_after_divergence(checkpoints: Path | None) -> Iterator[None]:
    """Add to a DivergedError what is saved and what to do next."""
    try:
        yield
    except DivergedError as exc:
        saved = checkpoints if checkpoints is not None and has_checkpoint(checkpoints) else None
        raise DivergedError(f"{exc} {_advice(saved)}", exc.problem, **exc.facts, checkpoint=saved) from exc


def _advice(checkpoint: Path | None) -> str:
    if checkpoint is None:
        return "Nothing was written. Check the recordings for outliers, or choose a lower --learning-rate."
    return (
        f"The epochs before are saved in {checkpoint}. Check the recordings for outliers, or continue with --resume "
        "and a lower --learning-rate."
    )


def predict_classes(model: Any, windows: WindowSet, contract: SignalContract) -> np.ndarray:
    """Return the class index of windows in the contract's unit, shape (n,)."""
    return predict_logits(model, windows, contract).argmax(axis=1)
