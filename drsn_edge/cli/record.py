"""`drsn-edge record`."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import Duration, PathType, finite, json_option
from drsn_edge.cli.output import note, print_json, print_text, say
from drsn_edge.cli.sections import SectionedCommand, section
from drsn_edge.cli.source import SourceOptions, source_options

if TYPE_CHECKING:
    from drsn_edge.recordings.recorder import LogKeeper, RecordSummary
    from firmware_bridge.sources.event_source import SensorSource


def _name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    from drsn_edge.errors import RecordingError
    from drsn_edge.recordings.log_note import check_name

    try:
        return value if value is None else check_name(value)
    except RecordingError as exc:
        raise click.BadParameter(str(exc), ctx, param) from exc


@click.command(cls=SectionedCommand)
@section("Source", source_options())
@section(
    "Recording",
    click.option(
        "--out",
        type=PathType,
        required=True,
        metavar="FOLDER",
        help="Folder for the raw logs, created if it is missing.",
    ),
    click.option("--name", metavar="NAME", help="Prefix of the file names.  [default: the time in UTC]"),
    click.option(
        "--label", callback=_name, metavar="LABEL", help="Class of the machine, stored in the logs for `train`."
    ),
    click.option(
        "--group",
        callback=_name,
        metavar="GROUP",
        help="Machine or session, stored in the logs so that `train` can hold out whole groups.",
    ),
    click.option(
        "--duration",
        type=Duration(),
        help="Stop after this time, in seconds or with a unit: 90s, 10min, 8h. With --text-unit, time counts from the "
        "first line.  [default: until Ctrl-C or the end of the stream]",
    ),
    click.option(
        "--rotate-mb",
        type=click.FloatRange(min=0.001),
        callback=finite,
        default=256.0,
        show_default=True,
        metavar="MB",
        help="Size at which a new file begins, in megabytes.",
    ),
    json_option,
)
def record(
    source: SourceOptions,
    out: Path,
    name: str | None,
    label: str | None,
    group: str | None,
    duration: float | None,
    rotate_mb: float,
    as_json: bool,
) -> None:
    """Record every byte from a sensor into raw logs.

    Recording runs until Ctrl-C or the end of the stream. A raw log (.drsnlog) holds each byte with its time. `train`
    and `evaluate` read raw logs as recordings, split at gaps; with --label they need no catalogue. An existing file is
    never overwritten. A killed process loses at most the last 0.25 s.

    \b
    Example:
      drsn-edge record --port /dev/ttyUSB0 --out recordings/ --label healthy
    """
    from drsn_edge.recordings.log_note import note_of
    from drsn_edge.recordings.recorder import LogKeeper, log_name
    from drsn_edge.support.notice import Notice

    about = {key: value for key, value in (("label", label), ("group", group)) if value is not None}
    log = LogKeeper(out, name or log_name(), round(rotate_mb * 1e6), about=note_of(about))
    summary = _record(source, log, duration, shown=sys.stderr.isatty() and not as_json)
    if as_json:
        print_json("record", {**_as_values(summary), "label": label, "group": group})
    else:
        print_text(_as_text(summary))
    if label is None:
        say(
            Notice(
                "The recording has no label, which `train` needs. Type --label LABEL next time, or write a catalogue."
            )
        )


def _record(source: SourceOptions, log: LogKeeper, duration_s: float | None, *, shown: bool) -> RecordSummary:
    """Record until the end, and raise RecordingError if no sample came."""
    from drsn_edge.cli.stopping import stop_on_signal
    from drsn_edge.errors import RecordingError
    from drsn_edge.recordings.recorder import record_source

    is_text = source.text_unit is not None
    clock = _FromFirstSample(duration_s if is_text else None)
    opened: list[SensorSource] = []
    began_s = time.monotonic()
    with stop_on_signal(None if is_text else duration_s) as asked:

        def open_source(on_bytes: Callable[[bytes], None]) -> SensorSource:
            opened.append(source.open(lambda: asked() or clock.is_over(), on_bytes))
            return opened[0]

        summary = record_source(open_source, log, progress=_show if shown else None, on_hello=clock.begin, tell=say)
    if shown:
        note("\r\x1b[K", end="")
    if not summary.counters.samples_received:
        raise RecordingError(no_sample(opened[0], time.monotonic() - began_s), "no_sample", port=opened[0].port)
    return summary


@dataclass
class _FromFirstSample:
    """The end of a recording of text lines, counted from its first line.

    The source describes itself only after the seconds in which it measures the rate.
    """

    duration_s: float | None
    end_s: float = math.inf

    def begin(self) -> None:
        from firmware_bridge.wire.text_lines import MEASURE_S

        if self.duration_s is not None:
            self.end_s = min(self.end_s, time.monotonic() + self.duration_s - MEASURE_S)

    def is_over(self) -> bool:
        return time.monotonic() >= self.end_s


def no_sample(source: SensorSource, seconds: float) -> str:
    """Return a sentence about a source that sent no sample, with what to type next."""
    said = f"No sample came from {source.port} in {seconds:.2g} s."
    if source.hello is not None:
        return f"{said} The sensor did describe itself. Type a longer --duration."
    if source.counters.bytes_received == 0:
        return f"{said} No byte came either. Check power, wiring and --port, or type a longer --duration."
    return f"{said} {source.hint or 'Bytes came, but no frame. Check --baud, or type a longer --duration.'}"


def _show(text: str) -> None:
    note(f"\r\x1b[K{text}", end="")


def _as_values(summary: RecordSummary) -> dict[str, Any]:
    return {
        "files": [str(path) for path in summary.files],
        "bytes": summary.bytes_logged,
        "sample_rate_hz": None if summary.rate is None else summary.rate.hz,
        "sample_rate_uncertainty_hz": None if summary.rate is None else summary.rate.uncertainty_hz,
        "changes_of_rate": summary.changes_of_rate,
        "link": asdict(summary.counters),
    }


def _as_text(summary: RecordSummary) -> str:
    counters = summary.counters
    rate = "rate not measured yet"
    if summary.rate is not None:
        known = f"{summary.rate.hz:.2f} ± {summary.rate.uncertainty_hz:.2f} Hz"
        rate = f"rate by the {summary.rate.clock}'s clock {known}"
    lost = f"{counters.samples_lost} lost" if counters.losses_counted else "losses cannot be counted"
    lines = [
        f"samples   {counters.samples_received} received, {lost}; {rate}",
        f"link      {counters.crc_errors} damaged frames, {counters.overruns} overruns, {counters.restarts} restarts",
    ]
    if summary.changes_of_rate:
        lines.append(f"rate      changed {summary.changes_of_rate} times without notice from the sensor")
    return "\n".join([*lines, *(f"wrote {path}" for path in summary.files)])
