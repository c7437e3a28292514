"""The value that every reader returns, and the one kind of error for damaged files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import Metadata
from drsn_edge.support.invalid import InvalidValueError

MAX_RECORDING_BYTES = 4 << 30
"""Largest file, and largest content of a compressed file. 12 hours of three axes at 26.7 kHz in 16 bits take 6.9 GB and
need several files."""


@dataclass(frozen=True)
class RawRecording:
    """One recording as a file states it, without any guess.

    Attributes:
        samples: Real numbers of any type, shape (n_samples, n_channels).
        stated: Values that the file states; `axes`, if stated, names every channel.
        keys: Names by which a built-in catalogue may recognise the file.
        capture: Position in a file of captures, from 0; None if the file is one recording.
        is_relative: True if the samples are fractions of full scale and need the value `full_scale`.
    """

    samples: NDArray[Any]
    stated: Metadata
    keys: frozenset[str] = frozenset()
    capture: int | None = None
    is_relative: bool = False


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
        why = str(exc).rstrip(": .") if isinstance(exc, InvalidValueError) else f"{kind}: {exc}".rstrip(": .")
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
