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

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import Metadata, checked
from drsn_edge.recordings.raw import RawRecording, Request, Samples, check_memory, file_size, opened, reading
from drsn_edge.recordings.readers.channels import Channel, Chosen, choose_channels, named, unit_of, why_no_axis
from drsn_edge.recordings.readers.packages import package_for
from drsn_edge.recordings.readers.table_clock import NO_CLOCK
from drsn_edge.recordings.readers.tdms_clock import Seconds, reading_of
from drsn_edge.recordings.readers.tdms_runs import Run, Stored, Watched, check_description, runs_of
from firmware_bridge.tables.names import Name

_KIND = "a TDMS file"
_CLOCK = "it is a clock"
_LOOKED_AT = 4096
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
    with opened(path) as file, reading(path, _KIND):
        check_description(file, reader.TdmsReader)
        content = nptdms.TdmsFile.open(Watched(file))
        for properties in _all_properties(content):
            _check_scales(properties)
        segments = content._reader._segments  # the only way to where the numbers lie
        every = [each for group in content.groups() for each in group.channels()]
        stored = Content(path, every, runs_of(segments), _missing(content))
        if stored.runs is None:
            check_memory(path, _SWELLING * _largest_chunk(segments), request.memory_bytes)
        remarks = _cut_off(segments, file)
        channels = [_channel(number, stored) for number in range(len(stored.channels))]
        found = _recordings(channels, request.values, path)
        return [
            _recording(stored, channels, chosen, request, k if len(found) > 1 else None, remarks)
            for k, chosen in enumerate(found)
        ]


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        path: The file.
        channels: npTDMS's channels.
        runs: Where their numbers lie; None if they lie in DAQmx's own form.
        missing: How many numbers of each channel the file has lost at its end, by the channel's path in npTDMS.
    """

    path: Path
    channels: Sequence[Any]
    runs: Sequence[Run] | None
    missing: Mapping[str, int]

    def samples(self, numbers: Sequence[int]) -> Samples:
        """Return what is there of all the channels, scaled; time stamps in seconds since the first one."""
        chosen = [self.channels[number] for number in numbers]
        paths, n_samples = tuple(each.path for each in chosen), min(map(len, chosen))
        if self.runs is None:
            return ByNptdms(self.path, paths, n_samples)
        return Stored(self.path, paths, tuple(map(_scale, chosen)), self.runs, n_samples)


def _recording(
    stored: Content,
    channels: Sequence[Channel],
    chosen: Chosen,
    request: Request,
    capture: int | None,
    remarks: Sequence[str],
) -> RawRecording:
    """Return a recording; where its channels state no rate, the clock beside them gives it."""
    first, stated, said = chosen.channels[0], dict(chosen.stated), NO_CLOCK
    if "sample_rate_hz" not in stated:
        clocks = [each for each in channels if each.is_clock and each.n_samples == first.n_samples]
        beside = [each for each in clocks if _group(each) == _group(first)]
        measured = {each.number: (each, stored.samples([each.number])) for each in beside}
        with reading(stored.path, _KIND):
            said = reading_of(measured, request.values, stored.path)
        if said.rate_hz is not None:
            stated["sample_rate_hz"] = checked("sample_rate_hz", said.rate_hz, str(stored.path))
    return RawRecording(
        stored.samples([each.number for each in chosen.channels]),
        stated,
        capture=capture,
        remarks=(*remarks, *chosen.remarks, *said.remarks),
        rate_spread=said.spread,
    )


def _missing(content: Any) -> dict[str, int]:
    states = content.file_status.channel_statuses or {}
    return {path: int(each.expected_length) - int(each.read_length) for path, each in states.items()}


def _largest_chunk(segments: Sequence[Any]) -> int:
    return max((each.next_segment_pos - each.data_position) // max(each.num_chunks, 1) for each in segments)


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


def _channel(number: int, stored: Content) -> Channel:
    channel = stored.channels[number]
    increment, is_stamps = channel.properties.get("wf_increment"), np.dtype(channel.dtype).kind == "M"
    rate = float(f"{1 / increment:.9g}") if isinstance(increment, float) and 0 < increment < np.inf else None
    name = named(channel.name, "s" if is_stamps else channel.properties.get("unit_string"))
    path = f"{channel.group_name}/{channel.name}"
    why_not = _CLOCK if is_stamps and len(channel) else _why_not(number, stored, name)
    n_samples = len(channel) + stored.missing.get(channel.path, 0)
    return Channel(number, path, channel.name, unit_of(name.unit), n_samples, rate, why_not)


def _why_not(number: int, stored: Content, name: Name) -> str:
    channel = stored.channels[number]
    if np.dtype(channel.dtype).kind not in "iuf":
        return "it holds no real numbers"
    if not len(channel):
        return "it is empty"
    if str(channel.properties.get("wf_xunit_string", "")).strip().lower() in ("hz", "khz"):
        return "it is a spectrum"
    try:
        with reading(stored.path, _KIND):
            head = next(stored.samples([number]).pieces(_LOOKED_AT), np.empty((0, 1)))
    except RecordingError as error:
        return f"it cannot be read ({error.facts.get('reason', error.problem)})"
    return why_no_axis(name, head[:, 0])


def _group(channel: Channel) -> str:
    return channel.path.removesuffix(f"/{channel.name}")


def _recordings(channels: Sequence[Channel], values: Metadata, path: Path) -> list[Chosen]:
    """Return what is chosen of each group, or of all groups if the catalogue names channels."""
    groups: dict[str, list[Channel]] = {}
    for each in channels:
        groups.setdefault(_group(each), []).append(each)
    usable = [group for group in groups.values() if any(not each.why_not for each in group)]
    if "variable" in values or len(usable) < 2:
        return [choose_channels(channels, values, path)]
    return [choose_channels(group, values, path) for group in usable]


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
    if np.dtype(channel.dtype).kind == "M":
        return Seconds()
    scaling = channel._scaling

    def scaled(values: NDArray[Any]) -> NDArray[Any]:
        return values if scaling is None else np.asarray(scaling.scale(_Raw(values)))

    return scaled


class _Raw(NamedTuple):
    """Stored values in the form in which npTDMS scales them."""

    data: NDArray[Any]
    scaler_data: None = None
