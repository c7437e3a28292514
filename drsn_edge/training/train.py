"""Train one network on one split: readable from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.contract import SignalContract
from drsn_edge.errors import TrainingError
from drsn_edge.front_end import network_input
from drsn_edge.models.config import DrsnConfig, preset
from drsn_edge.models.drsn import build_model
from drsn_edge.noise import NOISE_KINDS
from drsn_edge.recordings.labels import labelled_by
from drsn_edge.recordings.recording import Recording
from drsn_edge.recordings.split import Split, make_split, parse_hold_out
from drsn_edge.signal import SCALINGS, FloatArray, Scaling, window_starts
from drsn_edge.training.windows import WindowSet, cut_spans, draw_spans, pick_per_class, with_random_noise

CALIBRATION_PER_CLASS = 32
CALIBRATION_NOISE = ("gaussian",)
"""Impulses would stretch the input's range and take its resolution from everything else; they may saturate instead."""
GOLDEN_PER_CLASS = 4


_RANGES = {
    "window": (16, math.inf),
    "hop": (0, math.inf),
    "epochs": (1, math.inf),
    "batch_size": (2, math.inf),
    "learning_rate": (1e-9, math.inf),
    "clean_share": (0, 1),
    "speed_range": (0, 0.5),  # a machine at no speed, or running backwards, has no windows
    "seed": (0, 2**32 - 1),  # what Keras takes
}


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides a training besides the recordings.

    Attributes:
        hold_out: As typed: `FIELD=VALUE`, `fold=K/N`, `time=SHARE` or `windows=SHARE`; see `parse_hold_out`.
        network: Name of a preset.
        block: Block kind of the network.
        window: Samples per window.
        hop: Samples between window starts, in training and when streaming; 0 stands for half a window.
        epochs: Passes over the training windows.
        batch_size: Windows per step.
        learning_rate: Peak of the warm-up and cosine schedule of Adam.
        noise: Kinds of noise added to training windows, drawn per window.
        snr_range_db: Its SNR, drawn per window.
        clean_share: Share of training windows without added noise.
        speed_range: Relative change of speed drawn per training window, as if the machine ran faster or slower.
        scaling: Kind of scaling; the divisor of "fixed" is the RMS of the training side.
        seed: Of everything drawn at random.
        label_field: Field of the recordings that is their class; empty for their label.
        allow_leaks: Train on a split whose sides share samples, and say so, instead of refusing it.
    """

    hold_out: str
    network: str = "small"
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
    scaling: str = "rms"
    seed: int = 0
    label_field: str = ""
    allow_leaks: bool = False

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
        if self.scaling not in SCALINGS:
            raise TrainingError(f"Expected a scaling among {', '.join(SCALINGS)}, got {self.scaling!r}.")

    @property
    def hop_samples(self) -> int:
        """The hop with its default filled in."""
        return self.hop or self.window // 2


@dataclass(frozen=True)
class EpochReport:
    """What is known after an epoch (`step` = `steps`) or in the middle of one."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    validation_accuracy: float | None = None


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

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes in the order of the logits."""
        return self.split.labels


def train(
    recordings: Sequence[Recording], settings: TrainSettings, progress: Callable[[EpochReport], None] | None = None
) -> Training:
    """Split the recordings, train a network, and set aside the windows that conversion and judging need.

    Args:
        recordings: Labelled, or with the field that the settings name, of one rate, axes and unit.
        settings: See `TrainSettings`.
        progress: Called now and then and at the end of each epoch.

    Raises:
        RecordingError: If a recording lacks the field that is to be its class.
        SplitError: If the recordings cannot be split as asked.
        TrainingError: If the loss stops being a number.
    """
    keras.utils.set_random_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    window, hop = settings.window, settings.hop_samples
    if settings.label_field:
        recordings = labelled_by(recordings, settings.label_field)
    hold_out = parse_hold_out(settings.hold_out)
    split = make_split(recordings, hold_out, window, hop, rng, allow_leaks=settings.allow_leaks)
    contract = _contract(recordings[0], settings, _scaling(split, settings.scaling))
    network = preset(
        settings.network,
        window=window,
        n_axes=len(contract.axes),
        n_classes=len(split.labels),
        block=settings.block,
    )
    model = build_model(network)
    history = _fit(model, split, settings, contract, rng, progress)
    training_windows = cut_spans(split.train, split.labels, window, window)
    held_out = cut_spans(split.held_out, split.labels, window, window)
    calibration = pick_per_class(training_windows, CALIBRATION_PER_CLASS, rng)
    noisy = with_random_noise(calibration.windows, CALIBRATION_NOISE, settings.snr_range_db, settings.clean_share, rng)
    return Training(
        settings=settings,
        network=network,
        contract=contract,
        split=split,
        model=model,
        history=tuple(history),
        calibration=WindowSet(noisy, calibration.labels, calibration.recordings, calibration.first_samples),
        golden=pick_per_class(held_out, GOLDEN_PER_CLASS, rng),
        held_out=held_out,
    )


def _scaling(split: Split, kind: str) -> Scaling:
    if kind == "rms":
        return Scaling()
    powers = [span.recording.samples[span.start : span.stop].var(axis=0, dtype=np.float64) for span in split.train]
    return Scaling("fixed", float(np.sqrt(np.mean(powers))) or 1.0)


def _contract(recording: Recording, settings: TrainSettings, scaling: Scaling) -> SignalContract:
    return SignalContract(
        sample_rate_hz=recording.sample_rate_hz,
        axes=recording.axes,
        unit=recording.unit,
        window=settings.window,
        hop=settings.hop_samples,
        scaling=scaling,
    )


def _fit(
    model: Any,
    split: Split,
    settings: TrainSettings,
    contract: SignalContract,
    rng: np.random.Generator,
    progress: Callable[[EpochReport], None] | None,
) -> list[EpochReport]:
    window, hop = settings.window, settings.hop_samples
    validation = cut_spans(split.validation, split.labels, window, window) if split.validation else None
    per_epoch = sum(len(window_starts(len(span), window, hop)) for span in split.train)
    # A last batch of one window would have no variance for the threshold subnet's batch normalisation: leave it out.
    per_epoch -= per_epoch % settings.batch_size == 1
    steps = math.ceil(per_epoch / settings.batch_size)
    _compile(model, settings, steps * settings.epochs)
    history = []
    for epoch in range(1, settings.epochs + 1):
        batch = draw_spans(split.train, split.labels, window, hop, settings.speed_range, rng)
        noisy = with_random_noise(batch.windows, settings.noise, settings.snr_range_db, settings.clean_share, rng)
        inputs = network_input(noisy, contract)
        chosen = rng.permutation(len(batch))[:per_epoch]
        report = _fit_epoch(model, inputs[chosen], batch.labels[chosen], epoch, steps, settings, progress)
        if validation is not None:
            correct = predict_classes(model, validation.windows, contract) == validation.labels
            report = replace(report, validation_accuracy=float(correct.mean()))
        history.append(report)
        if progress:
            progress(report)
    return history


def _compile(model: Any, settings: TrainSettings, total_steps: int) -> None:
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, total_steps, warmup_target=settings.learning_rate, warmup_steps=max(1, total_steps // 10)
    )
    model.compile(
        keras.optimizers.Adam(schedule),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )


def _fit_epoch(
    model: Any,
    inputs: FloatArray,
    labels: NDArray[np.int64],
    epoch: int,
    steps: int,
    settings: TrainSettings,
    progress: Callable[[EpochReport], None] | None,
) -> EpochReport:
    def report(step: int, logs: dict[str, float]) -> EpochReport:
        return EpochReport(epoch, settings.epochs, step, steps, float(logs["loss"]), float(logs["accuracy"]))

    def on_step(step: int, logs: dict[str, float]) -> None:
        if not math.isfinite(logs["loss"]):
            raise TrainingError(
                f"The loss became {logs['loss']} in epoch {epoch}, step {step + 1}. Nothing was written. "
                "Try a smaller --learning-rate, and check the recordings for outliers."
            )
        if progress and step % 10 == 9:
            progress(report(step + 1, logs))

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=on_step)
    fitted = model.fit(
        inputs, labels, batch_size=settings.batch_size, epochs=1, verbose=0, callbacks=[callback], shuffle=False
    )
    return report(steps, {name: values[-1] for name, values in fitted.history.items()})


def predict_logits(model: Any, windows: FloatArray, contract: SignalContract) -> FloatArray:
    """Return the Keras model's logits of windows in the contract's unit, shape (n, classes)."""
    inputs = network_input(windows, contract)
    return np.asarray(model.predict(inputs, batch_size=256, verbose=0), np.float32)


def predict_classes(model: Any, windows: FloatArray, contract: SignalContract) -> np.ndarray:
    """Return the class index of windows in the contract's unit, shape (n,)."""
    return predict_logits(model, windows, contract).argmax(axis=1)
