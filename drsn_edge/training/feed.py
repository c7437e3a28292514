"""The windows of each epoch, prepared while the network trains on the previous epoch."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.coverage import coverage_doubts
from drsn_edge.datasets.damage import check_damage
from drsn_edge.datasets.doubts import doubts_about
from drsn_edge.datasets.labels import check_labels_differ, check_labels_usable, labelled_by
from drsn_edge.datasets.profile import profile_of
from drsn_edge.datasets.rates import at_one_rate
from drsn_edge.datasets.span import Split
from drsn_edge.datasets.split import check_alike, check_uniform, make_split, parse_hold_out
from drsn_edge.datasets.windows import WindowSet, draw_spans, with_random_noise
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.windows import FloatArray
from drsn_edge.training.augment import augment
from drsn_edge.training.settings import TrainSettings
from drsn_edge.training.spectral import mix_styles
from drsn_edge.training.subclasses import in_subclasses, subclass_numbers

T = TypeVar("T")

_DRAWS = 1
"""Marks the random numbers of windows, so that they differ from those of the epoch with the same number."""


@dataclass(frozen=True)
class Batches:
    """The batches of one epoch, in the order of training.

    Attributes:
        inputs: Inputs of the network, shape (steps, batch, 1, steps in time, channels).
        labels: Index of each window's subclass, shape (steps, batch), which is its class without subclasses.
    """

    inputs: FloatArray
    labels: NDArray[np.int64]


class Feed:
    """Prepares the batches of each epoch, which depend on the seed and the number of the epoch only.

    An epoch is therefore the same whether the previous epochs were trained in this process, in another one, or not.
    """

    def __init__(self, split: Split, settings: TrainSettings, contract: SignalContract) -> None:
        """Prepare for epochs counted from 1."""
        self._split, self._settings, self._contract = split, settings, contract
        self._subclasses = subclass_numbers(split.train, settings.research.subclass_field)
        self._drawn: tuple[int, FloatArray, NDArray[np.int64]] = (0, np.empty(0, np.float32), np.empty(0, np.int64))

    def epoch(self, epoch: int) -> Batches:
        """Return the batches of one epoch."""
        settings = self._settings
        rng = np.random.default_rng((settings.seed, epoch))
        inputs, labels = self._inputs(1 + (epoch - 1) // settings.research.redraw_every)
        shown = mix_styles(inputs, labels, settings.research.style_mix, rng)
        order = batched(rng.permutation(len(labels)), settings.research.batch_size)
        return Batches(shown[order], labels[order])

    def _inputs(self, draw: int) -> tuple[FloatArray, NDArray[np.int64]]:
        """Return network inputs and labels of a draw; the last draw is cached."""
        if self._drawn[0] != draw:
            windows = draw_windows(self._split, self._settings, draw)
            inputs = network_input(windows.windows, self._contract, windows.speeds_hz)
            classes = len(self._split.labels)
            labels = in_subclasses(windows.labels, windows.recordings, self._subclasses, classes)
            self._drawn = (draw, inputs, labels)
        return self._drawn[1:]


def split_recordings(
    recordings: Sequence[Recording],
    settings: TrainSettings,
    progress: Callable[[int, int], None] | None = None,
    least_classes: int = 2,
) -> Split:
    """Return the split by the rule in the settings, with one sampling rate and no damaged windows.

    Args:
        recordings: The recordings.
        settings: See `TrainSettings`.
        progress: Called with the number of recordings checked for damage so far and the number of all recordings.
        least_classes: Fewest classes of the training side: 2 for a network, 1 for references.

    Raises:
        RecordingError: If a recording lacks the field that holds its class.
        SplitError: If the recordings cannot be split by the rule, too many windows of a class are damaged, two labels
            differ only by case or spaces, a label cannot be a class, or the sampling rates cannot become one.
    """
    named = labelled_by(recordings, settings.label_field) if settings.label_field else recordings
    if not settings.keep_labels:
        check_labels_differ(named)
    check_labels_usable(named)
    hold_out, rng = parse_hold_out(settings.hold_out), np.random.default_rng(settings.seed)
    check_alike(named)
    uniform = at_one_rate(named, settings.sample_rate_hz or None)
    check_uniform(uniform.recordings, settings.window)
    sizes = (settings.window, settings.hop_samples)
    damage = check_damage(named, *sizes, settings.most_damaged, progress, uniform.sample_rate_hz)
    split = make_split(
        uniform.recordings,
        hold_out,
        *sizes,
        rng,
        allow_leaks=settings.allow_leaks,
        validation=settings.research.validation,
        damage=damage,
        least_classes=least_classes,
    )
    found = doubts_about([profile_of(each) for each in named])
    rates = () if any(doubt.kind == "rate" for doubt in found) else uniform.doubts
    doubts = (*split.doubts, *found, *rates, *coverage_doubts(named, hold_out, split))
    return replace(split, doubts=doubts, rates=uniform.changes)


def draw_windows(split: Split, settings: TrainSettings, draw: int) -> WindowSet:
    """Return training windows with new random places, speeds, augmentations and noise for each number `draw`."""
    rng, research = np.random.default_rng((settings.seed, draw, _DRAWS)), settings.research
    drawn = draw_spans(split.train, split.labels, settings.window, settings.hop_samples, research.speed_range, rng)
    changed = augment(drawn.windows, settings, rng)
    noisy = with_random_noise(changed, settings.noise, settings.snr_range_db, research.clean_share, rng)
    return replace(drawn, windows=noisy)


def batched(order: NDArray[np.int64], batch_size: int) -> NDArray[np.int64]:
    """Return indices in batches of equal size, shape (steps, batch); the first indices fill up the last batch.

    With equal sizes only one graph is built, which takes seconds, and no batch has a single window, which would have no
    variance for the batch normalization of the threshold subnet.
    """
    batch = min(batch_size, len(order))
    steps = -(-len(order) // batch)
    return np.resize(order, (steps, batch))


def ahead(make: Callable[[int], T], numbers: Iterable[int]) -> Generator[T, None, None]:
    """Yield make(number) for each number; a thread makes the next value while the caller works on the current one.

    NumPy lets other threads run while it draws, filters and copies. Errors in `make` are raised here. Closing the
    iterator ends the thread.
    """
    with ThreadPoolExecutor(1, "windows") as pool:
        pending = None
        for number in numbers:
            following = pool.submit(make, number)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()
