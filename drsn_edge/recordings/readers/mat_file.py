"""MATLAB 5 files (.mat) with the variable names of the Case Western Reserve University (CWRU) Bearing Data Center.

`X105_DE_time`, `X105_FE_time` and `X105_BA_time` are the accelerometers at drive end, fan end and base; `X105RPM` is
the measured speed. The number becomes the field `cwru_file`.
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
from drsn_edge.recordings.raw import MAX_RECORDING_BYTES, RawRecording, Request, Whole, file_bytes, reading
from drsn_edge.recordings.readers.matlab5 import Variables, read_matlab5

CHANNELS = ("DE", "FE", "BA")

_SAMPLES_NAME = re.compile(r"X([0-9]{1,9})_(DE|FE|BA)_time")
_SPEED_NAME = re.compile(r"X([0-9]{1,9})RPM")
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_HDF5_OFFSETS = (0, 512)  # MATLAB writes a header of 512 bytes before the signature


def read_mat(path: Path, request: Request) -> list[RawRecording]:
    """Read the one recording of a CWRU .mat file.

    Raises:
        RecordingError: If the file is damaged, is a MATLAB 7.3 file, or its variables have other names than CWRU's.
    """
    data = file_bytes(path)
    if any(data.startswith(_HDF5_MAGIC, offset) for offset in _HDF5_OFFSETS):
        words = f"{path} is a MATLAB 7.3 file (HDF5), which cannot be read. Save it in MATLAB with save(..., '-v7')."
        raise RecordingError(words, "matlab_7_3", path=path)
    with reading(path, "a MATLAB 5 file"):
        variables = read_matlab5(data, MAX_RECORDING_BYTES)
    channels = _channels_by_number(variables)
    if not channels:
        raise RecordingError(
            f"{path} has no variable of real numbers with a CWRU name such as X105_DE_time; its variables are "
            f"{', '.join(variables) or '(none)'}. Save other data as .npz or .csv.",
            "no_cwru_variable",
            path=path,
            variables=tuple(variables),
        )
    number = _choose_number(sorted(channels), path)
    stated: dict[str, MetadataValue] = {"cwru_file": number, "axes": tuple(channels[number])}
    stated.update(_speed(variables, number))
    return [RawRecording(Whole(_side_by_side(channels[number], path)), stated, frozenset(stated))]


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


def _side_by_side(channels: Mapping[str, NDArray[Any]], path: Path) -> NDArray[Any]:
    """Return shape (n_samples, n_channels)."""
    shapes = {values.shape for values in channels.values()}
    if len(shapes) > 1 or any(len(shape) != 2 or shape[1] != 1 for shape in shapes):
        words = f"{path}: all channels must have the same shape (n, 1), got {sorted(shapes)}. Save it as .npz or .csv."
        raise RecordingError(words, "channel_shapes", path=path, shapes=sorted(shapes))
    return np.hstack(list(channels.values()))


def _speed(variables: Variables, number: int) -> dict[str, MetadataValue]:
    """Return the measured speed in 1/min if the file has one; some files have none."""
    for name, value in variables.items():
        match = _SPEED_NAME.fullmatch(name)
        if match and int(match[1]) == number and value is not None and value.size == 1:
            return {"rpm": value.item(), "rpm_measured": True}
    return {}
