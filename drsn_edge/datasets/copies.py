"""Stretches of samples that two recordings have in common: a file that was shortened, or cut out of another.

Each run of 32 samples (all axes) has a hash, and one in sixteen of them is kept as a fingerprint of the recording, by
its value alone, so that both copies keep the same ones. Recordings with common fingerprints at one offset are compared
sample by sample there.

A stretch counts where it can only be a copy. Quiet or coarsely rounded signals come back by chance, and periodic ones
by nature: a fingerprint counts only if it is found once in each of the two recordings and its run has at least five
different values on some axis. A run that does not come back in n samples carries some log2(n) bits. That independent
recordings agree in several of these, side by side over 128 samples, where most of the stretch's own fingerprints count,
and at the one offset that most of what the two share agrees on, practically never happens.

Not found: shorter stretches; copies of signals with fewer than five different values at a time; copies of what repeats
exactly, such as a simulated signal with a whole number of samples per period or a recording that was looped; copies
that were resampled, scaled or rounded anew; files put together from more than two pieces of another in a new order.
Found though nobody copied them: simulated signals without noise that agree over a long stretch and do not repeat. They
are the same samples all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RUN = 32
"""Samples per fingerprint; the hash doubles its reach from step to step, so it is a power of two."""

ONE_IN = 16
FEWEST_VALUES = 5
FEWEST_COMMON = 4
SHORTEST = 128

_MOST_NEIGHBOURS = 16
"""A fingerprint that many recordings share pairs each with so many that follow: together they still hang together."""

_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)

Samples = NDArray[np.float32]
Hashes = NDArray[np.uint64]
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Shared:
    """Samples `start` to `stop` of recording number `first` are those `offset` later of recording number `second`."""

    first: int
    second: int
    offset: int
    start: int
    stop: int


@dataclass(frozen=True)
class _Alignment:
    """Two recordings' common fingerprints at one offset, by their positions in the first recording."""

    first: int
    second: int
    offset: int
    positions: Positions


def shared_stretches(recordings: Sequence[Samples]) -> list[Shared]:
    """Return what pairs of recordings have in common.

    Args:
        recordings: Samples of each, shape (n_samples, n_axes), with the same number of axes.
    """
    if not recordings:
        return []
    prints = [_fingerprints(samples) for samples in recordings]
    found = []
    for alignment in _alignments([_found_once(*each) for each in prints]):
        _, kept = prints[alignment.first]
        for start, stop in _equal_stretches(recordings, alignment):
            if _is_copy(recordings[alignment.first], alignment.positions, kept, start, stop):
                found.append(Shared(alignment.first, alignment.second, alignment.offset, start, stop))
    return found


def _fingerprints(samples: Samples) -> tuple[Hashes, Positions]:
    """Return the values and positions of the runs that are kept."""
    hashes = np.zeros(len(samples), np.uint64)
    for axis in range(samples.shape[1]):  # adding 0 makes -0 and 0, which are equal, the same bits
        hashes = _mixed(hashes * _ODD + (samples[:, axis] + np.float32(0)).view(np.uint32).astype(np.uint64))
    reach = 1
    while reach < RUN:
        hashes = _mixed(hashes[:-reach] * _ODD + hashes[reach:])
        reach *= 2
    positions = np.flatnonzero(hashes % np.uint64(ONE_IN) == 0)
    return hashes[positions], positions


def _mixed(values: Hashes) -> Hashes:
    """Spread every bit over all bits: multiplication alone leaves the low ones as they were."""
    values = (values ^ (values >> np.uint64(31))) * _MIX
    return values ^ (values >> np.uint64(29))


def _found_once(values: Hashes, positions: Positions) -> tuple[Hashes, Positions]:
    unique, first, counts = np.unique(values, return_index=True, return_counts=True)
    return unique[counts == 1], positions[first[counts == 1]]


def _alignments(prints: Sequence[tuple[Hashes, Positions]]) -> Iterator[_Alignment]:
    """Yield each pair's offset with enough common fingerprints, and no fewer than all its other offsets together."""
    pairs = _common(prints)
    pairs = pairs[np.lexsort((pairs[:, 2], pairs[:, 1], pairs[:, 0]))]
    for of_pair in _runs(pairs, 2):
        for same in _runs(of_pair, 3):
            if len(same) >= max(FEWEST_COMMON, len(of_pair) / 2):
                first, second, offset = (int(value) for value in same[0, :3])
                yield _Alignment(first, second, offset, same[:, 3])


def _common(prints: Sequence[tuple[Hashes, Positions]]) -> NDArray[np.int64]:
    """Return common fingerprints, columns: first recording, second one, offset of the second, position in the first."""
    values = np.concatenate([values for values, _ in prints])
    positions = np.concatenate([positions for _, positions in prints])
    owners = np.repeat(np.arange(len(prints)), [len(values) for values, _ in prints])
    order = np.argsort(values, kind="stable")  # owners stay in order
    values, positions, owners = values[order], positions[order], owners[order]
    found = [np.zeros((0, 4), np.int64)]
    for step in range(1, _MOST_NEIGHBOURS + 1):
        at = np.flatnonzero(values[step:] == values[:-step])
        offsets = positions[at + step] - positions[at]
        found.append(np.stack([owners[at], owners[at + step], offsets, positions[at]], axis=1))
    return np.concatenate(found)


def _runs(rows: NDArray[np.int64], columns: int) -> list[NDArray[np.int64]]:
    """Split sorted rows where one of the first columns changes."""
    changes = np.flatnonzero((rows[1:, :columns] != rows[:-1, :columns]).any(axis=1)) + 1
    return np.split(rows, changes) if len(rows) else []


def _equal_stretches(recordings: Sequence[Samples], alignment: _Alignment) -> list[tuple[int, int]]:
    """Return where the first recording has the second's samples, as start and stop."""
    first, second = recordings[alignment.first], recordings[alignment.second]
    start = max(0, -alignment.offset)
    stop = min(len(first), len(second) - alignment.offset)
    equal = (first[start:stop] == second[start + alignment.offset : stop + alignment.offset]).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]]))) + start
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2) if end - begin >= SHORTEST]


def _is_copy(samples: Samples, common: Positions, kept: Positions, start: int, stop: int) -> bool:
    """Tell whether enough of the fingerprints kept within the stretch are common and of runs that say something."""
    common, kept = (each[(each >= start) & (each <= stop - RUN)] for each in (common, kept))
    runs = np.sort(samples[common[:, None] + np.arange(RUN)], axis=1)
    values = 1 + (np.diff(runs, axis=1) != 0).sum(axis=1).max(axis=1, initial=0)
    telling = int((values >= FEWEST_VALUES).sum())
    return telling >= max(FEWEST_COMMON, len(kept) / 2)
