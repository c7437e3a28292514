"""The training loop. It uses only what all backends of Keras support.

The callbacks of Keras do not suit: `EarlyStopping` compares one figure and keeps the best weights in memory alone.
`BackupAndRestore` writes neither the best weights nor the history, so that a killed training would continue
differently.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from drsn_edge.datasets.span import Split
from drsn_edge.datasets.windows import WindowSet, cut_spans
from drsn_edge.errors import DivergedError, TrainingError
from drsn_edge.models.drsn import branch_logits
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.windows import FloatArray, window_starts
from drsn_edge.training.checkpoint import Checkpoint, NetworkState, restore, take_state
from drsn_edge.training.epochs import EpochReport, best_epoch, is_over
from drsn_edge.training.feed import Batches, Feed, ahead, batched
from drsn_edge.training.settings import TrainSettings

Progress = Callable[[EpochReport], None]
Keep = Callable[[NetworkState, Sequence[EpochReport]], None]

_REPORT_EVERY = 10


@dataclass(frozen=True)
class Learner:
    """A compiled network of `compile_learner`.

    Attributes:
        trained: Keras model whose outputs go into the loss.
        model: Keras model with the same weights, whose logits are validated.
        schedule: Learning rate over all steps.
    """

    trained: Any
    model: Any
    schedule: Any


@dataclass(frozen=True)
class _Loop:
    """Values that are the same in all epochs."""

    learner: Learner
    settings: TrainSettings
    contract: SignalContract
    validation: WindowSet | None
    class_weights: FloatArray | None
    progress: Progress


def fit(
    model: Any,
    split: Split,
    settings: TrainSettings,
    contract: SignalContract,
    progress: Progress | None = None,
    start: Checkpoint | None = None,
    keep: Keep | None = None,
    fusion: tuple[float, ...] = (1.0,),
) -> tuple[EpochReport, ...]:
    """Train a model in place and return the report of each epoch.

    Args:
        model: Model of `build_model`.
        split: Spans to train and validate on.
        settings: See `TrainSettings`.
        contract: How windows become inputs of the network.
        progress: Called every few steps and at the end of each epoch.
        start: Checkpoint to continue from; None: start from the model's weights.
        keep: Called after each epoch with everything that is needed to continue from there.
        fusion: Share of each branch of the network in its logits.

    Raises:
        DivergedError: If the loss or a weight is no longer finite.
        TrainingError: If patience is set and there are no validation windows.
    """
    accuracy, schedule = (
        partial(branch_accuracy, fusion=fusion, n_classes=len(split.labels)),
        schedule_for(split, settings),
    )
    learner = compile_learner(branch_logits(model), model, branch_loss, accuracy, schedule)
    return fit_learner(learner, split, settings, contract, progress, start, keep)


def fit_learner(
    learner: Learner,
    split: Split,
    settings: TrainSettings,
    contract: SignalContract,
    progress: Progress | None = None,
    start: Checkpoint | None = None,
    keep: Keep | None = None,
) -> tuple[EpochReport, ...]:
    """Train a compiled model in place; arguments, result and errors as for `fit`.

    Args:
        learner: Learner of `compile_learner`.
        split: As for `fit`.
        settings: As for `fit`.
        contract: As for `fit`.
        progress: As for `fit`.
        start: As for `fit`.
        keep: As for `fit`.
    """
    loop = _loop(learner, split, settings, contract, progress)
    history = list(start.history) if start else []
    state = start.state if start else None
    if state:
        restore(learner.trained, state)
    if loop.validation is not None:
        predict_logits(learner.model, loop.validation, contract)  # builds the graph before the time is measured
    epochs = range(len(history) + 1, settings.epochs + 1)
    with closing(ahead(Feed(split, settings, contract).epoch, epochs)) as feed:
        clock = _Clock()
        while not is_over(history, settings.epochs, settings.patience):
            batches = clock.waiting(lambda: next(feed))
            history.append(_epoch(loop, batches, len(history) + 1, clock))
            is_best = bool(settings.patience) and best_epoch(history) == len(history)
            state = _next_state(learner.trained, state, is_best)
            _refuse_bad_weights(state, len(history))
            if keep:
                keep(state, history)
            loop.progress(history[-1])
    if state and state.best is not None:
        learner.trained.set_weights(list(state.best))
    return tuple(history)


def schedule_for(split: Split, settings: TrainSettings) -> Any:
    """Return the learning rate over all steps of a training."""
    steps = len(batched(_labels_of_an_epoch(split, settings), settings.research.batch_size))
    return learning_rates(settings.learning_rate, steps * settings.epochs)


def learning_rates(peak: float, total_steps: int) -> Any:
    """Return the schedule: linear from 0 to the peak in a tenth of the steps, then down to 0 as a cosine."""
    rising = max(1, total_steps // 10)
    falling = max(1, total_steps - rising)  # Keras counts them from the end of the rise
    return keras.optimizers.schedules.CosineDecay(0.0, falling, warmup_target=peak, warmup_steps=rising)


def compile_learner(trained: Any, model: Any, loss: Any, accuracy: Any, schedule: Any) -> Learner:
    """Compile a model with optimizer, loss and metric.

    Args:
        trained: Model to train.
        model: Model with the same weights that returns logits.
        loss: Function (labels, outputs) -> one number for each window.
        accuracy: Function (labels, outputs) -> one number for each window; the mean is reported.
        schedule: Learning rate over all steps.
    """
    trained.compile(
        keras.optimizers.Adam(schedule),
        loss,
        metrics=[keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")],
        jit_compile=False,  # XLA takes ten seconds to compile and is not faster on these networks
    )
    trained.optimizer.build(trained.trainable_variables)
    return Learner(trained, model, schedule)


def branch_loss(labels: Any, logits: Any) -> Any:
    """Return the cross-entropy of each window, averaged over branches.

    Args:
        labels: Subclass of each window, shape (batch,) or (batch, 1).
        logits: Logits of each branch, shape (batch, branches, outputs).
    """
    of_branches = ops.repeat(ops.reshape(labels, (-1, 1)), logits.shape[1], axis=1)
    return ops.mean(keras.losses.sparse_categorical_crossentropy(of_branches, logits, from_logits=True), axis=-1)


def branch_accuracy(labels: Any, logits: Any, fusion: tuple[float, ...], n_classes: int) -> Any:
    """Return 1 for each window whose fused logits are largest at its class, else 0.

    Args:
        labels: As for `branch_loss`.
        logits: As for `branch_loss`.
        fusion: Share of each branch in the fused logits.
        n_classes: Number of classes; output number i belongs to class i % n_classes.
    """
    shares = ops.reshape(ops.convert_to_tensor(fusion, logits.dtype), (1, -1, 1))
    predicted = ops.argmax(ops.sum(logits * shares, axis=1), axis=-1)
    expected = ops.cast(ops.reshape(labels, (-1,)), "int32") % n_classes
    return ops.cast(ops.equal(ops.cast(predicted, "int32") % n_classes, expected), "float32")


def balanced_weights(labels: NDArray[np.int64], n_classes: int) -> FloatArray:
    """Return a weight per class, inversely proportional to its number of windows; the mean over all windows is 1."""
    counts = np.bincount(labels, minlength=n_classes)
    return (len(labels) / (n_classes * np.maximum(counts, 1))).astype(np.float32)


def cross_entropy(logits: FloatArray, labels: NDArray[np.int64]) -> float:
    """Return the mean cross-entropy of logits, shape (n, classes), with labels, shape (n,)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    return float(np.mean(log_sums - shifted[np.arange(len(labels)), labels]))


