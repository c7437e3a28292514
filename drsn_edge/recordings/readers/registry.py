"""The reader of each file suffix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from drsn_edge.recordings.raw import RawRecording
from drsn_edge.recordings.readers.csv_file import read_csv
from drsn_edge.recordings.readers.mat_file import read_mat
from drsn_edge.recordings.readers.npz_file import read_npz
from drsn_edge.recordings.readers.raw_log_file import read_raw_log
from drsn_edge.recordings.readers.wav_file import read_wav

Reader = Callable[[bytes, Path], list[RawRecording]]
"""Takes the bytes of a file, and its path, which is used in messages only."""

READERS: Mapping[str, Reader] = {
    ".csv": read_csv,
    ".drsnlog": read_raw_log,
    ".mat": read_mat,
    ".npz": read_npz,
    ".wav": read_wav,
}
