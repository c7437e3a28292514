"""Raw logs (.drsnlog) as `drsn-edge record` writes them: each stretch without a missing sample is a recording.

Gaps, overruns, restarts and lost links end a stretch, so that no window spans samples that were never measured. Values
are counts times the scale that the device states, with the signs of its mounting. The sampling rate is the measured one
if the log is long enough to measure it, else the nominal one. Label and group come from the notes in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.log_note import values_of
from drsn_edge.recordings.metadata import MetadataValue
from drsn_edge.recordings.raw import RawRecording, Request, Whole, file_bytes
from drsn_edge.signal.units import canonical
from drsn_edge.support.wording import counted
from firmware_bridge.errors import FirmwareBridgeError
from firmware_bridge.sources.replay import ReplaySource
from firmware_bridge.wire.clock import HostRate
from firmware_bridge.wire.events import DeviceRestarted, LinkLost, Note, SampleBlock
from firmware_bridge.wire.messages import Counts, Hello

SHORTEST_S = 1.0
"""Shortest stretch that is read, in seconds: a shorter one holds no window."""


@dataclass
class _Stretch:
    hello: Hello
    about: Mapping[str, str]
    blocks: list[Counts] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        return sum(map(len, self.blocks)) / self.hello.sample_rate_hz


def read_raw_log(path: Path, request: Request) -> list[RawRecording]:
    """Read the stretches of a raw log; several stretches become captures of the file, in their order.

    Raises:
        RecordingError: If the file is not a raw log, holds no samples, or no stretch of at least `SHORTEST_S`.
    """
    data = file_bytes(path)
    try:
        stretches, rates = _stretches(data, path)
    except FirmwareBridgeError as exc:
        raise RecordingError(f"{path}: {exc}", "damaged", path=path, reason=str(exc)) from exc
    if not stretches:
        words = f"{path} holds no samples, because the sensor sent none while it was recorded. Delete the file."
        raise RecordingError(words, "no_samples", path=path)
    long = [stretch for stretch in stretches if stretch.duration_s >= SHORTEST_S]
    if not long:
        raise RecordingError(
            f"{path} has no stretch of {SHORTEST_S:g} s without a missing sample "
            f"({counted(len(stretches), 'shorter stretch', 'shorter stretches')}). Record longer, or find out "
            "why samples are lost.",
            "stretches_too_short",
            path=path,
            shortest_s=SHORTEST_S,
            stretches=len(stretches),
        )
    alone = len(long) == 1
    return [_recording(stretch, rates, None if alone else number) for number, stretch in enumerate(long)]


def _stretches(data: bytes, path: Path) -> tuple[list[_Stretch], dict[int, float]]:
    """Return the stretches, and the measured sampling rate of each session whose rate could be measured."""
    source = ReplaySource([path], read=lambda _: data)
    found: list[_Stretch] = []
    clocks: dict[int, HostRate] = {}
    hello: Hello | None = None
    about: Mapping[str, str] = {}
    broken = True
    for timed in source.timed():
        event = timed.event
        if isinstance(event, Hello):
            hello, broken = event, True
            clocks[hello.session] = HostRate()
        elif isinstance(event, LinkLost | DeviceRestarted):
            broken = True
        elif isinstance(event, Note):
            said = values_of(event.text)
            if said is not None and said != about:
                about, broken = said, True
        elif isinstance(event, SampleBlock) and hello is not None:
            if broken or not event.continues:
                found.append(_Stretch(hello, about))
            broken = False
            found[-1].blocks.append(event.samples)
            clocks[hello.session].add(event.first_sample, event.device_time_s, timed.time_ns / 1e9)
    nominal = {stretch.hello.session: stretch.hello.sample_rate_hz for stretch in found}
    best = {session: clocks[session].best(nominal_hz) for session, nominal_hz in nominal.items()}
    return found, {session: rate.hz for session, rate in best.items() if rate is not None}


def _recording(stretch: _Stretch, rates: dict[int, float], capture: int | None) -> RawRecording:
    hello = stretch.hello
    stated: dict[str, MetadataValue] = {
        "sample_rate_hz": rates.get(hello.session, hello.sample_rate_hz),
        "axes": hello.axes,
        "unit": canonical(hello.unit),
        **stretch.about,
    }
    counts = np.concatenate(stretch.blocks).astype(np.float64)
    return RawRecording(Whole((counts * hello.scales).astype(np.float32)), stated, capture=capture)
