"""The settings of a training: those for users, and those for research."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from drsn_edge.errors import TrainingError
from drsn_edge.models.config import NetworkSizes, check_choice
from drsn_edge.signal.names import NOISE_KINDS, SCALINGS

CLASS_WEIGHTS = ("none", "balanced")

INPUTS: dict[str, tuple[str, ...]] = {
    "waveform": (),
    "bands": ("bands",),
    "spectra": ("bands", "orders", "envelopes"),
}
"""Kinds of input of a network, each with its views of `drsn_edge.signal.spectra`; a waveform has no views."""

Ranges = Mapping[str, tuple[float, float]]

RANGES: Ranges = {
    "window": (16, math.inf),
    "hop": (0, math.inf),
    "epochs": (1, math.inf),
    "learning_rate": (1e-9, math.inf),
    "patience": (0, math.inf),
    "seed": (0, 2**32 - 1),  # the range of Keras
    "most_damaged": (0, 1),
    "sample_rate_hz": (0, math.inf),
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
    "stream_hop": (0, math.inf),
    "redraw_every": (1, math.inf),
}

_OF_SPECTRA = (
    "spectrum_lines",
    "style_mix",
    "discriminants",
    "absolute_bands",
    "speed_trend",
    "subclass_field",
)
_OF_SEVERAL_VIEWS = ("highest_order", "view_weights")


@dataclass(frozen=True)
class ResearchSettings:
    """Settings for research: the table `[research]` of a configuration file; the command line has no options for them.

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
        absolute_bands: Whether log band powers keep the level of a window; `false`: they are relative to the mean
            square of the window itself; only with the inputs `bands` and `spectra` and with `scaling = "fixed"`.
        speed_trend: Whether the trend of log band powers with the shaft speed, fitted on the training side, is taken
            away; every recording then needs a speed; only with the inputs `bands` and `spectra`.
        subclass_field: Field whose values split each class into subclasses that the network tells apart in training,
            such as `load_hp`; a window gets the class of its most probable subclass. Empty: no subclasses; only with
            the inputs `bands` and `spectra`. See `drsn_edge.training.subclasses`.
        stream_hop: Samples between the starts of two windows when streaming; 0: as in training. Training windows may
            overlap far more than a gateway has time for.
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
    absolute_bands: bool = False
    speed_trend: bool = False
    subclass_field: str = ""
    stream_hop: int = 0
    redraw_every: int = 1

    def __post_init__(self) -> None:
        """Refuse impossible settings.

        Raises:
            TrainingError: If a setting is out of its range; the error names both.
        """
        _check_ranges(self, RESEARCH_RANGES)
        check_choice("scaling", self.scaling, SCALINGS)
        of_level = self.changed(("gain_range_db", "absolute_bands"))
        if of_level and self.scaling != "fixed":
            raise TrainingError(
                f"{of_level[0]} has no effect with the scaling 'rms', which removes the level. Set scaling to 'fixed', "
                f"or remove {of_level[0]}.",
                "setting_unused",
                setting=of_level[0],
                needs="scaling fixed",
            )

    def changed(self, names: tuple[str, ...]) -> list[str]:
        """Return the names among `names` whose value is not the default."""
        return [each.name for each in fields(self) if each.name in names and getattr(self, each.name) != each.default]


RESEARCH = tuple(each.name for each in fields(ResearchSettings))
"""The keys of the table `[research]`."""


