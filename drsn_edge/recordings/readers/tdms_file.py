"""NI TDMS files (.tdms) of LabVIEW and DAQmx: each channel is an axis, each group with axes is a recording.

`wf_increment` states the rate, `unit_string` the unit. Scales of DAQmx and LabVIEW are applied. An index file beside
the file is not used.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drsn_edge.recordings.metadata import Metadata
from drsn_edge.recordings.raw import RawRecording, Request, Samples, check_memory, file_size, opened, reading
from drsn_edge.recordings.readers.channels import Channel, Chosen, choose_channels, is_clock_name, unit_of
from drsn_edge.recordings.readers.packages import package_for
from drsn_edge.recordings.readers.tdms_runs import Stored, check_description, runs_of

_KIND = "a TDMS file"
_MOST_SCALES = 64
_MOST_COEFFICIENTS = 1000
_SWELLING = 16
"""npTDMS holds a chunk of numbers of 2 bytes, and all of its numbers in 8 bytes, for one channel at a time."""
_SCALE_NUMBER = re.compile(r"NI_Scale\[([0-9]{1,9})\]")

Scale = Callable[[NDArray[Any]], NDArray[Any]]


def read_tdms(path: Path, request: Request) -> list[RawRecording]:
    """Read the recordings of a TDMS file: one, or one for each group with channels that can be axes.

    Raises:
        RecordingError: If npTDMS is not installed, the file is damaged, or its channels do not fit together.
    """
    nptdms = package_for(path, "TDMS files", "npTDMS", "nptdms")
    reader = package_for(path, "TDMS files", "npTDMS", "nptdms.reader")
    package_for(path, "TDMS files", "npTDMS", "nptdms.log").log_manager.set_level(logging.ERROR)
    with opened(path) as file:
        with reading(path, _KIND):
            check_description(file, reader.TdmsReader)
            content = nptdms.TdmsFile.open(file)
            by_path = {channel.path: channel for group in content.groups() for channel in group.channels()}
            for properties in _all_properties(content):
                _check_scales(properties)
            segments = content._reader._segments  # the only way to where the numbers lie
            channels = [_channel(number, each) for number, each in enumerate(by_path.values())]
        remarks = _cut_off(segments, file)
        found = []
        for chosen in _recordings(channels, request.values, path):
            taken = [list(by_path.values())[each.number] for each in chosen.channels]
            with reading(path, _KIND):
                samples = _samples(path, taken, segments, request)
            found.append((samples, chosen))
    return [
        RawRecording(samples, chosen.stated, capture=k if len(found) > 1 else None, remarks=(*remarks, *chosen.remarks))
        for k, (samples, chosen) in enumerate(found)
    ]


def _all_properties(content: Any) -> Iterator[Mapping[str, Any]]:
    yield content.properties
    for group in content.groups():
        yield group.properties
        for channel in group.channels():
            yield channel.properties


def _check_scales(properties: Mapping[str, Any]) -> None:
    """Refuse scales that would make npTDMS build lists of a length that a property states.

    Raises:
        ValueError: If there are too many scales or coefficients.
    """
    numbers = [int(found[1]) for name in properties if (found := _SCALE_NUMBER.match(name))]
    if max([*numbers, int(properties.get("NI_Number_Of_Scales", 0))], default=0) > _MOST_SCALES:
        raise ValueError(f"a channel has more than {_MOST_SCALES} scales")
    for name, value in properties.items():
        if name.endswith("_Size") and name.startswith("NI_Scale") and int(value) > _MOST_COEFFICIENTS:
            raise ValueError(f"a scale has more than {_MOST_COEFFICIENTS} coefficients")


def _cut_off(segments: Sequence[Any], file: BinaryIO) -> list[str]:
    last = segments[-1] if segments else None
    if last is not None and not last.segment_incomplete and last.next_segment_pos == file_size(file):
        return []
    return ["The file ends inside its last segment, as after a crash or a broken copy; what is there is read."]


def _channel(number: int, channel: Any) -> Channel:
    properties, kind = channel.properties, np.dtype(channel.dtype).kind
    increment = properties.get("wf_increment")
    rate = float(f"{1 / increment:.9g}") if isinstance(increment, float) and 0 < increment < np.inf else None
    why_not = ""
    if kind == "M" or is_clock_name(channel.name):
        why_not = "it is a clock"
    elif kind not in "iuf":
        why_not = "it holds no real numbers"
    elif not len(channel):
        why_not = "it is empty"
    elif str(properties.get("wf_xunit_string", "")).strip().lower() in ("hz", "khz"):
        why_not = "it is a spectrum"
    unit = unit_of(properties.get("unit_string"))
    return Channel(number, f"{channel.group_name}/{channel.name}", channel.name, unit, len(channel), rate, why_not)


def _recordings(channels: Sequence[Channel], values: Metadata, path: Path) -> list[Chosen]:
    """Return what is chosen of each group, or of all groups if the catalogue names channels."""
    groups: dict[str, list[Channel]] = {}
    for each in channels:
        groups.setdefault(each.path.removesuffix(f"/{each.name}"), []).append(each)
    usable = [group for group in groups.values() if any(not each.why_not for each in group)]
    if "variable" in values or len(usable) < 2:
        return [choose_channels(channels, values, path)]
    return [choose_channels(group, values, path) for group in usable]


def _samples(path: Path, channels: Sequence[Any], segments: Sequence[Any], request: Request) -> Samples:
    """Return samples that are read in pieces: by their places, or by npTDMS where DAQmx stored them in its own form."""
    runs, paths = runs_of(segments), tuple(each.path for each in channels)
    if runs is not None:
        return Stored(path, paths, tuple(map(_scale, channels)), runs, len(channels[0]))
    largest = max((each.next_segment_pos - each.data_position) // max(each.num_chunks, 1) for each in segments)
    check_memory(path, _SWELLING * largest, request.memory_bytes)
    return ByNptdms(path, paths, len(channels[0]))


@dataclass(frozen=True)
class ByNptdms:
    """Samples that npTDMS reads, by whole chunks.

    Attributes:
        path: The file.
        channels: Paths of the channels in npTDMS.
        n_samples: Length of each channel.
    """

    path: Path
    channels: tuple[str, ...]
    n_samples: int

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.channels)

    def pieces(self, most_samples: int) -> Iterator[NDArray[Any]]:
        """Yield the samples, see `Samples.pieces`."""
        nptdms = package_for(self.path, "TDMS files", "npTDMS", "nptdms")
        with opened(self.path) as file, reading(self.path, _KIND):
            content = nptdms.TdmsFile.open(file)
            by_path = {channel.path: channel for group in content.groups() for channel in group.channels()}
            for first in range(0, self.n_samples, most_samples):
                taken = [by_path[each].read_data(first, most_samples) for each in self.channels]
                yield np.stack(taken, axis=1)


def _scale(channel: Any) -> Scale:
    """Return what turns stored values into those of the channel's unit."""
    scaling = channel._scaling

    def scaled(values: NDArray[Any]) -> NDArray[Any]:
        return values if scaling is None else np.asarray(scaling.scale(_Raw(values)))

    return scaled


class _Raw(NamedTuple):
    """Stored values in the form in which npTDMS scales them."""

    data: NDArray[Any]
    scaler_data: None = None
