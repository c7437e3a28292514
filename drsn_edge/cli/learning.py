"""Learning the bundle of a healthy machine: the part of `drsn-edge learn` with --out or --install."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from drsn_edge import __version__
from drsn_edge.cli.output import note, print_json, print_text, say
from drsn_edge.cli.source import SourceOptions
from drsn_edge.signal.likeness import LABELS
from drsn_edge.support.json_text import json_text
from drsn_edge.support.notice import Notice
from drsn_edge.support.shares import in_percent
from drsn_edge.support.wording import counted, plain

if TYPE_CHECKING:
    from drsn_edge.bundle.bundle import Bundle
    from drsn_edge.bundle.healthy import HealthyOptions
    from drsn_edge.gateway.watching import Left
    from drsn_edge.monitor.healthy_machine import HealthyMachine, Taught
    from firmware_bridge.sources.event_source import EventSource

MEMBER = "learned.json"
"""Member of a bundle that says how it was learned: the values of `learn --json`."""

T = TypeVar("T")

_ENDED = {
    "enough": "enough was seen",
    "duration": "--duration is over, before enough was seen",
    "logs": "the logs are over",
    "stopped": "the stream ended or was stopped, before enough was seen",
}
"""Why learning ended, in JSON and in words."""

_FROM_THE_START = Notice(
    "A fault that was present while the machine was learned cannot be known: it counts as healthy from now on."
)


@dataclass(frozen=True)
class Listening:
    """The source to learn from: a port for `duration_s`, or raw logs to their ends; `rpm` is the shaft's speed."""

    source: SourceOptions
    replay: tuple[Path, ...]
    duration_s: float
    rpm: float | None

    def check(self) -> None:
        """Refuse no source, and two of them."""
        if self.source.is_chosen if self.replay else self.source.port is None:
            raise click.UsageError("Learning needs one source. Type --port PORT or --replay LOG.")

    def open(self, stopped: Callable[[], bool]) -> EventSource:
        """Return the source. A port is read in a thread of its own, so that no sample is lost while it is learned."""
        from drsn_edge.recordings.recorder import log_files
        from firmware_bridge.sources.replay import ReplaySource
        from firmware_bridge.sources.threaded import Threaded

        if self.replay:
            return ReplaySource(log_files(self.replay), stop=stopped)
        return Threaded(self.source.open, stopped)

    def expecting_samples(self, results: Iterator[T], source: EventSource) -> Iterator[T]:
        """Yield the results of a source, and at their end refuse a source from which no sample came."""
        yield from results
        self.expect_samples(source)

    def expect_samples(self, source: EventSource) -> None:
        """Refuse a source from which no sample came.

        Raises:
            LearningError: If none came.
        """
        from drsn_edge.errors import LearningError

        if not source.counters.samples_received:
            where = self.source.port or ", ".join(map(str, self.replay))
            words = f"No sample came from {where}. Check power, wiring and port, or type a longer --duration."
            raise LearningError(words, "no_sample", port=where)


@dataclass(frozen=True)
class Wanted:
    """The bundle of a healthy machine that is wanted; each attribute has the meaning of the option of that name."""

    out: Path | None
    install: bool
    service: str | None
    name: str | None
    model_version: str
    false_unknown: float
    force: bool
    label: str
    limits: Path | None

    @property
    def paths(self) -> list[Path]:
        """The files to write."""
        from drsn_edge.gateway.own_bundle import own_bundle

        return [*([] if self.out is None else [self.out]), *([own_bundle()] if self.install else [])]

    @property
    def options(self) -> HealthyOptions:
        """Options of the bundle, whose name follows from that of its file."""
        from drsn_edge.bundle.healthy import HealthyOptions

        stem = "" if self.out is None else self.out.stem
        named = re.sub("[^A-Za-z0-9._-]+", "-", stem).strip("._-")[:64]
        return HealthyOptions(self.name or named or "learned", self.model_version, self.label)

    def machine(self, rpm: float | None) -> HealthyMachine:
        """Return the machine to learn, with the zones and the bearing of the limits file.

        Args:
            rpm: Speed of the shaft in revolutions per minute; None: unknown.

        Raises:
            SettingsError: If the limits file cannot be read, has a bearing whose shaft speed is unknown, or has none
                although the speed is known.
        """
        from drsn_edge.errors import SettingsError
        from drsn_edge.monitor.healthy_machine import HealthyMachine, Turning
        from drsn_edge.monitor.stages.severity_limits import SeverityConfig, expect_speed, read_limits

        found = SeverityConfig() if self.limits is None else read_limits(self.limits)
        expect_speed(found, self.limits, rpm)
        if rpm is not None and found.bearing is None:
            words = "--rpm changes nothing in a bundle without a bearing. Name a file with [bearing] by --limits, or"
            raise SettingsError(f"{words} leave --rpm out.", "no_bearing", rpm=rpm)
        turning = None if found.bearing is None or rpm is None else Turning(found.bearing.geometry, rpm / 60)
        return HealthyMachine(self.options, self.false_unknown, limits=found.limits, turning=turning)

    def check(self) -> None:
        """Refuse files that could not be written after an hour of learning.

        Raises:
            OutputError: If a file cannot be written, or exists and shall not be replaced.
        """
        from drsn_edge.errors import OutputError
        from drsn_edge.gateway.own_bundle import make_room_for
        from drsn_edge.support.files import check_new_file

        for path in self.paths:
            if path != self.out:
                make_room_for(path)
            check_new_file(path)
            if path.exists() and not self.force:
                raise OutputError(f"{path} already exists. Replace it with --force.", "exists", path=path)


