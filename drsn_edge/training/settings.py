"""What decides a training besides the recordings: what a user sets, and beside it what only research changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from drsn_edge.errors import TrainingError
from drsn_edge.models.config import NetworkSizes
from drsn_edge.signal.names import NOISE_KINDS, SCALINGS

CLASS_WEIGHTS = ("none", "balanced")

INPUTS: dict[str, tuple[str, ...]] = {
    "waveform": (),
    "bands": ("bands",),
    "spectra": ("bands", "orders", "envelopes"),
}
"""What a network can be shown, and the views of `drsn_edge.signal.spectra` that it is made of."""

Ranges = Mapping[str, tuple[float, float]]

RANGES: Ranges = {
    "window": (16, math.inf),
    "hop": (0, math.inf),
    "epochs": (1, math.inf),
    "learning_rate": (1e-9, math.inf),
    "patience": (0, math.inf),
    "seed": (0, 2**32 - 1),  # what Keras takes
}

RESEARCH_RANGES: Ranges = {
    "batch_size": (2, math.inf),
    "clean_share": (0, 1),
    "speed_range": (0, 0.5),  # a machine at no speed, or running backwards, has no windows
    "gain_range_db": (0, 60),
    "axis_dropout": (0, 1),
    "spectrum_lines": (8, math.inf),
    "highest_order": (1, 1000),
    "style_mix": (0, 10),
    "discriminants": (0, 10),
    "redraw_every": (1, math.inf),
}

_OF_SPECTRA = ("spectrum_lines", "style_mix", "discriminants")
_OF_SEVERAL_VIEWS = ("highest_order", "view_weights")


@dataclass(frozen=True)
class ResearchSettings:
    """What only research changes: the table `[research]` of a configuration file, and no option of the command line.

    Attributes:
        block: Kind of block of the network: `rsbu-cw`, `rsbu-cs`, `se`, `residual` or `plain`.
        scaling: `rms`: divide each window by its own RMS; `fixed`: divide all windows by the RMS of the training side.
        validation: Whether the end of each recording's training part is kept to watch the training with; `false`: train
            on it as well.
        batch_size: Windows per step.
        clean_share: Share of the training windows that get no noise, 0 to 1.
        speed_range: Relative change of speed drawn for each training window; 0.03 is up to 3 % faster or slower.
        gain_range_db: Change of level drawn for each training window, up to so many dB louder or softer; only with
            `scaling = "fixed"`.
        axis_dropout: Share of the training windows in which one axis, drawn at random, is set to zero.
        spectrum_lines: Lines of each log spectrum; only with the inputs `bands` and `spectra`.
        highest_order: Multiple of the shaft speed at the last line; only with the inputs `spectra`.
        view_weights: Weights of bands, orders and envelopes in the logits, such as `[4, 1, 1]`; empty: all alike; only
            with the inputs `spectra`.
        style_mix: Strength with which differences between two windows of one class are mixed into other windows; only
            with the inputs `bands` and `spectra`. See `drsn_edge.training.spectral.mix_styles`.
        discriminants: Weight of linear discriminants in the logits, relative to the network's own; 0: none; only with
            the inputs `bands` and `spectra`.
        redraw_every: Epochs that share their windows, noise included; above 1 where making windows takes longer than
            training on them.
    """

    block: str = "rsbu-cw"
    scaling: str = "rms"
    validation: bool = True
    batch_size: int = 64
    clean_share: float = 0.3
    speed_range: float = 0.03
    gain_range_db: float = 0.0
    axis_dropout: float = 0.0
    spectrum_lines: int = 128
    highest_order: float = 16.0
    view_weights: tuple[float, ...] = ()
    style_mix: float = 0.0
    discriminants: float = 0.0
    redraw_every: int = 1

    def __post_init__(self) -> None:
        """Refuse impossible settings.

        Raises:
            TrainingError: Naming the setting and what it may be.
        """
        _check_ranges(self, RESEARCH_RANGES)
        _check_choice("scaling", self.scaling, SCALINGS)
        if self.gain_range_db and self.scaling != "fixed":
            raise TrainingError(
                "Expected gain_range_db with the scaling 'fixed' only, as 'rms' takes the level away. Set scaling too."
            )

    def changed(self, names: tuple[str, ...]) -> list[str]:
        """Return those of the names whose value is not the default."""
        return [each.name for each in fields(self) if each.name in names and getattr(self, each.name) != each.default]


RESEARCH = tuple(each.name for each in fields(ResearchSettings))
"""The keys of the table `[research]`."""


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides a training besides the recordings.

    Each training window is cut anew every epoch, up to a hop later than in the epoch before, so that a shift in time
    needs no setting. Then come, in this order: speed, gain, polarity, axis dropout, noise, scaling.

    Attributes:
        hold_out: The hold-out set: `FIELD=VALUE`, `FIELD=VALUE,time=SHARE`, `fold=K/N`, `time=SHARE` or
            `windows=SHARE`.
        network: Name of a network that `drsn-edge models` lists, or a table `[network]` with sizes of your own.
        window: Samples per window.
        hop: Samples between the starts of two windows, in training and when streaming; 0: half a window.
        inputs: What the network sees: `waveform` (the samples), `bands` (log band powers) or `spectra` (bands, shaft
            orders and envelope orders).
        epochs: Passes over the training windows.
        learning_rate: Highest learning rate of Adam; it rises to this, and falls along a cosine over all epochs.
        patience: Epochs without a better validation after which the training stops and keeps the best epoch's weights;
            0: never stop early, and keep the last weights.
        class_weights: `balanced` weighs the loss of each window so that every class counts the same; `none` does not.
        noise: Kinds of noise that are added to training windows: `gaussian`, `laplacian`, `pink`, `impulsive`.
        snr_range_db: Range of the signal-to-noise ratio drawn for noisy training windows, lowest and highest, in dB.
        polarity: Whether the sign of a training window, all axes together, is turned at random, as if the sensor faced
            the other way.
        seed: Seed of everything that is drawn at random.
        label_field: Field of the recordings that is their class; empty: their label.
        allow_leaks: Whether to train on a split whose two sides share samples, and report it, instead of refusing it.
        keep_labels: Whether labels that differ only by case or spaces are different classes; if not, they are refused.
        research: The table `[research]`.
    """

    hold_out: str
    network: str | NetworkSizes = "small"
    window: int = 1024
    hop: int = 0
    inputs: str = "waveform"
    epochs: int = 24
    learning_rate: float = 3e-3
    patience: int = 0
    class_weights: str = "none"
    noise: tuple[str, ...] = NOISE_KINDS
    snr_range_db: tuple[float, float] = (-6.0, 12.0)
    polarity: bool = False
    seed: int = 0
    label_field: str = ""
    allow_leaks: bool = False
    keep_labels: bool = False
    research: ResearchSettings = field(default_factory=ResearchSettings)

    def __post_init__(self) -> None:
        """Refuse impossible settings.

        Raises:
            TrainingError: Naming the setting and what it may be.
        """
        _check_ranges(self, RANGES)
        lowest, highest = self.snr_range_db
        if not -math.inf < lowest <= highest < math.inf:
            raise TrainingError(f"Expected a lowest SNR not above the highest, got {lowest} to {highest} dB.")
        if not self.noise or not set(self.noise) <= set(NOISE_KINDS):
            raise TrainingError(f"Expected noise of kinds among {', '.join(NOISE_KINDS)}, got {', '.join(self.noise)}.")
        _check_choice("class_weights", self.class_weights, CLASS_WEIGHTS)
        _check_choice("inputs", self.inputs, tuple(INPUTS))
        if self.patience and not self.research.validation:
            raise TrainingError("Expected no patience without validation, which it waits for. Leave one of them out.")
        self._check_research()

    def _check_research(self) -> None:
        """Refuse what the inputs do not use, and windows too short for their spectra."""
        unused = self.research.changed(_OF_SPECTRA) if self.inputs == "waveform" else []
        if unused:
            raise TrainingError(f"Expected {unused[0]} with log spectra only, got it with the inputs 'waveform'.")
        unused = self.research.changed(_OF_SEVERAL_VIEWS) if self.inputs != "spectra" else []
        if unused:
            raise TrainingError(f"Expected {unused[0]} with the inputs 'spectra' only, got it with {self.inputs!r}.")
        lines = self.research.spectrum_lines
        if self.inputs != "waveform" and (self.window % 4 or self.window < 2 * lines):
            raise TrainingError(
                f"Expected a window that is a multiple of 4, of at least {2 * lines} samples for {lines} lines, got "
                f"{self.window}."
            )

    @property
    def hop_samples(self) -> int:
        """The hop with its default filled in."""
        return self.hop or self.window // 2


def settings_from(values: Mapping[str, Any]) -> TrainSettings:
    """Return the settings of values by name in one flat table, those of research among the others."""
    research = {name: value for name, value in values.items() if name in RESEARCH}
    others = {name: value for name, value in values.items() if name not in RESEARCH}
    return TrainSettings(**others, research=ResearchSettings(**research))


def _check_ranges(settings: object, ranges: Ranges) -> None:
    for name, (least, most) in ranges.items():
        value = getattr(settings, name)
        if not least <= value <= most:
            wanted = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
            raise TrainingError(f"Expected {name} {wanted}, got {value}.")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise TrainingError(f"Expected {name} among {', '.join(choices)}, got {value!r}.")
