"""The formats of recordings: the reader of each, and the suffixes by which a file is known to be one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from drsn_edge.recordings.raw import RawRecording, Request
from drsn_edge.recordings.readers.binary_file import has_sidecar, read_binary
from drsn_edge.recordings.readers.edge_impulse_file import is_edge_impulse, read_edge_impulse
from drsn_edge.recordings.readers.hdf5_file import read_hdf5
from drsn_edge.recordings.readers.mat_file import read_mat
from drsn_edge.recordings.readers.npy_file import read_npy
from drsn_edge.recordings.readers.npz_file import read_npz
from drsn_edge.recordings.readers.parquet_file import read_parquet
from drsn_edge.recordings.readers.raw_log_file import read_raw_log
from drsn_edge.recordings.readers.table_file import read_table
from drsn_edge.recordings.readers.tdms_file import read_tdms
from drsn_edge.recordings.readers.uff_file import read_uff
from drsn_edge.recordings.readers.wav_file import read_wav

Reader = Callable[[Path, Request], list[RawRecording]]
"""Takes a file and how to read it, and returns its recordings; raises RecordingError."""


@dataclass(frozen=True)
class Format:
    """A format of recordings.

    Attributes:
        read: Its reader.
        suffixes: Suffixes in lower case; files with one are read without being asked for.
        on_request: Suffixes that other files have as well: read if the user or a catalogue names the file.
        is_one: Tells whether a file with such a suffix is surely of this format, and so is read without being named.
    """

    read: Reader
    suffixes: tuple[str, ...]
    on_request: tuple[str, ...] = ()
    is_one: Callable[[Path], bool] | None = None


FORMATS: Mapping[str, Format] = {
    "table": Format(read_table, (".csv",), (".txt", ".dat", ".asc", ".tsv", ".lvm", ".log", "")),
    "drsnlog": Format(read_raw_log, (".drsnlog",)),
    "mat": Format(read_mat, (".mat",)),
    "npy": Format(read_npy, (".npy",)),
    "npz": Format(read_npz, (".npz",)),
    "hdf5": Format(read_hdf5, (".h5", ".hdf5", ".hdf")),
    "wav": Format(read_wav, (".wav", ".w64", ".rf64")),
    "tdms": Format(read_tdms, (".tdms",)),
    "uff": Format(read_uff, (".uff", ".unv"), on_request=(".uff58", ".58b")),
    "parquet": Format(read_parquet, (".parquet", ".pq")),
    "binary": Format(read_binary, (".sigmf-data",), on_request=(".bin", ".raw"), is_one=has_sidecar),
    "edge-impulse": Format(read_edge_impulse, (".cbor",), on_request=(".json",), is_one=is_edge_impulse),
}
"""By the name that the key `format` of a catalogue takes."""

SUFFIXES: Mapping[str, str] = {suffix: name for name, each in FORMATS.items() for suffix in each.suffixes}
"""The name of the format of each suffix."""
