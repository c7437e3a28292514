"""Run one job in a process that also runs other jobs: a job must not affect the next. Networks need TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.span import Split
from drsn_edge.datasets.windows import WindowSet, cut_spans
from drsn_edge.evaluation.classical import BASELINES, fit_baseline
from drsn_edge.evaluation.conditions import NoiseCondition, with_noise
from drsn_edge.evaluation.metrics import scores
from drsn_edge.jobs.versions import versions
from drsn_edge.recordings.recording import Recording
from drsn_edge.reproduce.jobs import Job, JobResult, Score

Classify = Callable[[WindowSet], NDArray[np.int64]]


_VERSIONS = ("drsn-edge", "tensorflow", "keras", "numpy", "scikit-learn")
"""Packages whose versions stand in a results file."""


def run_job(job: Job, data: Mapping[str, tuple[Recording, ...]]) -> JobResult:
    """Train the job's model on the training side of the split, and evaluate it on the hold-out set.

    Args:
        job: The job.
        data: Recordings by the name of their data set's folder.

    Raises:
        DrsnEdgeError: If the data or the settings cannot be used.
    """
    began = time.monotonic()
    make = _fit_baseline if job.model in BASELINES else _train_network
    classify, split, window = make(data[job.data], job)
    held_out = cut_spans(split.held_out, split.labels, window, job.test_hop or window)
    found = tuple(_score(classify, held_out, len(split.labels), condition, job.seed) for condition in job.conditions)
    return JobResult(job, found, time.monotonic() - began, {name: versions()[name] for name in _VERSIONS})


def _settings(job: Job, **changes: Any) -> Any:
    from drsn_edge.training.settings import settings_from

    return settings_from({**dict(job.settings), "hold_out": job.hold_out, "seed": job.seed, **changes})


def _train_network(recordings: tuple[Recording, ...], job: Job) -> tuple[Classify, Split, int]:
    from drsn_edge.training.train import predict_classes, train

    training = train(recordings, _settings(job, block=job.model))
    return (
        lambda windows: predict_classes(training.model, windows, training.contract),
        training.split,
        training.settings.window,
    )


def _fit_baseline(recordings: tuple[Recording, ...], job: Job) -> tuple[Classify, Split, int]:
    """Fit a baseline on the windows of a network's first epoch, with their noise."""
    from drsn_edge.training.feed import draw_windows, split_recordings

    settings = _settings(job)
    split = split_recordings(recordings, settings)
    drawn = draw_windows(split, settings, 1)
    classify = fit_baseline(job.model, drawn.windows, drawn.labels, settings.seed)
    return lambda windows: classify(windows.windows), split, settings.window


def _score(classify: Classify, held_out: WindowSet, n_classes: int, condition: NoiseCondition, seed: int) -> Score:
    predicted = classify(with_noise(held_out, condition, seed))
    found = scores(held_out.labels, predicted)
    return Score(condition, len(held_out), found["accuracy"], found["macro_f1"])