@dataclass(frozen=True)
class TrainSettings:
    """The settings of a training: together with the recordings they determine its result.

    Each training window is cut again in every epoch, up to a hop later than in the previous epoch, so that a shift in
    time needs no setting. The augmentations follow in this order: speed, gain, polarity, axis dropout, noise, scaling.

    Attributes:
        hold_out: The hold-out set: `FIELD=VALUE`, `FIELD=VALUE,time=SHARE`, `fold=K/N`, `time=SHARE` or
            `windows=SHARE`.
        network: Name of a network that `drsn-edge models` lists, or a table `[network]` with sizes of your own.
        window: Samples per window.
        hop: Samples between the starts of two windows, in training and when streaming; 0: half a window.
        inputs: What the network sees: `waveform` (the samples), `bands` (log band powers) or `spectra` (bands, shaft
            orders and envelope orders). `drsn-edge train` searches if neither the file nor an option names it, and then
            also for `network`, `window` and the table [research], as far as they are not named.
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
        most_damaged: Highest share of a class's windows that may be damaged, 0 to 1. Damaged windows are left out, and
            beyond this share the training is refused.
        keep_labels: Whether labels that differ only by case or spaces are different classes; if not, they are refused.
        sample_rate_hz: Sampling rate in Hz to which recordings with a higher rate are decimated, at most the lowest of
            them; 0: the lowest.
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
    most_damaged: float = 0.05
    sample_rate_hz: float = 0.0
    research: ResearchSettings = field(default_factory=ResearchSettings)

    def __post_init__(self) -> None:
        """Refuse impossible settings.

        Raises:
            TrainingError: If a setting is out of its range; the error names both.
        """
        _check_ranges(self, RANGES)
        lowest, highest = self.snr_range_db
        if not -math.inf < lowest <= highest < math.inf:
            raise TrainingError(
                f"The range of the signal-to-noise ratio must be two finite numbers in dB, the lower one first, got "
                f"{lowest} to {highest}.",
                "snr_range",
                lowest=lowest,
                highest=highest,
            )
        if not self.noise or not set(self.noise) <= set(NOISE_KINDS):
            raise TrainingError(
                f"noise must be one or more of {', '.join(NOISE_KINDS)}, got {', '.join(self.noise) or 'nothing'}.",
                "unknown_choice",
                setting="noise",
                got=self.noise,
                choices=NOISE_KINDS,
            )
        check_choice("class_weights", self.class_weights, CLASS_WEIGHTS)
        check_choice("inputs", self.inputs, tuple(INPUTS))
        if self.patience and not self.research.validation:
            raise TrainingError(
                "patience needs validation, which is switched off. Set patience to 0, or validation to true.",
                "patience_without_validation",
            )
        self._check_research()

    def _check_research(self) -> None:
        """Refuse settings that the inputs do not use, and windows that are too short for their spectra."""
        if self.inputs == "waveform":
            self._refuse_unused(_OF_SPECTRA, "log spectra", "the inputs 'bands' or 'spectra'")
        if self.inputs != "spectra":
            self._refuse_unused(_OF_SEVERAL_VIEWS, "spectra", "the inputs 'spectra'")
        lines = self.research.spectrum_lines
        if self.inputs != "waveform" and (self.window % 4 or self.window < 2 * lines):
            raise TrainingError(
                f"window must be a multiple of 4 and at least {2 * lines} samples for {lines} spectrum lines, got "
                f"{self.window}.",
                "window_for_spectra",
                least=2 * lines,
                lines=lines,
                got=self.window,
            )

    def _refuse_unused(self, names: tuple[str, ...], needs: str, inputs: str) -> None:
        unused = self.research.changed(names)
        if unused:
            raise TrainingError(
                f"{unused[0]} has no effect with the inputs {self.inputs!r}. Remove it, or choose {inputs}.",
                "setting_unused",
                setting=unused[0],
                needs=needs,
                inputs=self.inputs,
            )

    @property
    def hop_samples(self) -> int:
        """The hop in samples, with its default of half a window filled in."""
        return self.hop or self.window // 2


def settings_from(values: Mapping[str, Any]) -> TrainSettings:
    """Return the settings of a flat table that holds settings for users and for research together."""
    research = {name: value for name, value in values.items() if name in RESEARCH}
    others = {name: value for name, value in values.items() if name not in RESEARCH}
    return TrainSettings(**others, research=ResearchSettings(**research))


def _check_ranges(settings: object, ranges: Ranges) -> None:
    for name, (least, most) in ranges.items():
        value = getattr(settings, name)
        if not least <= value <= most:
            wanted = f"at least {least}" if most == math.inf else f"from {least} to {most}"
            raise TrainingError(
                f"{name} must be {wanted}, got {value}.",
                "out_of_range",
                setting=name,
                got=value,
                least=least,
                most=most,
            )
