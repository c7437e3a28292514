"""One job of a search: a network, its discriminants or a baseline trained in one inner fold. Networks need Keras.

A process that runs several jobs of one family builds its network once and sets it back to the same first weights, since
building the graph takes as long as some short trainings. The result does not depend on the jobs before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import DivergedError
from drsn_edge.evaluation.classical import BASELINES, fit_on_features
from drsn_edge.models.config import DrsnConfig
from drsn_edge.search.features import Features, Stretch, within
from drsn_edge.search.logits import FoldLogits
from drsn_edge.signal.spectra import speed_trend
from drsn_edge.signal.windows import FloatArray
from drsn_edge.training.feed import batched
from drsn_edge.training.settings import TrainSettings
from drsn_edge.training.spectral import mix_styles, speed_slopes
from drsn_edge.training.subclasses import in_subclasses
from quantize.quiet import quiet_native_stderr

DISCRIMINANTS = "discriminants"
"""Kind of job that fits the linear discriminants of a network's branches. The other kinds are `NETWORK` and the
classical baselines."""

NETWORK = "network"

_LEAST_DEVIATION = 0.1
_PREDICTED_TOGETHER = 256


@dataclass(frozen=True)
class FoldJob:
    """One training in one fold.

    Attributes:
        kind: `NETWORK`, `DISCRIMINANTS`, or one of `drsn_edge.evaluation.classical.BASELINES`.
        features: Name of the features, see `run_fold_job`.
        fold: Number of the fold, from 0.
        train: Stretches to train on.
        held_out: Stretches that are judged.
        draws: Number of draws to train on, in turns.
        network: The network; its branches are also those of the discriminants.
        settings: Settings of the training.
        subclasses: Names of the recordings, each with the number of its subclass.
    """

    kind: str
    features: str
    fold: int
    train: tuple[Stretch, ...]
    held_out: tuple[Stretch, ...]
    draws: int
    network: DrsnConfig
    settings: TrainSettings
    subclasses: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class _Sides:
    """Inputs of a fold: of each draw, with subclasses, and of the judged windows in each condition."""

    drawn: list[FloatArray]
    labels: list[NDArray[np.int64]]
    shown: FloatArray


def run_fold_job(job: FoldJob, features: dict[str, Features]) -> FoldLogits:
    """Train in one fold, and return the logits of what it holds out.

    Args:
        job: The job.
        features: Inputs of all windows by the name in the job.

    Returns:
        The logits, or why there are none: the loss was no longer finite, or no window lies within a side of the fold.
    """
    inputs = features[job.features]
    shown = within(inputs.shown_rows, job.held_out, inputs.window)
    reach = math.ceil(inputs.window * (1 + job.settings.research.speed_range))
    drawn = [within(rows, job.train, reach) for rows in inputs.drawn_rows[: job.draws]]
    if not shown.any() or not all(each.any() for each in drawn):
        return _none(job, f"No window of {inputs.window} samples lies within a side of the inner fold {job.fold + 1}.")
    try:
        if job.kind in BASELINES:
            logits = _baseline(job, inputs, drawn[0], shown)
        else:
            run = _discriminants if job.kind == DISCRIMINANTS else _network
            logits = run(job, _sides(job, inputs, drawn, shown))
    except DivergedError as exc:
        return _none(job, str(exc))
    return FoldLogits(job.fold, np.flatnonzero(shown), logits)


def _none(job: FoldJob, failure: str) -> FoldLogits:
    return FoldLogits(job.fold, np.empty(0, np.int64), np.empty((0, 0, 0, 0), np.float32), failure)


def _sides(job: FoldJob, inputs: Features, drawn: list[NDArray[np.bool_]], shown: NDArray[np.bool_]) -> _Sides:
    """Return the inputs of the fold; spectra are standardised by its training side."""
    rows = [each.pick(mask) for each, mask in zip(inputs.drawn_rows, drawn, strict=False)]
    numbers, classes = dict(job.subclasses), job.network.n_classes
    labels = [
        in_subclasses(each.labels, each.recordings, numbers, classes) if numbers else each.labels for each in rows
    ]
    trained = [draw[mask] for draw, mask in zip(inputs.drawn, drawn, strict=False)]
    judged = inputs.shown[:, shown]
    if job.settings.inputs == "waveform":
        return _Sides(trained, labels, judged)
    if job.settings.research.speed_trend:
        own = slice(0, job.network.branches[0])  # the bands are the first view
        slopes = speed_slopes(trained[0][:, 0, :, own], rows[0].speeds_hz, rows[0].labels)
        for draw, of_draw in zip(trained, rows, strict=True):
            draw[:, 0, :, own] -= speed_trend(slopes, of_draw.speeds_hz)
        judged[:, :, 0, :, own] -= speed_trend(slopes, inputs.shown_rows.speeds_hz[shown])
    means = trained[0].mean(axis=(0, 1, 2), dtype=np.float64).astype(np.float32)
    deviations = np.maximum(_LEAST_DEVIATION, trained[0].std(axis=(0, 1, 2), dtype=np.float64)).astype(np.float32)
    return _Sides([(draw - means) / deviations for draw in trained], labels, (judged - means) / deviations)


def _baseline(job: FoldJob, features: Features, drawn: NDArray[np.bool_], shown: NDArray[np.bool_]) -> FloatArray:
    """Return 1 for the predicted class and 0 for the others, as if they were logits of one branch."""
    trained, judged = features.baselines[job.kind]
    predict = fit_on_features(job.kind, trained[drawn], features.drawn_rows[0].labels[drawn], job.settings.seed)
    predicted = np.stack([predict(each[shown]) for each in judged])
    return np.eye(job.network.n_classes, dtype=np.float32)[predicted][:, :, None]


def _discriminants(job: FoldJob, sides: _Sides) -> FloatArray:
    with quiet_native_stderr():
        from drsn_edge.training.discriminant import discriminant_of_subclasses

    inputs, classes = np.concatenate(sides.drawn), np.concatenate(sides.labels)
    found, first = [], 0
    for count in job.network.branches:
        own = slice(first, first + count)
        kernel, bias = discriminant_of_subclasses(
            inputs[..., own], classes, job.network.n_classes, job.network.subclasses
        )
        found.append(np.einsum("cnhlk,hlko->cno", sides.shown[..., own], kernel, optimize=True) + bias)
        first += count
    return np.asarray(np.stack(found, axis=2), np.float32)


def _network(job: FoldJob, sides: _Sides) -> FloatArray:
    learner = _learner(replace(job.network, weights=(), discriminants=False), job.settings.seed)
    learner.reset()
    settings, research = job.settings, job.settings.research
    steps = len(batched(sides.labels[0], research.batch_size))
    total = steps * settings.epochs
    for epoch in range(1, settings.epochs + 1):
        rng = np.random.default_rng((settings.seed, epoch))
        at = ((epoch - 1) // research.redraw_every) % len(sides.drawn)
        labels = sides.labels[at]
        inputs = mix_styles(sides.drawn[at], labels, research.style_mix, rng)
        order = batched(rng.permutation(len(labels)), research.batch_size)
        for step, batch in enumerate(order[:steps]):
            rate = learning_rate(settings.learning_rate, (epoch - 1) * steps + step, total)
            loss = learner.step(inputs[batch], labels[batch], rate)
            if not math.isfinite(loss):
                raise DivergedError(
                    f"The loss became {loss} in epoch {epoch} of the inner fold {job.fold + 1}. Check the recordings "
                    "for outliers, or choose a lower --learning-rate.",
                    "loss",
                    got=loss,
                    epoch=epoch,
                    step=step + 1,
                )
    return np.stack([learner.logits(each) for each in sides.shown])


def learning_rate(peak: float, step: int, total_steps: int) -> float:
    """Return the learning rate of a step, counted from 0, as `drsn_edge.training.fit.learning_rates` has it."""
    rising = max(1, total_steps // 10)
    if step < rising:
        return peak * step / rising
    falling = max(1, total_steps - rising)
    return 0.5 * peak * (1 + math.cos(math.pi * min(1.0, (step - rising) / falling)))


class _Learner:
    """A compiled network that can be set back to its first weights."""

    def __init__(self, network: DrsnConfig, seed: int) -> None:
        with quiet_native_stderr():
            import keras

            from drsn_edge.models.drsn import branch_logits, build_model
            from drsn_edge.training.fit import branch_loss

        self._model = branch_logits(build_model(network))
        self._model.compile(keras.optimizers.Adam(1e-3), branch_loss, jit_compile=False)
        self._optimizer = self._model.optimizer
        self._optimizer.build(self._model.trainable_variables)
        variables = [*self._model.variables, *self._optimizer.variables]
        drawn = _drawn(self._model, seed)
        self._first = [(each, drawn.get(id(each), keras.ops.convert_to_numpy(each))) for each in variables]

    def reset(self) -> None:
        """Set weights, moments of the optimizer and the state of dropout back to those of the first job."""
        for variable, value in self._first:
            variable.assign(value)

    def step(self, inputs: FloatArray, labels: NDArray[np.int64], rate: float) -> float:
        """Train on one batch; return its loss."""
        self._optimizer.learning_rate = rate
        return float(self._model.train_on_batch(inputs, labels))

    def logits(self, inputs: FloatArray) -> FloatArray:
        """Return the logits of each branch, shape (n, branches, outputs)."""
        n = len(inputs)  # batches of one size need one graph
        padded = np.resize(inputs, (-(-n // _PREDICTED_TOGETHER) * _PREDICTED_TOGETHER, *inputs.shape[1:]))
        found: Any = self._model.predict(padded, batch_size=_PREDICTED_TOGETHER, verbose=0)
        return np.asarray(found[:n], np.float32)


def _drawn(model: Any, seed: int) -> dict[int, NDArray[Any]]:
    """Return first values of the kernels and of the state of dropout, by the identity of the variable.

    Keras takes their seeds from Python's `random`, of which other threads of a worker of a cluster take numbers too.
    """
    import keras

    kernels = [each for each in model.trainable_variables if len(each.shape) == 4]
    states = [each for each in model.variables if "seed_generator" in each.path]
    seeds = np.random.SeedSequence(seed).generate_state(len(kernels) + len(states)).tolist()
    make = keras.initializers.HeNormal
    drawn = {
        id(each): keras.ops.convert_to_numpy(make(seed=of % (1 << 31))(each.shape))
        for each, of in zip(kernels, seeds, strict=False)
    }
    return {
        **drawn,
        **{id(each): np.array([of, 0], np.uint32) for each, of in zip(states, seeds[len(kernels) :], strict=True)},
    }


@lru_cache(maxsize=2)
def _learner(network: DrsnConfig, seed: int) -> _Learner:
    return _Learner(network, seed)
