"""What the readers have in common: the value they hand over, and one kind of error for every bad file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import Metadata

MAX_RECORDING_BYTES = 4 << 30
"""Of a file, and of what it holds once it is unpacked: 12 hours of three axes of 26.7 kHz as 16-bit numbers take 6.9 GB
and are better kept as several files."""


@dataclass(frozen=True)
class RawRecording:
    """What one file says about one recording, and nothing that it does not say.

    Attributes:
        samples: Real numbers of any type, shape (n_samples, n_channels).
        stated: What the file states; `axes`, where stated, names every channel.
        keys: Names by which a built-in catalogue may recognise the file.
        capture: Position in a file of captures, from 0; None where the file is one recording.
        is_relative: True where the samples are fractions of full scale and wait for `full_scale`.
    """

    samples: NDArray[Any]
    stated: Metadata
    keys: frozenset[str] = frozenset()
    capture: int | None = None
    is_relative: bool = False


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever a parser raises on a damaged file into one RecordingError.

    Catching everything is meant: on damaged files zipfile, NumPy and SciPy raise far more than they document
    (zlib.error, struct.error, NotImplementedError, MemoryError for an absurd length, ...).
    """
    try:
        yield
    except RecordingError:
        raise
    except Exception as exc:
        reason = f"{type(exc).__name__}: {exc}".rstrip(": .")
        raise RecordingError(
            f"{path}: Expected {expected}, got a damaged or different file ({reason}). Copy or export it again."
        ) from exc


def real_numbers(values: NDArray[Any], path: Path, what: str) -> NDArray[Any]:
    """Return values unchanged if they are integers or real floats.

    Raises:
        RecordingError: If they are text, truth values, complex numbers or objects.
    """
    if values.dtype.kind not in "iuf":
        raise RecordingError(f"{path}: Expected {what} to hold real numbers, got type {values.dtype}. Convert it.")
    return values
