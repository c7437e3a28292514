"""What decides a training besides the recordings, as one flat value that files and options can fill."""

from __future__ import annotations

import math
from dataclasses import dataclass

from drsn_edge.errors import TrainingError
from drsn_edge.models.config import NetworkSizes
from drsn_edge.signal.names import NOISE_KINDS, SCALINGS

CLASS_WEIGHTS = ("none", "balanced")

_RANGES = {
    "window": (16, math.inf),
    "hop": (0, math.inf),
    "epochs": (1, math.inf),
    "batch_size": (2, math.inf),
    "learning_rate": (1e-9, math.inf),
    "clean_share": (0, 1),
    "speed_range": (0, 0.5),  # a machine at no speed, or running backwards, has no windows
    "gain_range_db": (0, 60),
    "axis_dropout": (0, 1),
    "patience": (0, math.inf),
    "lines": (8, math.inf),
    "highest_order": (1, 1000),
    "style_mix": (0, 10),
    "discriminants": (0, 10),
    "redraw_every": (1, math.inf),
    "seed": (0, 2**32 - 1),  # what Keras takes
}

INPUTS: dict[str, tuple[str, ...]] = {
    "waveform": (),
    "bands": ("bands",),
    "spectra": ("bands", "orders", "envelopes"),
}
"""What a network can be shown, and the views of `drsn_edge.signal.spectra` that it is made of."""

_CHOICES = {"scaling": SCALINGS, "class_weights": CLASS_WEIGHTS, "inputs": tuple(INPUTS)}


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides a training besides the recordings.

    Each training window is cut anew every epoch, up to a hop later than in the epoch before, so that a shift in time
    needs no setting. Then come, in this order: speed, gain, polarity, axis dropout, noise, scaling.

    Attributes:
        hold_out: As typed: `FIELD=VALUE`, `fold=K/N`, `time=SHARE` or `windows=SHARE`; see `parse_hold_out`.
        network: Name of a preset, or sizes of one's own.
        block: Block kind of the network.
        window: Samples per window.
        hop: Samples between window starts, in training and when streaming; 0 stands for half a window.
        epochs: Passes over the training windows.
        batch_size: Windows per step.
        learning_rate: Peak of the warm-up and cosine schedule of Adam, which is laid out for all `epochs`.
        noise: Kinds of noise added to training windows, drawn per window.
        snr_range_db: Its SNR, drawn per window.
        clean_share: Share of training windows without added noise.
        speed_range: Relative change of speed drawn per training window, as if the machine ran faster or slower.
        gain_range_db: Change of level drawn per training window, up to so many dB louder or softer. It matters to
            "fixed" scaling only: "rms" takes the level away.
        polarity: Turn a training window's sign, all axes together, at random: as if the sensor faced the other way.
        axis_dropout: Probability that one axis of a training window, drawn at random, is set to zero.
        scaling: Kind of scaling; the divisor of "fixed" is the RMS of the training side.
        class_weights: "balanced" weighs the loss of each window so that every class counts the same.
        validation: Keep the end of each recording's training part to watch the training with, or train on it.
        patience: Stop when the validation has not improved for so many epochs, and keep the best epoch's weights; 0:
            never stop early and keep the last weights. The learning rate is then still on its way down.
        inputs: What the network is shown: "waveform" (the samples), "bands" or "spectra", see `INPUTS`.
        lines: Lines of each log spectrum.
        highest_order: Shaft order at the last line of "spectra".
        view_weights: Of bands, orders and envelopes in the logits of "spectra"; empty: all alike.
        style_mix: See `drsn_edge.training.spectral.mix_styles`; log spectra only.
        discriminants: Weight of linear discriminants in the logits, relative to the network's own; 0: none; log spectra
            only. See `drsn_edge.training.discriminant`.
        redraw_every: Epochs that share their windows, noise included; above 1 where making them takes longer than
            training on them.
        seed: Of everything drawn at random.
        label_field: Field of the recordings that is their class; empty for their label.
        allow_leaks: Train on a split whose sides share samples, and say so, instead of refusing it.
        keep_labels: Take labels that differ only by case or spaces as different classes instead of refusing them.
    """

    hold_out: str
    network: str | NetworkSizes = "small"
    block: str = "rsbu-cw"
    window: int = 1024
    hop: int = 0
    epochs: int = 24
    batch_size: int = 64
    learning_rate: float = 3e-3
    noise: tuple[str, ...] = NOISE_KINDS
    snr_range_db: tuple[float, float] = (-6.0, 12.0)
    clean_share: float = 0.3
    speed_range: float = 0.03
    gain_range_db: float = 0.0
    polarity: bool = False
    axis_dropout: float = 0.0
    scaling: str = "rms"
    class_weights: str = "none"
    validation: bool = True
    patience: int = 0
    inputs: str = "waveform"
    lines: int = 128
    highest_order: float = 16.0
    view_weights: tuple[float, ...] = ()
    style_mix: float = 0.0
    discriminants: float = 0.0
    redraw_every: int = 1
    seed: int = 0
    label_field: str = ""
    allow_leaks: bool = False
    keep_labels: bool = False

    def __post_init__(self) -> None:
        """Refuse impossible settings.

        Raises:
            TrainingError: Naming the setting and what it may be.
        """
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                wanted = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
                raise TrainingError(f"Expected {name} {wanted}, got {value}.")
        lowest, highest = self.snr_range_db
        if not -math.inf < lowest <= highest < math.inf:
            raise TrainingError(f"Expected a lowest SNR not above the highest, got {lowest} to {highest} dB.")
        if not self.noise or not set(self.noise) <= set(NOISE_KINDS):
            raise TrainingError(f"Expected noise of kinds among {', '.join(NOISE_KINDS)}, got {', '.join(self.noise)}.")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise TrainingError(f"Expected {name} among {', '.join(choices)}, got {getattr(self, name)!r}.")
        self._check_spectra()

    def _check_spectra(self) -> None:
        if self.inputs == "waveform":
            for name in ("style_mix", "view_weights", "discriminants"):
                if getattr(self, name):
                    raise TrainingError(f"Expected {name} with log spectra only, got it with the inputs 'waveform'.")
        elif self.window % 4 or self.window < 2 * self.lines:
            raise TrainingError(
                f"Expected a window that is a multiple of 4, of at least {2 * self.lines} samples for {self.lines} "
                f"lines, got {self.window}."
            )

    @property
    def hop_samples(self) -> int:
        """The hop with its default filled in."""
        return self.hop or self.window // 2