def predict_logits(model: Any, windows: WindowSet, contract: SignalContract) -> FloatArray:
    """Return the Keras model's logits of windows in the contract's unit, shape (n, classes)."""
    inputs = network_input(windows.windows, contract, windows.speeds_hz)
    return np.asarray(model.predict(inputs, batch_size=256, verbose=0), np.float32)


class _Clock:
    """Measures the times in an epoch's `EpochReport`."""

    def __init__(self) -> None:
        self._is_built = False
        self._restart()

    def _restart(self) -> None:
        self._began_s = time.perf_counter()
        self._feed_s = self._step_s = self._building_s = 0.0

    def waiting(self, make: Callable[[], Any]) -> Any:
        """Call `make` and count its time as waiting for windows."""
        began_s = time.perf_counter()
        made = make()
        self._feed_s += time.perf_counter() - began_s
        return made

    def step(self, do: Callable[[], Any]) -> Any:
        """Call `do` and count its time as a training step."""
        began_s = time.perf_counter()
        done = do()
        took_s = time.perf_counter() - began_s
        if self._is_built:
            self._step_s += took_s
        else:
            self._is_built, self._building_s = True, took_s
        return done

    def times(self) -> dict[str, Any]:
        """Return the times of this epoch and start those of the next."""
        epoch_s = time.perf_counter() - self._began_s - self._building_s
        times = {"feed_s": self._feed_s, "step_s": self._step_s, "epoch_s": epoch_s}
        self._restart()
        return times


