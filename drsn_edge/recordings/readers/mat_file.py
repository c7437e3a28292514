"""MATLAB files (.mat), versions 4 to 7.3.

Files with the variable names of the Case Western Reserve University (CWRU) Bearing Data Center are known:
`X105_DE_time`, `X105_FE_time` and `X105_BA_time` are the accelerometers at drive end, fan end and base; `X105RPM` is
the measured speed. The number becomes the field `cwru_file`. In other files `drsn_edge.recordings.readers.choice` finds
the samples.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import MetadataValue
from drsn_edge.recordings.raw import RawRecording, Request, Whole, check_memory, file_bytes, reading
from drsn_edge.recordings.readers.choice import recordings_in
from drsn_edge.recordings.readers.found import File
from drsn_edge.recordings.readers.hdf5_file import is_hdf5, read_hdf5
from drsn_edge.recordings.readers.matlab4 import order_of, read_matlab4
from drsn_edge.recordings.readers.matlab5 import read_matlab5, unpacked_bytes
from drsn_edge.recordings.readers.variables import Group, Leaf, Node, plain_value

CHANNELS = ("DE", "FE", "BA")

_SAMPLES_NAME = re.compile(r"X([0-9]{1,9})_(DE|FE|BA)_time")
_SPEED_NAME = re.compile(r"X([0-9]{1,9})RPM")
_EXPECTED = "a complete MATLAB file"

Variables = Mapping[str, Node]


def read_mat(path: Path, request: Request) -> list[RawRecording]:
    """Read the recordings of a .mat file; MATLAB 7.3 writes HDF5, which is read in pieces.

    Raises:
        RecordingError: If the file is damaged, needs more memory than allowed, or does not say which variables are the
            samples.
    """
    if is_hdf5(path):
        return read_hdf5(path, request)
    data = file_bytes(path, request.memory_bytes)
    with reading(path, _EXPECTED):
        variables = _variables(data, path, request)
    channels = _channels_by_number(variables)
    if not channels or "variable" in request.values:
        with reading(path, _EXPECTED):
            return recordings_in(File(Group(variables), path, request, _EXPECTED, most_dimensions=2))
    number = _choose_number(sorted(channels), path)
    stated: dict[str, MetadataValue] = {"cwru_file": number, "axes": tuple(channels[number])}
    stated.update(_speed(variables, number))
    return [RawRecording(Whole(_side_by_side(channels[number], path)), stated, frozenset(stated))]


def _variables(data: bytes, path: Path, request: Request) -> Variables:
    if order_of(data) is not None:
        return read_matlab4(data)
    check_memory(path, len(data) + unpacked_bytes(data), request.memory_bytes)
    return read_matlab5(data, request.memory_bytes)


def _channels_by_number(variables: Variables) -> dict[int, dict[str, Leaf]]:
    """Group `X105_DE_time` and so on by number, in the order of `CHANNELS`."""
    channels: dict[int, dict[str, Leaf]] = {}
    for channel in CHANNELS:
        for name, values in variables.items():
            match = _SAMPLES_NAME.fullmatch(name)
            if match and match[2] == channel and isinstance(values, Leaf) and values.dtype.kind in "iuf":
                channels.setdefault(int(match[1]), {})[channel] = values
    return channels


def _choose_number(numbers: Sequence[int], path: Path) -> int:
    """Return the only number, or the one that is the file name: CWRU's 99.mat also holds 98."""
    if len(numbers) == 1:
        return numbers[0]
    if path.stem.isdecimal() and int(path.stem) in numbers:
        return int(path.stem)
    raise RecordingError(
        f"{path} holds several recordings, with the numbers {', '.join(map(str, numbers))}. Name the file after the "
        f"one that you want, for example {numbers[0]}.mat.",
        "several_recordings",
        path=path,
        numbers=tuple(numbers),
    )


def _side_by_side(channels: Mapping[str, Leaf], path: Path) -> NDArray[Any]:
    """Return shape (n_samples, n_channels)."""
    shapes = {values.shape for values in channels.values()}
    if len(shapes) > 1 or any(len(shape) != 2 or shape[1] != 1 for shape in shapes):
        words = f"{path}: all channels must have the same shape (n, 1), got {sorted(shapes)}. Save it as .npz or .csv."
        raise RecordingError(words, "channel_shapes", path=path, shapes=sorted(shapes))
    with ExitStack() as stack:
        return np.hstack([stack.enter_context(values.opened())[:] for values in channels.values()])


def _speed(variables: Variables, number: int) -> dict[str, MetadataValue]:
    """Return the measured speed in 1/min if the file has one; some files have none."""
    for name, value in variables.items():
        match = _SPEED_NAME.fullmatch(name)
        speed = plain_value(value)
        if match and int(match[1]) == number and isinstance(speed, (int, float)):
            return {"rpm": speed, "rpm_measured": True}
    return {}
