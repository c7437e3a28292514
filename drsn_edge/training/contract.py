"""The signal contract and the network of a training, before anything is trained. Needs no Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from drsn_edge.datasets.anti_alias import design_decimation
from drsn_edge.datasets.span import Split
from drsn_edge.errors import TrainingError
from drsn_edge.models.config import DrsnConfig, fitted, preset
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.spectra import Spectra
from drsn_edge.signal.windows import Scaling
from drsn_edge.training.settings import INPUTS, TrainSettings


def _scaling(split: Split, kind: str) -> Scaling:
    if kind == "rms":
        return Scaling()
    powers = [span.recording.samples[span.start : span.stop].var(axis=0, dtype=np.float64) for span in split.train]
    return Scaling("fixed", float(np.sqrt(np.mean(powers))) or 1.0)


def contract_for(recordings: Sequence[Recording], split: Split, settings: TrainSettings) -> SignalContract:
    """Return the contract of a training, whose spectra are not standardised yet.

    Args:
        recordings: The recordings, which have the same axes and unit.
        split: Their split.
        settings: See `TrainSettings`.

    Raises:
        TrainingError: If the inputs need a shaft speed that a recording lacks.
    """
    views, research = INPUTS[settings.inputs], settings.research
    contract = SignalContract(
        sample_rate_hz=_sample_rate_hz(split),
        axes=recordings[0].axes,
        unit=recordings[0].unit,
        window=settings.window,
        hop=research.stream_hop or settings.hop_samples,
        scaling=_scaling(split, research.scaling),
        spectra=_spectra(settings) if views else None,
        decimation=design_decimation(),
    )
    unknown = [recording.name for recording in recordings if not recording.speed_hz > 0]
    if (contract.needs_speed or research.speed_trend) and unknown:
        raise TrainingError(
            f"{unknown[0]} has no shaft speed, which shaft orders and speed_trend need. Add a field rpm to the "
            "catalogue, or choose the inputs 'bands' without speed_trend.",
            "no_speed",
            recording=unknown[0],
            count=len(unknown),
        )
    return contract


def _spectra(settings: TrainSettings) -> Spectra:
    research = settings.research
    return Spectra(
        INPUTS[settings.inputs],
        research.spectrum_lines,
        research.highest_order,
        absolute_bands=research.absolute_bands,
    )


def _sample_rate_hz(split: Split) -> float:
    spans = (*split.train, *split.validation, *split.held_out)
    rates = {span.recording.name: span.recording.sample_rate_hz for span in spans}
    return float(np.median(list(rates.values())))


def network_for(settings: TrainSettings, contract: SignalContract, n_classes: int, subclasses: int = 1) -> DrsnConfig:
    """Return the network of a training.

    Args:
        settings: See `TrainSettings`.
        contract: Contract of the training.
        n_classes: Number of classes.
        subclasses: Subclasses of each class.

    Raises:
        TrainingError: If the settings do not suit the axes or the window.
    """
    research = settings.research
    if research.axis_dropout and len(contract.axes) == 1:
        raise TrainingError(
            f"axis_dropout needs several axes, but the recordings have the axis {contract.axes[0]} only. Set "
            "axis_dropout to 0.",
            "one_axis",
            axis=contract.axes[0],
        )
    steps, channels = contract.input_shape
    fits: dict[str, Any] = {"window": steps, "n_axes": channels, "n_classes": n_classes, "block": research.block}
    sizes = settings.network
    network = preset(sizes, **fits) if isinstance(sizes, str) else fitted(sizes, **fits)
    if contract.spectra is None:
        return network
    branches = contract.spectra.view_channels(len(contract.axes))
    return replace(
        network,
        branches=branches,
        weights=research.view_weights,
        discriminants=research.discriminants > 0,
        subclasses=subclasses,
    )