class Heard(NamedTuple):
    """What a machine has taught, and why learning ended: a key of `_ENDED`."""

    taught: Taught
    ended: str


def learn_bundle(wanted: Wanted, to: Listening, as_json: bool) -> None:
    """Learn a healthy machine, write its bundle, and print what was learned."""
    from drsn_edge.bundle.bundle import with_extra, write_bundle
    from drsn_edge.bundle.healthy import healthy_bundle
    from drsn_edge.gateway.systemd_host import Host
    from drsn_edge.gateway.watching import Watching

    to.check()
    watching = None if wanted.service is None else Watching(wanted.service, to.source.arguments, Host())
    if watching is not None:
        watching.check()
    wanted.check()
    heard = _hear(wanted.machine(to.rpm), to)
    taught = heard.taught
    options = replace(wanted.options, unknown_share=taught.unknown_share)
    bundle = healthy_bundle(taught.novelty, taught.contract, options, taught.examples, taught.naming)
    values = _as_values(heard)
    bundle = with_extra(bundle, MEMBER, json_text(values).encode())
    for path in wanted.paths:
        write_bundle(bundle, path)
    left = None if watching is None else watching.leave(__version__)
    if as_json:
        service = {} if left is None else {"service": {**vars(left), "path": str(left.path)}}
        print_json("learn", {**values, **of_bundle(bundle, wanted.paths), **service})
    else:
        print_text(_as_text(heard, wanted.paths, left))
    say(_FROM_THE_START)


def _hear(machine: HealthyMachine, to: Listening) -> Heard:
    """Listen until enough was seen, or the source is over."""
    from drsn_edge.cli.stopping import stop_on_signal

    began_s = time.monotonic()
    with stop_on_signal(None if to.replay else to.duration_s) as asked, counted_windows() as show:
        source = to.open(lambda: asked() or (machine.is_enough and not to.replay))
        for event in source:
            machine.take(event)
            show(machine.windows)
    to.expect_samples(source)
    if to.replay:
        return Heard(machine.taught(), "logs")
    over = time.monotonic() - began_s >= to.duration_s
    return Heard(machine.taught(), "enough" if machine.is_enough else "duration" if over else "stopped")


@contextmanager
def counted_windows() -> Iterator[Callable[[int], None]]:
    """Yield a function that shows the number of windows on one line of a terminal."""
    if not sys.stderr.isatty():
        yield lambda windows: None
        return
    shown = -1

    def show(windows: int) -> None:
        nonlocal shown
        if windows != shown:
            shown = windows
            note(f"\r\x1b[K{windows} windows", end="")

    try:
        yield show
    finally:
        note("\r\x1b[K", end="")


def of_bundle(bundle: Bundle, paths: Sequence[Path]) -> dict[str, Any]:
    """Return the values of a bundle, written to these files, as JSON."""
    manifest = bundle.manifest
    return {
        "bundles": [str(path) for path in paths],
        "name": manifest.name,
        "version": manifest.version,
        "label": manifest.labels[0],
    }


def _as_values(heard: Heard) -> dict[str, Any]:
    taught = heard.taught
    return {
        "windows": taught.windows,
        "made_s": time.time(),
        "quietest_rms": taught.novelty.quietest_rms,
        "heard_s": taught.heard_s,
        "left_out": taught.left_out,
        "unknown_share": taught.unknown_share,
        "operating_points": [vars(point) for point in taught.points],
        "ended": heard.ended,
        "not_seen": list(taught.not_seen),
        "zones": dict(taught.zones),
        "names_changes": taught.naming is not None,
    }


def _as_text(heard: Heard, paths: list[Path], left: Left | None) -> str:
    taught, unit = heard.taught, heard.taught.contract.unit
    left_out = ", ".join(f"{reason} {count}" for reason, count in taught.left_out.items() if count)
    points = ", ".join(f"{in_percent(each.share)} at {plain(each.level_rms)} {unit}" for each in taught.points)
    zones = ", ".join(f"{zone} {in_percent(share)}" for zone, share in taught.zones.items())
    lines = [
        f"learned   {counted(taught.windows, 'window')} in {in_time(taught.heard_s)}; "
        f"{in_percent(taught.unknown_share)} of them are beyond the limit",
        f"left out  {left_out or 'nothing'}",
        f"points    {counted(len(taught.points), 'operating point')}: {points}",
        f"ended     {_ENDED[heard.ended]}",
        f"not seen  {', '.join(taught.not_seen) or 'nothing that is known to be missing'}",
        *([f"zones     {zones} of the time"] if zones else []),
        *([f"names     {', '.join(LABELS)}; `monitor` needs --rpm for them"] if taught.naming is not None else []),
        *(f"wrote     {path}" for path in paths),
    ]
    if left is not None:
        lines.append(f"watching  {left.unit}{', started' if left.started else ', from the next boot on'}")
    return "\n".join(lines)


def in_time(seconds: float) -> str:
    """Return a time in words: 42 s, 12 min, 3.5 h."""
    for unit_s, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit_s:
            return f"{plain(seconds / unit_s)} {unit}"
    return f"{plain(seconds)} s"
