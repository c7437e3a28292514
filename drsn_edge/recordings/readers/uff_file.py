"""Universal files (.uff, .unv) with time histories: data sets 58 and 58b, of which each record is an axis.

Records with the same length, rate and unit are the axes of one recording. Their names are those of their degrees of
freedom: `1X+` is node 1 in direction +X. Spectra and frequency responses are refused. pyuff reads a file as a whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import RawRecording, Request, Whole, check_memory, file_size, opened, reading
from drsn_edge.recordings.readers.channels import Channel, choose_channels, unit_of
from drsn_edge.recordings.readers.packages import package_for

_KIND = "a universal file with data sets 58"
_TIME_HISTORIES = 58
_MARK = re.compile(rb"    -1(?=[\r\n]|$| {74})")
"""What stands before and behind each data set."""
_CUT_OFF = "The file ends inside a data set, which is left out: copy or export it again."
_DIRECTIONS = ("", "X", "Y", "Z", "RX", "RY", "RZ")
_FUNCTIONS = (
    "a general function", "a time response", "an auto spectrum", "a cross spectrum", "a frequency response",
    "a transmissibility", "a coherence", "an auto correlation", "a cross correlation", "a power spectral density",
    "an energy spectral density", "a probability density", "a spectrum",
)  # fmt: skip
_GENERAL, _TIME_RESPONSE = 0, 1
_REAL = {2: 4, 4: 8}
"""Bytes of the types of ordinates that are real."""
_ABSCISSA_FREQUENCY = 18

_SWELLING = 20
"""pyuff holds the file, a copy of the record, and a Python number of 32 bytes for each value of 4 bytes or more."""


def read_uff(path: Path, request: Request) -> list[RawRecording]:
    """Read the recordings of a universal file: one, or as many as each degree of freedom has records.

    Raises:
        RecordingError: If pyuff is not installed, the file takes too much memory, is damaged, or has no time history.
    """
    pyuff = package_for(path, "universal files", "pyuff", "pyuff")
    with opened(path) as stored:
        check_memory(path, _SWELLING * file_size(stored), request.memory_bytes)
        cut_off = len(_MARK.findall(stored.read())) % 2
    with reading(path, _KIND):
        file = pyuff.UFF(str(path))
        records = [number for number, kind in enumerate(file.get_set_types()) if kind == _TIME_HISTORIES]
        channels = [_channel(number, file.read_sets(number, header_only=True)) for number in records]
    if not channels:
        words = f"{path} has no data set 58, which holds time histories. Export it as UFF58."
        raise RecordingError(words, "no_time_history", path=path)
    captures = _captures(channels) if "variable" not in request.values else [channels]
    remarks = (_CUT_OFF,) * cut_off
    found = []
    for number, capture in enumerate(captures):
        chosen = choose_channels(capture, request.values, path)
        with reading(path, _KIND):
            samples = Whole(np.stack([_values(file, each) for each in chosen.channels], axis=1))
        position = number if len(captures) > 1 else None
        found.append(RawRecording(samples, chosen.stated, capture=position, remarks=(*remarks, *chosen.remarks)))
    return found


def _captures(channels: Sequence[Channel]) -> list[list[Channel]]:
    """Return the first record of each degree of freedom, the second of each, and so on."""
    captures: list[list[Channel]] = []
    for each in (each for each in channels if not each.why_not):
        fitting = (capture for capture in captures if each.name not in {other.name for other in capture})
        if (capture := next(fitting, None)) is None:
            captures.append([each])
        else:
            capture.append(each)
    captures = captures or [[]]
    captures[0] += [each for each in channels if each.why_not]
    return captures


def _channel(number: int, header: Mapping[str, Any]) -> Channel:
    node, direction = int(header["rsp_node"]), int(header["rsp_dir"])
    named = 0 < abs(direction) < len(_DIRECTIONS)
    name = f"{node}{_DIRECTIONS[abs(direction)]}{'+' if direction > 0 else '-'}" if named else f"{node}"
    increment = float(header["abscissa_inc"])
    return Channel(
        number,
        f"{number + 1}/{name}",
        name,
        unit_of(header.get("ordinate_axis_units_lab")),
        int(header["num_pts"]),
        roundest_rate_hz(increment) if increment > 0 and int(header["abscissa_spacing"]) == 1 else None,
        _why_not(header),
    )


def _why_not(header: Mapping[str, Any]) -> str:
    function = int(header["func_type"])
    if function not in (_GENERAL, _TIME_RESPONSE):
        name = _FUNCTIONS[function] if 0 <= function < len(_FUNCTIONS) else f"a function of type {function}"
        return f"it is {name}, not a time history"
    if int(header["abscissa_spec_data_type"]) == _ABSCISSA_FREQUENCY:
        return "it is a function of frequency, not a time history"
    if int(header["ord_data_type"]) not in _REAL:
        return "its values are complex"
    return ""


def roundest_rate_hz(interval_s: float) -> float:
    """Return the rate with the fewest digits whose interval has the same six digits, as such files write it.

    8.33333e-05 s is 12000 Hz, not 12000.0048 Hz.
    """
    tolerance = 0.501e-5 * 10.0 ** math.floor(math.log10(interval_s))
    for digits in range(1, 9):
        rate_hz = float(f"{1 / interval_s:.{digits}g}")
        if abs(1 / rate_hz - interval_s) <= tolerance:
            return rate_hz
    return 1 / interval_s


def _values(file: Any, channel: Channel) -> np.ndarray[Any, np.dtype[Any]]:
    record = file.read_sets(channel.number)
    values = np.asarray(record["data"])[: channel.n_samples]
    if len(values) < channel.n_samples:
        raise ValueError(f"record {channel.number + 1} has {len(values)} of {channel.n_samples} values")
    return values
