"""HDF5 files (.h5, .hdf5, .hdf), read in pieces; MATLAB 7.3's .mat files are also HDF5.

`drsn_edge.recordings.readers.choice` finds the samples. Attributes such as `fs`, `unit` and `axes`, of the dataset or
of a group around it, describe them.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from drsn_edge.recordings.raw import RawRecording, Request, opened, reading
from drsn_edge.recordings.readers.choice import recordings_in
from drsn_edge.recordings.readers.found import File
from drsn_edge.recordings.readers.hdf5_tree import EXPECTED, tree_of
from drsn_edge.recordings.readers.packages import package_for
from drsn_edge.recordings.readers.variables import Group

_MAGIC = b"\x89HDF\r\n\x1a\n"
_MOST_HEADER = 1 << 16
_MATLAB = b"MATLAB 7.3"


def is_hdf5(path: Path) -> bool:
    """Tell whether a file has the signature of HDF5, which may stand behind a header of another program.

    Raises:
        RecordingError: If the file cannot be read.
    """
    return _start(path)[1]


def read_hdf5(path: Path, request: Request) -> list[RawRecording]:
    """Read the recordings of an HDF5 file.

    Raises:
        RecordingError: If h5py is not installed, or the file is damaged or does not say which datasets are samples.
    """
    header, _ = _start(path)
    h5py = package_for(path, "HDF5 and MATLAB 7.3 files", "h5py", "h5py")
    is_matlab = header.startswith(_MATLAB)
    with reading(path, EXPECTED):
        root = tree_of(h5py, path, request.memory_bytes, is_matlab)
        separator, most = (".", 2) if is_matlab else ("/", 3)
        return recordings_in(File(cast(Group, root), path, request, EXPECTED, separator, most))


def _start(path: Path) -> tuple[bytes, bool]:
    """Return the file's first bytes, and whether the signature stands where HDF5 allows it."""
    with opened(path) as file:
        header = file.read(_MOST_HEADER + len(_MAGIC))
    places = [0, *(1 << power for power in range(9, 17))]
    return header[: len(_MATLAB)], any(header.startswith(_MAGIC, at) for at in places)
