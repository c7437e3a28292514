"""MATLAB 5 files (.mat) as the Case Western Reserve University Bearing Data Center names their contents.

`X105_DE_time`, `X105_FE_time`, `X105_BA_time` are the accelerometers at drive end, fan end and base; `X105RPM` is the
measured speed. The number becomes the field `cwru_file`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import MetadataValue
from drsn_edge.recordings.raw import MAX_RECORDING_BYTES, RawRecording, reading
from drsn_edge.recordings.readers.matlab5 import Variables, read_matlab5

CHANNELS = ("DE", "FE", "BA")

_SAMPLES_NAME = re.compile(r"X([0-9]{1,9})_(DE|FE|BA)_time")
_SPEED_NAME = re.compile(r"X([0-9]{1,9})RPM")
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_HDF5_OFFSETS = (0, 512)  # MATLAB puts a header of 512 bytes before it


def read_mat(data: bytes, path: Path) -> list[RawRecording]:
    """Read the one recording of a CWRU .mat file.

    Raises:
        RecordingError: If the file is damaged, of MATLAB 7.3, or its variables are not named as CWRU does.
    """
    if any(data.startswith(_HDF5_MAGIC, offset) for offset in _HDF5_OFFSETS):
        raise RecordingError(f"{path}: Expected a MATLAB 5 file, got MATLAB 7.3 (HDF5). In MATLAB: save(..., '-v7').")
    with reading(path, "a MATLAB 5 file"):
        variables = read_matlab5(data, MAX_RECORDING_BYTES)
    channels = _channels_by_number(variables)
    if not channels:
        raise RecordingError(
            f"{path}: Expected variables of real numbers named as CWRU does (X105_DE_time), "
            f"got {', '.join(variables) or 'none'}. Save other data as .npz or .csv."
        )
    number = _choose_number(sorted(channels), path)
    stated: dict[str, MetadataValue] = {"cwru_file": number, "axes": tuple(channels[number])}
    stated.update(_speed(variables, number))
    return [RawRecording(_side_by_side(channels[number], path), stated, frozenset(stated))]


def _channels_by_number(variables: Variables) -> dict[int, dict[str, NDArray[Any]]]:
    """Group `X105_DE_time` and so on by number, in the order of `CHANNELS`."""
    channels: dict[int, dict[str, NDArray[Any]]] = {}
    for channel in CHANNELS:
        for name, values in variables.items():
            match = _SAMPLES_NAME.fullmatch(name)
            if match and match[2] == channel and values is not None:
                channels.setdefault(int(match[1]), {})[channel] = values
    return channels


def _choose_number(numbers: Sequence[int], path: Path) -> int:
    """Return the only number, or the one that is the file's name: CWRU's 99.mat also holds 98."""
    if len(numbers) == 1:
        return numbers[0]
    if path.stem.isdecimal() and int(path.stem) in numbers:
        return int(path.stem)
    raise RecordingError(
        f"{path}: Expected one recording, got the numbers {', '.join(map(str, numbers))}. "
        f"Name the file after the one you mean, for example {numbers[0]}.mat."
    )


def _side_by_side(channels: Mapping[str, NDArray[Any]], path: Path) -> NDArray[Any]:
    """Return shape (n_samples, n_channels)."""
    shapes = {values.shape for values in channels.values()}
    if len(shapes) > 1 or any(len(shape) != 2 or shape[1] != 1 for shape in shapes):
        raise RecordingError(f"{path}: Expected channels of one length, shape (n, 1), got {sorted(shapes)}.")
    return np.hstack(list(channels.values()))


def _speed(variables: Variables, number: int) -> dict[str, MetadataValue]:
    """Return the measured speed in 1/min where the file has it; not all have."""
    for name, value in variables.items():
        match = _SPEED_NAME.fullmatch(name)
        if match and int(match[1]) == number and value is not None and value.size == 1:
            return {"rpm": value.item(), "rpm_measured": True}
    return {}
