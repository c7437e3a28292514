"""Samples that several arrays of a file hold side by side, read in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.recordings.raw import reading
from drsn_edge.recordings.readers.variables import Leaf

MOST_CHANNELS = 64
"""Most channels of a matrix; more are windows of a data set that was cut before, not channels."""


_FEWEST_OF_CAPTURE = 16


def dimensions(shape: Sequence[int]) -> tuple[int | None, list[int]]:
    """Return the number of the dimension that counts captures, if there is one, and those that count anything else.

    Captures come first in an array of three dimensions, as in NumPy and HDF5. MATLAB has no such custom; its readers
    leave out arrays of three dimensions.
    """
    has_captures = len(shape) == 3 and shape[0] > 1 and max(shape[1:]) >= _FEWEST_OF_CAPTURE
    others = range(1 if has_captures else 0, len(shape))
    return 0 if has_captures else None, [index for index in others if shape[index] != 1] or [len(shape) - 1]


def length_of(shape: Sequence[int]) -> int:
    """Return the length of an array, or of each of its captures, along its longest dimension."""
    return max((shape[index] for index in dimensions(shape)[1]), default=1) if shape else 1


@dataclass(frozen=True)
class Part:
    """One array as channels.

    Attributes:
        leaf: The array.
        time: Number of its dimension that is time.
        channel: Number of its dimension that counts channels; None if it is one channel.
        capture: Number of its dimension that counts captures, and which of them this is; None if it has none.
    """

    leaf: Leaf
    time: int
    channel: int | None = None
    capture: tuple[int, int] | None = None

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return 1 if self.channel is None else self.leaf.shape[self.channel]

    @property
    def n_samples(self) -> int:
        """Samples of each channel."""
        return self.leaf.shape[self.time]

    def piece(self, values: Any, first: int, stop: int) -> NDArray[Any]:
        """Return samples of the opened array, shape (n, n_channels)."""
        key: list[Any] = [0] * len(self.leaf.shape)
        key[self.time] = slice(first, stop)
        if self.channel is not None:
            key[self.channel] = slice(None)
        if self.capture is not None:
            key[self.capture[0]] = self.capture[1]
        found = np.asarray(values[tuple(key)])
        if self.channel is None:
            return found.reshape(-1, 1)
        return found if self.time < self.channel else found.T


def part_of(leaf: Leaf, channels: int | None = None, samples: int | None = None) -> Part | None:
    """Return an array as channels, by its long dimension; None if that is ambiguous.

    Args:
        leaf: An array of up to three dimensions with more than one value; of three, the first counts captures.
        channels: Number of channels, if names are known: a dimension of that size counts channels.
        samples: Number of samples, if another array tells.
    """
    captures, long = dimensions(leaf.shape)
    capture = None if captures is None else (captures, 0)
    if len(long) == 1:
        return Part(leaf, long[0], None, capture)
    a, b = long
    sizes = (leaf.shape[a], leaf.shape[b])
    for time, channel in ((a, b), (b, a)):
        is_known = leaf.shape[channel] == channels or leaf.shape[time] == samples
        if is_known and sizes[0] != sizes[1]:
            return Part(leaf, time, channel, capture)
    if max(sizes) < 2 * min(sizes) or min(sizes) > MOST_CHANNELS:
        return None
    time, channel = (a, b) if sizes[0] > sizes[1] else (b, a)
    return Part(leaf, time, channel, capture)


@dataclass(frozen=True)
class Columns:
    """The samples of a recording, see `drsn_edge.recordings.raw.Samples`.

    Attributes:
        parts: Arrays of equal length.
        path: The file, for errors.
        expected: The file's format in words, for errors.
    """

    parts: tuple[Part, ...]
    path: Path
    expected: str

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return sum(part.n_channels for part in self.parts)

    @property
    def n_samples(self) -> int:
        """Samples of each channel."""
        return self.parts[0].n_samples

    def pieces(self, most_samples: int) -> Iterator[NDArray[Any]]:
        """Yield the samples in order, see `Samples.pieces`; blocks of the file are read as a whole."""
        at_once = max(most_samples, *(part.leaf.block[part.time] if part.leaf.block else 0 for part in self.parts))
        with reading(self.path, self.expected), ExitStack() as stack:
            opened = [stack.enter_context(part.leaf.opened()) for part in self.parts]
            for first in range(0, self.n_samples, at_once):
                stop = min(first + at_once, self.n_samples)
                found = [part.piece(values, first, stop) for part, values in zip(self.parts, opened, strict=True)]
                block = found[0] if len(found) == 1 else np.concatenate(found, axis=1)
                for at in range(0, len(block), most_samples):
                    yield block[at : at + most_samples]
