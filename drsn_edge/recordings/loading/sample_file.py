"""Samples of many recordings in one file without a name, so that their number does not count in memory."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from firmware_bridge.support.shown import printable


class SampleFile:
    """A file of float32 that disappears with the last array on it, also if the process is killed.

    It has no name: its blocks are free again once neither this object nor an array uses it. A context manager.
    """

    def __init__(self, folder: Path) -> None:
        """Create the file.

        Args:
            folder: Folder on the disk that holds the samples, as float32.

        Raises:
            RecordingError: If no file can be created there.
        """
        self._folder, self._n_values = folder, 0
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed by __exit__
        except OSError as exc:
            raise self._no_room(exc) from exc

    def __enter__(self) -> SampleFile:
        """Return the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, where: TracebackType | None
    ) -> None:
        """Close the file; arrays on it stay valid."""
        self._file.close()

    def write(self, pieces: Iterable[NDArray[np.float32]]) -> slice:
        """Append samples, and return the place of their numbers in the array of `mapped`.

        Raises:
            RecordingError: If the disk is full.
        """
        first = self._n_values
        for piece in pieces:
            try:
                self._file.write(np.ascontiguousarray(piece, np.float32).data)
            except OSError as exc:
                raise self._no_room(exc) from exc
            self._n_values += piece.size
        return slice(first, self._n_values)

    def mapped(self) -> NDArray[np.float32]:
        """Return all numbers as one read-only array, whose pages the system reads when they are used.

        Raises:
            RecordingError: If the disk is full, or the file cannot be mapped.
        """
        if not self._n_values:
            return np.empty(0, np.float32)
        try:
            self._file.flush()
            return np.frombuffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ), np.float32)
        except (OSError, ValueError) as exc:
            raise self._no_room(exc) from exc

    def _no_room(self, exc: OSError | ValueError) -> RecordingError:
        why = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
        folder = printable(self._folder)
        words = f"The samples of the recordings cannot be kept in a temporary file in {folder}: {why}."
        return RecordingError(
            f"{words} Free space on that disk, or write the result to another one.",
            "no_room",
            path=self._folder,
            reason=why,
        )
