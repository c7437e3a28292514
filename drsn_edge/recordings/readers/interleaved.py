"""Samples that lie one after the other in a file, each with the numbers of all channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import Samples, opened

Decoder = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""Takes the bytes of some numbers, and returns the numbers in one dimension."""


@dataclass(frozen=True)
class Interleaved:
    """Samples of which a piece is read when it is asked for.

    Attributes:
        path: The file.
        offset: Bytes before the first number.
        n_channels: Numbers of each sample.
        n_samples: Samples of each channel.
        width: Bytes of a number.
        decoded: Turns bytes into numbers.
    """

    path: Path
    offset: int
    n_channels: int
    n_samples: int
    width: int
    decoded: Decoder

    def pieces(self, most_samples: int) -> Iterator[NDArray[Any]]:
        """Yield the samples, see `Samples.pieces`.

        Raises:
            RecordingError: If the file has become shorter, or cannot be read any more.
        """
        sample_bytes = self.width * self.n_channels
        with opened(self.path) as file:
            file.seek(self.offset)
            for first in range(0, self.n_samples, most_samples):
                n_bytes = sample_bytes * min(most_samples, self.n_samples - first)
                data = file.read(n_bytes)
                if len(data) < n_bytes:
                    words = f"{self.path} became shorter while it was read. Read it again when nothing writes to it."
                    raise RecordingError(words, "became_shorter", path=self.path)
                yield self.decoded(np.frombuffer(data, np.uint8)).reshape(-1, self.n_channels)


@dataclass(frozen=True)
class Columns:
    """Some channels of samples.

    Attributes:
        samples: The samples of all channels.
        numbers: Which channels, in the order wanted.
    """

    samples: Samples
    numbers: tuple[int, ...]

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.numbers)

    @property
    def n_samples(self) -> int | None:
        """Samples of each channel, as the samples of all channels know it."""
        return self.samples.n_samples

    def pieces(self, most_samples: int) -> Iterator[NDArray[Any]]:
        """Yield the samples, see `Samples.pieces`."""
        for piece in self.samples.pieces(most_samples):
            yield piece[:, list(self.numbers)]
