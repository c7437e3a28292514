"""Stretches of samples that two recordings have in common: a file was shortened, or cut out of another file.

Each run of 32 samples (all axes) has a hash. One in sixteen hashes is kept as a fingerprint of the recording. The value
of a hash decides whether it is kept, so that two copies keep the same hashes. Two recordings with common fingerprints
at one offset are compared there sample by sample.

A stretch counts only if it must be a copy. Quiet or coarsely rounded signals repeat by chance, and periodic signals
repeat by nature. Therefore a fingerprint counts only if it occurs once in each of the two recordings and its run has at
least five different values on some axis. A run that does not repeat within n samples carries about log2(n) bits.
Independent recordings practically never agree in several such runs within 128 samples, with most fingerprints of the
stretch counting, and at the one offset that most common fingerprints of the two recordings have.

Not found are

- shorter stretches;
- copies of signals with fewer than five different values at a time;
- copies of exactly periodic signals, such as a simulated signal with a whole number of samples per period or a looped
  recording;
- copies that were resampled, scaled or rounded again;
- files that join more than two pieces of another file in a new order.

Simulated signals without noise are found although nobody copied them if they agree over a long stretch and do not
repeat. They hold the same samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RUN = 32
"""Samples per fingerprint. A power of two, because the hash doubles its reach in every step."""

ONE_IN = 16
FEWEST_VALUES = 5
FEWEST_COMMON = 4
SHORTEST = 128

_MOST_NEIGHBOURS = 16
"""A fingerprint that many recordings share pairs each recording with this many of the following ones: a chain of pairs
still links all of them."""

_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)

Samples = NDArray[np.float32]
Hashes = NDArray[np.uint64]
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Shared:
    """Samples `start` to `stop` of recording number `first` equal those `offset` later in recording number `second`."""

    first: int
    second: int
    offset: int
    start: int
    stop: int


@dataclass(frozen=True)
class _Alignment:
    """Common fingerprints of two recordings at one offset, as positions in the first recording."""

    first: int
    second: int
    offset: int
    positions: Positions


def shared_stretches(recordings: Sequence[Samples]) -> list[Shared]:
    """Return the stretches that pairs of recordings have in common.

    Args:
        recordings: Samples of each recording, shape (n_samples, n_axes), with the same number of axes.
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
    """Return the hashes and positions of the runs that are kept."""
    hashes = np.zeros(len(samples), np.uint64)
    for axis in range(samples.shape[1]):  # adding 0 gives -0 the same bits as 0, which it equals
        hashes = _mixed(hashes * _ODD + (samples[:, axis] + np.float32(0)).view(np.uint32).astype(np.uint64))
    reach = 1
    while reach < RUN:
        hashes = _mixed(hashes[:-reach] * _ODD + hashes[reach:])
        reach *= 2
    positions = np.flatnonzero(hashes % np.uint64(ONE_IN) == 0)
    return hashes[positions], positions


def _mixed(values: Hashes) -> Hashes:
    """Spread every bit over all bits: multiplication alone leaves the lowest bits unchanged."""
    values = (values ^ (values >> np.uint64(31))) * _MIX
    return values ^ (values >> np.uint64(29))


def _found_once(values: Hashes, positions: Positions) -> tuple[Hashes, Positions]:
    unique, first, counts = np.unique(values, return_index=True, return_counts=True)
    return unique[counts == 1], positions[first[counts == 1]]


def _alignments(prints: Sequence[tuple[Hashes, Positions]]) -> Iterator[_Alignment]:
    """Yield the offset of each pair that has enough common fingerprints and at least half of those of the pair."""
    pairs = _common(prints)
    pairs = pairs[np.lexsort((pairs[:, 2], pairs[:, 1], pairs[:, 0]))]
    for of_pair in _runs(pairs, 2):
        for same in _runs(of_pair, 3):
            if len(same) >= max(FEWEST_COMMON, len(of_pair) / 2):
                first, second, offset = (int(value) for value in same[0, :3])
                yield _Alignment(first, second, offset, same[:, 3])


def _common(prints: Sequence[tuple[Hashes, Positions]]) -> NDArray[np.int64]:
    """Return common fingerprints. Columns: first recording, second recording, offset, position in the first."""
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
    """Split sorted rows wherever one of the first `columns` columns changes."""
    changes = np.flatnonzero((rows[1:, :columns] != rows[:-1, :columns]).any(axis=1)) + 1
    return np.split(rows, changes) if len(rows) else []


def _equal_stretches(recordings: Sequence[Samples], alignment: _Alignment) -> list[tuple[int, int]]:
    """Return start and stop of the stretches where the first recording has the samples of the second."""
    first, second = recordings[alignment.first], recordings[alignment.second]
    start = max(0, -alignment.offset)
    stop = min(len(first), len(second) - alignment.offset)
    equal = (first[start:stop] == second[start + alignment.offset : stop + alignment.offset]).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]]))) + start
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2) if end - begin >= SHORTEST]


def _is_copy(samples: Samples, common: Positions, kept: Positions, start: int, stop: int) -> bool:
    """Tell whether enough fingerprints of the stretch are common and belong to runs with enough different values."""
    common, kept = (each[(each >= start) & (each <= stop - RUN)] for each in (common, kept))
    runs = np.sort(samples[common[:, None] + np.arange(RUN)], axis=1)
    values = 1 + (np.diff(runs, axis=1) != 0).sum(axis=1).max(axis=1, initial=0)
    telling = int((values >= FEWEST_VALUES).sum())
    return telling >= max(FEWEST_COMMON, len(kept) / 2)
