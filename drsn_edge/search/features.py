"""Network inputs of the training side, computed once for all candidates with the same window.

The windows of the inner folds are windows of the same training side. Each recording is therefore transformed once for
each draw, and a fold takes the rows that lie on its sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.span import Span, Split
from drsn_edge.datasets.windows import WindowSet, cut_spans
from drsn_edge.evaluation.classical import BASELINES, baseline_features
from drsn_edge.evaluation.conditions import CLEAN, NoiseCondition, with_noise
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.windows import FloatArray, window_starts
from drsn_edge.training.feed import draw_windows
from drsn_edge.training.settings import TrainSettings

CONDITIONS = (CLEAN, NoiseCondition("gaussian", 0.0))
"""Conditions in which a candidate is judged; all count the same."""

Stretch = tuple[str, int, int]
"""Name of a recording, first sample, end."""

MOST_WINDOWS = 4000
"""Most windows of a draw: beyond it the hop is longer, so that a search of many recordings stays quick."""


@dataclass(frozen=True)
class FeatureJob:
    """The windows of one recording.

    Attributes:
        split: Its spans on the training side.
        settings: How training windows are drawn; the seed is the recording's own.
        contract: How windows become inputs, without standardisation.
        draws: Number of draws.
        shown_hop: Samples between the windows that are judged.
        with_baselines: Whether the features of the classical baselines are computed as well.
    """

    split: Split
    settings: TrainSettings
    contract: SignalContract
    draws: int
    shown_hop: int
    with_baselines: bool


@dataclass(frozen=True)
class Rows:
    """Where windows come from, one row each.

    Attributes:
        recordings: Name of the recording, shape (n,).
        first_samples: First sample in the recording, shape (n,).
        labels: Class index, shape (n,).
        speeds_hz: Shaft speed in turns per second, shape (n,); NaN if unknown.
    """

    recordings: NDArray[np.str_]
    first_samples: NDArray[np.int64]
    labels: NDArray[np.int64]
    speeds_hz: NDArray[np.float64]

    def pick(self, mask: NDArray[np.bool_]) -> Rows:
        """Return the rows that a mask, shape (n,), chooses."""
        return Rows(**{name: values[mask] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Features:
    """Inputs of windows of the training side.

    Attributes:
        drawn: Training windows with augmentation and noise, shape (draws, n, 1, steps, channels), not standardised.
        drawn_rows: Their origins in each draw.
        shown: Windows that are judged, shape (conditions, m, 1, steps, channels).
        shown_rows: Their origin.
        window: Samples per window.
        baselines: Features of each classical baseline: of the first draw (n, features) and of the judged windows
            (conditions, m, features).
    """

    drawn: FloatArray
    drawn_rows: tuple[Rows, ...]
    shown: FloatArray
    shown_rows: Rows
    window: int
    baselines: dict[str, tuple[FloatArray, FloatArray]]


def feature_jobs(
    split: Split, settings: TrainSettings, contract: SignalContract, draws: int, *, with_baselines: bool
) -> list[FeatureJob]:
    """Return a job for each recording of the training side."""
    hop = hop_within(split.train, settings.window, settings.hop_samples)
    by_recording: dict[str, list[Span]] = {}
    for span in split.train:
        by_recording.setdefault(span.recording.name, []).append(span)
    seeds = np.random.SeedSequence(settings.seed).generate_state(len(by_recording)).tolist()
    return [
        FeatureJob(
            Split(tuple(spans), (), (), split.rule, split.labels),
            replace(settings, hop=hop, seed=seed),
            contract,
            draws,
            max(hop, min(2 * hop, settings.window)),
            with_baselines,
        )
        for spans, seed in zip(by_recording.values(), seeds, strict=True)
    ]


def hop_within(spans: Sequence[Span], window: int, hop: int) -> int:
    """Return the hop, or as much more as keeps the windows within `MOST_WINDOWS`, however long the recordings are."""
    samples = sum(len(span) - window for span in spans)
    return max(hop, math.ceil(samples / MOST_WINDOWS))


def compute_features(job: FeatureJob) -> Features:
    """Return the inputs of the windows of one recording."""
    settings, window = job.settings, job.settings.window
    drawn = [draw_windows(job.split, settings, draw) for draw in range(1, job.draws + 1)]
    recorded = cut_spans(job.split.train, job.split.labels, window, job.shown_hop)
    shown = [with_noise(recorded, condition, settings.seed) for condition in CONDITIONS]
    names = BASELINES if job.with_baselines else ()
    return Features(
        np.stack([_inputs(each, job.contract) for each in drawn]),
        tuple(_rows(each) for each in drawn),
        np.stack([_inputs(each, job.contract) for each in shown]),
        _rows(recorded),
        window,
        {
            name: (
                baseline_features(name, drawn[0].windows),
                np.stack([baseline_features(name, each.windows) for each in shown]),
            )
            for name in names
        },
    )


def joined(parts: Sequence[Features]) -> Features:
    """Return the features of all recordings, in order."""
    first = parts[0]
    return Features(
        np.concatenate([part.drawn for part in parts], axis=1),
        tuple(_joined_rows([part.drawn_rows[draw] for part in parts]) for draw in range(len(first.drawn_rows))),
        np.concatenate([part.shown for part in parts], axis=1),
        _joined_rows([part.shown_rows for part in parts]),
        first.window,
        {
            name: (
                np.concatenate([part.baselines[name][0] for part in parts]),
                np.concatenate([part.baselines[name][1] for part in parts], axis=1),
            )
            for name in first.baselines
        },
    )


def within(rows: Rows, stretches: Sequence[Stretch], reach: int) -> NDArray[np.bool_]:
    """Return which windows, of `reach` samples, lie within one of the stretches, shape (n,)."""
    found = np.zeros(len(rows.labels), bool)
    for name, start, stop in stretches:
        first = rows.first_samples
        found |= (rows.recordings == name) & (first >= start) & (first + reach <= stop)
    return found


def shown_rows(jobs: Sequence[FeatureJob]) -> Rows:
    """Return the origins of the windows that all jobs together judge, in order, before they are cut."""
    recordings, firsts, labels, speeds = [], [], [], []
    for job in jobs:
        for span in job.split.train:
            starts = span.start + window_starts(len(span), job.settings.window, job.shown_hop)
            recordings.append(np.repeat(span.recording.name, len(starts)))
            firsts.append(starts)
            labels.append(np.repeat(job.split.labels.index(span.recording.label or ""), len(starts)))
            speeds.append(np.repeat(span.recording.speed_hz, len(starts)))
    return Rows(*map(np.concatenate, (recordings, firsts, labels, speeds)))


def _inputs(windows: WindowSet, contract: SignalContract) -> FloatArray:
    return network_input(windows.windows, contract, windows.speeds_hz)


def _rows(windows: WindowSet) -> Rows:
    return Rows(windows.recordings, windows.first_samples, windows.labels, windows.speeds_hz)


def _joined_rows(rows: Sequence[Rows]) -> Rows:
    return Rows(**{name: np.concatenate([getattr(each, name) for each in rows]) for name in Rows.__dataclass_fields__})
