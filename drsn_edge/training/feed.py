"""The windows of each epoch, made while the network trains on those of the epoch before."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.contract import SignalContract
from drsn_edge.front_end import network_input
from drsn_edge.recordings.split import Split
from drsn_edge.signal import FloatArray
from drsn_edge.training.augment import augment
from drsn_edge.training.settings import TrainSettings
from drsn_edge.training.windows import draw_spans, with_random_noise

T = TypeVar("T")


@dataclass(frozen=True)
class Batches:
    """One epoch, in the order in which the network sees it.

    Attributes:
        inputs: Shape (steps, batch, 1, window, axes), as the network takes them.
        labels: Class index of each window, shape (steps, batch).
    """

    inputs: FloatArray
    labels: NDArray[np.int64]


def make_epoch(split: Split, settings: TrainSettings, contract: SignalContract, epoch: int) -> Batches:
    """Return the batches of one epoch, which depend on the seed and the epoch's number only.

    So an epoch is the same whether those before it were trained in this process, in another one, or not at all.
    """
    rng = np.random.default_rng((settings.seed, epoch))
    window, hop = settings.window, settings.hop_samples
    drawn = draw_spans(split.train, split.labels, window, hop, settings.speed_range, rng)
    changed = augment(drawn.windows, settings, rng)
    noisy = with_random_noise(changed, settings.noise, settings.snr_range_db, settings.clean_share, rng)
    order = batched(rng.permutation(len(drawn)), settings.batch_size)
    return Batches(network_input(noisy, contract)[order], drawn.labels[order])


def batched(order: NDArray[np.int64], batch_size: int) -> NDArray[np.int64]:
    """Return indices as batches of one size, shape (steps, batch); the last is filled up with the first of them.

    One size means one graph to build, which takes seconds, and no last batch of a single window, which would have no
    variance for the threshold subnet's batch normalisation.
    """
    batch = min(batch_size, len(order))
    steps = -(-len(order) // batch)
    return np.resize(order, (steps, batch))


def ahead(make: Callable[[int], T], numbers: Iterable[int]) -> Generator[T, None, None]:
    """Yield make(number) for each number, the next being made in a thread while the caller works on this one.

    NumPy lets other threads run while it draws, filters and copies. Errors of `make` are raised here. Close the
    iterator to end the thread.
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
