"""Train one network on one split: readable from top to bottom."""

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
from drsn_edge.errors import DivergedError, TrainingError
from drsn_edge.models.config import DrsnConfig, fitted, preset
from drsn_edge.models.drsn import build_model
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.spectra import Spectra
from drsn_edge.signal.windows import Scaling
from drsn_edge.training.augment import with_random_gain
from drsn_edge.training.checkpoint import Keeper, fingerprint, has_checkpoint
from drsn_edge.training.discriminant import fit_discriminants
from drsn_edge.training.epochs import EpochReport
from drsn_edge.training.feed import draw_windows, split_recordings
from drsn_edge.training.fit import fit, predict_logits
from drsn_edge.training.fit_novelty import fit_novelty
from drsn_edge.training.settings import INPUTS, TrainSettings
from drsn_edge.training.spectral import standardised

CALIBRATION_PER_CLASS = 32
CALIBRATION_NOISE = ("gaussian",)
"""Impulses would stretch the input's range and take its resolution from everything else; they may saturate instead."""
GOLDEN_PER_CLASS = 4


@dataclass(frozen=True)
class Training:
    """A trained network with all that judging and converting it needs."""

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
    """Split the recordings, train a network, and set aside the windows that conversion and judging need.

    Args:
        recordings: Labelled, or with the field that the settings name, of one rate, axes and unit.
        settings: See `TrainSettings`.
        progress: Called now and then and at the end of each epoch.
        checkpoints: Work folder (see `drsn_edge.training.checkpoint`) that holds the state after each epoch, for the
            caller to remove when the result is safe. None: nothing is written.
        resume: Go on from what the work folder holds, to the same result; otherwise what it holds is removed.
        split: Of these recordings by these settings, where it was made already; None: it is made here.

    Raises:
        RecordingError: If a recording lacks the field that is to be its class.
        SplitError: If the recordings cannot be split as asked.
        DivergedError: If the loss or a weight stops being a number; the last good checkpoint stays.
        TrainingError: If settings and recordings do not go together, or differ from those to resume.
        OutputError: If a checkpoint cannot be written.
    """
    keras.utils.set_random_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    split = split or split_recordings(recordings, settings)
    contract = _contract(recordings, split, settings)
    network = _network(settings, contract, len(split.labels))
    keeper = None if checkpoints is None else Keeper(checkpoints, settings, fingerprint(recordings))
    start = keeper.begin(resume=resume) if keeper else None
    model = build_model(network)
    if settings.research.discriminants:
        fit_discriminants(model, network.branches, split, settings, contract)
    keep = keeper.keep if keeper else None
    with _divergence_says_the_way_on(checkpoints):
        history = fit(model, split, settings, contract, progress, start, keep, network.fusion)
    recorded = cut_spans(split.train, split.labels, settings.window, settings.window)
    held_out = cut_spans(split.held_out, split.labels, settings.window, settings.window)
    calibration = _calibration(recorded, settings, rng)
    golden = pick_per_class(held_out, GOLDEN_PER_CLASS, rng)
    novelty = fit_novelty(split, settings, recorded)
    return Training(settings, network, contract, split, model, history, calibration, golden, held_out, novelty)


def _calibration(recorded: WindowSet, settings: TrainSettings, rng: np.random.Generator) -> WindowSet:
    """Return windows of the training side that set the int8 ranges, as loud and as noisy as training knew them."""
    chosen = pick_per_class(recorded, CALIBRATION_PER_CLASS, rng)
    louder = with_random_gain(chosen.windows, settings.research.gain_range_db, rng)
    return replace(
        chosen,
        windows=with_random_noise(louder, CALIBRATION_NOISE, settings.snr_range_db, settings.research.clean_share, rng),
    )


def _scaling(split: Split, kind: str) -> Scaling:
    if kind == "rms":
        return Scaling()
    powers = [span.recording.samples[span.start : span.stop].var(axis=0, dtype=np.float64) for span in split.train]
    return Scaling("fixed", float(np.sqrt(np.mean(powers))) or 1.0)


def _contract(recordings: Sequence[Recording], split: Split, settings: TrainSettings) -> SignalContract:
    views, research = INPUTS[settings.inputs], settings.research
    contract = SignalContract(
        sample_rate_hz=float(np.median([recording.sample_rate_hz for recording in recordings])),
        axes=recordings[0].axes,
        unit=recordings[0].unit,
        window=settings.window,
        hop=settings.hop_samples,
        scaling=_scaling(split, research.scaling),
        spectra=Spectra(views, research.spectrum_lines, research.highest_order) if views else None,
    )
    unknown = [recording.name for recording in recordings if not recording.speed_hz > 0]
    if contract.needs_speed and unknown:
        raise TrainingError(
            f"Expected the shaft speed of each recording in a field rpm, as its inputs are shaft orders, got none in "
            f"{unknown[0]}. Give it in the catalogue, or choose the inputs 'bands'."
        )
    return standardised(contract, draw_windows(split, settings, 0)) if views else contract


def _network(settings: TrainSettings, contract: SignalContract, n_classes: int) -> DrsnConfig:
    research = settings.research
    if research.axis_dropout and len(contract.axes) == 1:
        raise TrainingError(f"Expected several axes for axis_dropout, got {contract.axes[0]} only. Leave it out.")
    steps, channels = contract.input_shape
    fits: dict[str, Any] = {"window": steps, "n_axes": channels, "n_classes": n_classes, "block": research.block}
    sizes = settings.network
    network = preset(sizes, **fits) if isinstance(sizes, str) else fitted(sizes, **fits)
    if contract.spectra is None:
        return network
    branches = contract.spectra.view_channels(len(contract.axes))
    return replace(network, branches=branches, weights=research.view_weights, discriminants=research.discriminants > 0)


@contextmanager
def _divergence_says_the_way_on(checkpoints: Path | None) -> Iterator[None]:
    try:
        yield
    except DivergedError as exc:
        raise DivergedError(f"{exc} {_way_on(checkpoints)}") from exc


def _way_on(checkpoints: Path | None) -> str:
    """Return what to do after a loss that is no number."""
    if checkpoints is None or not has_checkpoint(checkpoints):
        return "Nothing was written. Try a smaller --learning-rate, and check the recordings for outliers."
    return (
        f"The epochs before it are in {checkpoints}: go on with --resume and a smaller --learning-rate, and check the "
        "recordings for outliers."
    )


def predict_classes(model: Any, windows: WindowSet, contract: SignalContract) -> np.ndarray:
    """Return the class index of windows in the contract's unit, shape (n,)."""
    return predict_logits(model, windows, contract).argmax(axis=1)
