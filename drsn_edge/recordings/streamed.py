"""A recording whose samples are read when they are asked for, so that its length does not count in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import Samples
from drsn_edge.recordings.recording import Described, FieldValue, Recording
from drsn_edge.support.wording import counted

PIECE_SAMPLES = 1 << 16
"""Samples of a piece where the caller has no length of its own."""


@dataclass(frozen=True)
class StreamedRecording(Described):
    """One uninterrupted stretch of samples in a file, with all values that are needed to interpret it.

    Attributes:
        name: As in `Recording`.
        sample_rate_hz: Sampling rate in Hz, > 0.
        axes: Name of each column of a piece.
        unit: Unit of the pieces.
        label: Condition of the machine; None if unknown.
        group: As in `Recording`.
        fields: Further values (rpm, load_hp, ...).
        path: The file.
        remarks: Sentences for the user about what was left out, repaired or doubted while the file was read.
        rate_spread: Standard deviation of the sampling interval as a share of its mean; None if unknown.
        source: The stored samples of all channels.
        columns: Channel of each axis.
        factors: Factors from stored values to `unit`, applied in order.
    """

    name: str
    sample_rate_hz: float
    axes: tuple[str, ...]
    unit: str
    label: str | None
    group: str
    fields: Mapping[str, FieldValue]
    path: Path
    remarks: tuple[str, ...]
    rate_spread: float | None
    source: Samples = field(repr=False)
    columns: tuple[int, ...]
    factors: tuple[float, ...] = ()

    @property
    def n_samples(self) -> int | None:
        """Samples of each axis; None if the file has to be read to its end to tell."""
        return self.source.n_samples

    def pieces(self, most_samples: int = PIECE_SAMPLES) -> Iterator[NDArray[np.float32]]:
        """Yield the samples in order, from the first one at each call.

        Args:
            most_samples: Largest number of samples of a piece.

        Yields:
            Pieces, shape (n, n_axes), 0 < n <= `most_samples`, finite, in `unit`.

        Raises:
            RecordingError: If the file holds no samples, is damaged, or holds NaN or infinite values, which includes
                values too large for float32; then it is read to its end to count them.
        """
        first = 0
        pieces = self.source.pieces(most_samples)
        for stored in pieces:
            piece = self._converted(stored)
            if not np.isfinite(piece).all():
                raise self._not_finite(piece, first, pieces)
            yield piece
            first += len(piece)
        if not first:
            words = f"{self.path} holds no samples. Record or export it again."
            raise RecordingError(words, "no_samples", path=self.path)

    def _converted(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            chosen = stored[:, list(self.columns)]
            for factor in self.factors:
                chosen = chosen * factor
            return np.ascontiguousarray(chosen, dtype=np.float32)

    def _not_finite(self, piece: NDArray[np.float32], first: int, rest: Iterator[NDArray[Any]]) -> RecordingError:
        row, column = np.argwhere(~np.isfinite(piece))[0]
        count = _bad(piece) + sum(_bad(self._converted(stored)) for stored in rest)
        index, axis = first + int(row), self.axes[column]
        return RecordingError(
            f"{self.path} holds {counted(count, 'NaN or infinite value')} in recording {self.name}, the first at "
            f"sample {index} of axis {axis}. Cut the samples out, or record it again.",
            "not_finite",
            path=self.path,
            recording=self.name,
            count=count,
            sample=index,
            axis=axis,
        )

    def in_memory(self) -> Recording:
        """Return the recording with all its samples in memory. Raises RecordingError as `pieces` does."""
        return self.with_samples(np.concatenate(list(self.pieces())))

    def with_samples(self, samples: NDArray[np.float32]) -> Recording:
        """Return the recording with these samples, shape (n_samples, n_axes)."""
        return Recording(
            self.name, samples, self.sample_rate_hz, self.axes, self.unit, self.label, self.group, self.fields
        )


def _bad(piece: NDArray[np.float32]) -> int:
    return int(np.count_nonzero(~np.isfinite(piece)))