def _loop(
    learner: Learner, split: Split, settings: TrainSettings, contract: SignalContract, progress: Progress | None
) -> _Loop:
    if settings.patience and not split.validation:
        raise TrainingError(
            "patience needs validation, but all recordings are too short for it. Record longer, or set patience to 0.",
            "no_validation_windows",
        )
    window = settings.window
    validation = cut_spans(split.validation, split.labels, window, window) if split.validation else None
    weights = None
    if settings.class_weights == "balanced":
        weights = balanced_weights(_labels_of_an_epoch(split, settings), len(split.labels))
    return _Loop(learner, settings, contract, validation, weights, progress or (lambda report: None))


def _labels_of_an_epoch(split: Split, settings: TrainSettings) -> NDArray[np.int64]:
    """Return the class of each training window, in the order of the spans."""
    counts = [len(window_starts(len(span), settings.window, settings.hop_samples)) for span in split.train]
    return np.repeat([split.labels.index(span.recording.label or "") for span in split.train], counts)


def _epoch(loop: _Loop, batches: Batches, epoch: int, clock: _Clock) -> EpochReport:
    """Train on the batches of one epoch, validate, and return the report of the epoch."""
    steps = len(batches.labels)
    sums = np.zeros(2)
    report = EpochReport(epoch, loop.settings.epochs, 0, steps, 0.0, 0.0)
    for step, (inputs, labels) in enumerate(zip(batches.inputs, batches.labels, strict=True), start=1):
        sums += clock.step(partial(_step, loop, inputs, labels))
        if not math.isfinite(sums[0]):
            raise DivergedError(
                f"The loss became {sums[0]} in epoch {epoch}, step {step}.",
                "loss",
                got=float(sums[0]),
                epoch=epoch,
                step=step,
            )
        loss, accuracy = (sums / step).tolist()
        report = replace(report, step=step, loss=loss, accuracy=accuracy)
        if step % _REPORT_EVERY == 0 and step < steps:
            loop.progress(report)
    rate = float(keras.ops.convert_to_numpy(loop.learner.schedule(epoch * steps - 1)))
    report = replace(report, learning_rate=rate)
    if loop.validation is not None:
        logits = predict_logits(loop.learner.model, loop.validation, loop.contract)
        labels = loop.validation.labels
        correct = float(np.mean(logits.argmax(axis=1) == labels))
        report = replace(report, validation_accuracy=correct, validation_loss=cross_entropy(logits, labels))
    return replace(report, **clock.times())


def _step(loop: _Loop, inputs: FloatArray, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Train on one batch; return its loss and accuracy."""
    weights = None if loop.class_weights is None else loop.class_weights[labels % len(loop.class_weights)]
    logs = loop.learner.trained.train_on_batch(inputs, labels, sample_weight=weights, return_dict=True)
    return float(logs["loss"]), float(logs["accuracy"])


def _next_state(model: Any, before: NetworkState | None, is_best: bool) -> NetworkState:
    """Return the state after an epoch, with the weights of the best epoch so far if patience needs them."""
    state = take_state(model)
    return replace(state, best=state.weights if is_best else before.best if before else None)


def _refuse_bad_weights(state: NetworkState, epoch: int) -> None:
    if not all(np.isfinite(weights).all() for weights in state.weights):
        raise DivergedError(
            f"A weight of the network became infinite or NaN in the last step of epoch {epoch}.", "weight", epoch=epoch
        )
