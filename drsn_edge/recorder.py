"""Record what a source sends: `drsn-edge record` without its command line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from drsn_edge.errors import OutputError
from firmware_bridge.clock import Rate, RateAlarm, TrueRate
from firmware_bridge.events import DeviceRestarted, SampleBlock, SourceEvent
from firmware_bridge.messages import Hello
from firmware_bridge.raw_log import SUFFIX, RawLogWriter
from firmware_bridge.stream import StreamCounters

_PROGRESS_EVERY_S = 0.5


class Source(Iterable[SourceEvent], Protocol):
    """What is recorded: events, and the account of them."""

    @property
    def counters(self) -> StreamCounters:
        """The account so far."""
        ...


@dataclass(frozen=True)
class RecordSummary:
    """What was recorded.

    Attributes:
        files: In order.
        bytes_logged: From the device.
        counters: The link's account.
        rate: Samples per second, by the host's clock if the recording is long enough, by the device's else, or None.
        changes_of_rate: How often the sensor changed its rate without saying so.
    """

    files: tuple[Path, ...]
    bytes_logged: int
    counters: StreamCounters
    rate: Rate | None
    changes_of_rate: int


def record_source(
    open_source: Callable[[Callable[[bytes], None]], Source],
    folder: Path,
    name: str,
    *,
    rotate_bytes: int | None = None,
    progress: Callable[[str], None] | None = None,
    now_s: Callable[[], float] = time.monotonic,
) -> RecordSummary:
    """Write all that a source reads to raw logs in a folder, until it ends.

    Args:
        open_source: Given where its bytes are to go, returns the source.
        folder: Made if it is missing.
        name: Beginning of the files' names.
        rotate_bytes: Begin another file when one has so many bytes.
        progress: Shown now and then how it goes.
        now_s: A steady clock, seconds.

    Raises:
        OutputError: If the folder cannot be made, or the name is none for a file.
        FirmwareBridgeError: If the source cannot be opened, or a file cannot be written.
    """
    log = RawLogWriter(_paths(folder, name), rotate_bytes=rotate_bytes)
    source = open_source(log.write)
    clock, alarm = TrueRate(), RateAlarm()
    hello: Hello | None = None
    changes, due_s = 0, now_s()
    try:
        for event in source:
            if isinstance(event, Hello | DeviceRestarted):
                clock.reset()
                alarm.reset()
            if isinstance(event, Hello):
                hello = event
                log.stand_at(hello)
            if isinstance(event, SampleBlock) and hello is not None:
                end = event.first_sample + len(event.samples)
                log.stand_at(_standing(hello, end, event.device_time_s))
                clock.add(event.first_sample, event.device_time_s, now_s())
                changes += alarm.add(event.first_sample, event.device_time_s) is not None
            if progress is not None and now_s() >= due_s:
                due_s = now_s() + _PROGRESS_EVERY_S
                progress(_line(source.counters, _best(clock, hello)))
    finally:
        log.close()
    written = log.summary
    return RecordSummary(written.files, written.bytes_logged, source.counters, _best(clock, hello), changes)


def _best(clock: TrueRate, hello: Hello | None) -> Rate | None:
    return None if hello is None else clock.best(hello.sample_rate_hz)


def _standing(hello: Hello, samples_produced: int, device_time_s: float) -> Hello:
    return replace(hello, samples_produced=samples_produced, device_time_us=round(1e6 * device_time_s))


def _paths(folder: Path, name: str) -> Callable[[int], Path]:
    if not name or Path(name).name != name or name.startswith("."):
        raise OutputError(f"Expected a plain name for files, got {name!r}. Choose another --name.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(f"Could not make the folder {folder}: {exc.strerror}. Choose another --out.") from exc
    if taken := sorted(folder.glob(f"{name}-[0-9]*{SUFFIX}")):
        raise OutputError(f"Expected no recording of the name {name} in {folder}, got {taken[0].name}. Choose another.")
    return lambda number: folder / f"{name}-{number:03}{SUFFIX}"


def _line(counters: StreamCounters, rate: Rate | None) -> str:
    known = "" if rate is None else f", {rate.hz:.2f} Hz"
    return f"{counters.samples_received} samples, {counters.samples_lost} lost{known}"
