"""What every reader takes and returns, and the one kind of error for damaged files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import Metadata
from drsn_edge.support.invalid import InvalidValueError
from firmware_bridge.support.regular_file import open_regular, why_unreadable
from firmware_bridge.support.shown import printable

MAX_RECORDING_BYTES = 4 << 30
"""Largest file, and largest content of a compressed file. 12 hours of three axes at 26.7 kHz in 16 bits take 6.9 GB and
need several files."""


@dataclass(frozen=True)
class Request:
    """How a file is to be read.

    Attributes:
        values: What catalogues state for the file before it is read; the keys `variable`, `dtype`, `skip_bytes`,
            `time_column` and `time_unit` are for readers alone.
        memory_bytes: Most memory that the content may take, in bytes.
    """

    values: Metadata = field(default_factory=dict)
    memory_bytes: int = MAX_RECORDING_BYTES


class Samples(Protocol):
    """The samples of a file, in memory or read from the file when they are asked for."""

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        ...

    @property
    def n_samples(self) -> int | None:
        """Samples of each channel; None if the file has to be read to its end to tell."""
        ...

    def pieces(self, most_samples: int) -> Iterator[NDArray[Any]]:
        """Yield real numbers of any type in order, from the first sample at each call.

        Args:
            most_samples: Largest number of samples of a piece.

        Yields:
            Pieces, shape (n, n_channels), 0 < n <= `most_samples`.

        Raises:
            RecordingError: If the file turns out to be damaged there.
        """
        ...


@dataclass(frozen=True)
class Whole:
    """Samples in memory.

    Attributes:
        values: Real numbers of any type, shape (n_samples, n_channels).
    """

    values: NDArray[Any]

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.values.shape[1]

    @property
    def n_samples(self) -> int:
        """Samples of each channel."""
        return len(self.values)

    def pieces(self, most_samples: int) -> Iterator[NDArray[Any]]:
        """Yield views of the values, see `Samples.pieces`."""
        for first in range(0, len(self.values), most_samples):
            yield self.values[first : first + most_samples]


_PIECE = 1 << 16
_LONGEST_REASON = 160


def whole(samples: Samples) -> NDArray[Any]:
    """Return all samples as one array, shape (n_samples, n_channels)."""
    if isinstance(samples, Whole):
        return samples.values
    pieces = list(samples.pieces(_PIECE))
    return np.concatenate(pieces) if pieces else np.empty((0, samples.n_channels))


@dataclass(frozen=True)
class RawRecording:
    """One recording as a file states it, without any guess.

    Attributes:
        samples: The samples of all channels that can be axes.
        stated: Values that the file states; `axes`, if stated, names every channel.
        keys: Names by which a built-in catalogue may recognise the file.
        capture: Position in a file of captures, from 0; None if the file is one recording.
        is_relative: True if the samples are fractions of full scale and need the value `full_scale`.
        remarks: Sentences for the user about what was left out, repaired or doubted while the file was read.
        rate_spread: Standard deviation of the sampling interval as a share of its mean; None if unknown.
    """

    samples: Samples
    stated: Metadata
    keys: frozenset[str] = frozenset()
    capture: int | None = None
    is_relative: bool = False
    remarks: tuple[str, ...] = ()
    rate_spread: float | None = None


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a recording's file for reading.

    Raises:
        RecordingError: If the file is missing, no regular file, unreadable or empty.
    """
    try:
        with open_regular(path) as file:
            if not file_size(file):
                raise RecordingError(f"{path} is empty. Copy or record it again.", "empty_file", path=path)
            yield file
    except FileNotFoundError as exc:
        raise RecordingError(f"There is no recording at {path}. Check the path.", "missing", path=path) from exc
    except IsADirectoryError as exc:
        words = f"{path} is a folder, not a recording. Name one of its files, or load all with load_recordings."
        raise RecordingError(words, "folder", path=path) from exc
    except (OSError, ValueError) as exc:  # ValueError: the path holds a NUL
        raise unreadable(path, exc) from exc


def file_size(file: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def file_bytes(path: Path, most_bytes: int = MAX_RECORDING_BYTES) -> bytes:
    """Return the content of a recording's file.

    Raises:
        RecordingError: If the file is missing, no regular file, unreadable, empty or larger than `most_bytes`.
    """
    with opened(path) as file:
        size = file_size(file)
        check_memory(path, size, most_bytes)
        return file.read(size)


def check_memory(path: Path, needed_bytes: int, limit_bytes: int) -> None:
    """Refuse a file that takes more memory than it may.

    Raises:
        RecordingError: If `needed_bytes` is more than `limit_bytes`.
    """
    if needed_bytes > limit_bytes:
        words = (
            f"{path} has to be in memory as a whole, which takes {needed_bytes / 1e9:.3g} GB; at most "
            f"{limit_bytes / 1e9:.3g} GB may be taken. Split it, or convert it to WAV, .npy or HDF5, which are read in "
            "pieces."
        )
        facts = {"path": path, "needed_bytes": needed_bytes, "limit_bytes": limit_bytes}
        raise RecordingError(words, "needs_memory", **facts)


def unreadable(path: Path | os.PathLike[str], exc: OSError | ValueError) -> RecordingError:
    """Return the error of a file or folder that the system does not give."""
    why = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
    return RecordingError(f"{path} cannot be read: {why_unreadable(exc)}", "unreadable", path=path, reason=why)


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turn any exception of a parser into a RecordingError.

    Catching every exception is intended: on damaged files zipfile, NumPy and SciPy raise far more types than they
    document (zlib.error, struct.error, NotImplementedError, MemoryError for an absurd length, ...).

    Args:
        path: The file.
        expected: The format in words, such as "an .npz archive of plain arrays".
    """
    try:
        yield
    except RecordingError:
        raise
    except Exception as exc:
        kind = exc.problem if isinstance(exc, InvalidValueError) else type(exc).__name__
        why = printable(exc if isinstance(exc, InvalidValueError) else f"{kind}: {exc}", _LONGEST_REASON).rstrip(": .")
        words = f"{path} is damaged, or is not {expected} ({why}). Copy or export it again."
        raise RecordingError(words, "damaged", path=path, expected=expected, kind=kind, reason=why) from exc


def real_numbers(values: NDArray[Any], path: Path, what: str) -> NDArray[Any]:
    """Return integers and real floats unchanged.

    Raises:
        RecordingError: If the values are text, booleans, complex numbers or objects.
    """
    if values.dtype.kind not in "iuf":
        words = f"{path}: {what} must hold real numbers, got the type {values.dtype}. Convert it."
        raise RecordingError(words, "not_real_numbers", path=path, what=what, got=values.dtype)
    return values
