"""`drsn-edge record`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import Duration, PathType, finite, json_option
from drsn_edge.cli.source import SourceChoice, source_options

if TYPE_CHECKING:
    from drsn_edge.recorder import RecordSummary


def _name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    from drsn_edge.errors import RecordingError
    from drsn_edge.recordings.log_note import check_name

    try:
        return value if value is None else check_name(value)
    except RecordingError as exc:
        raise click.BadParameter(str(exc), ctx, param) from exc


@click.command()
@source_options()
@click.option("--out", type=PathType, required=True, help="Folder for the logs; made if it is missing.")
@click.option("--name", help="Beginning of the files' names.  [default: the time, UTC]")
@click.option(
    "--label", callback=_name, metavar="NAME", help="Condition of the machine, kept in the files for `train`."
)
@click.option(
    "--group", callback=_name, metavar="NAME", help="Session or machine that the recording belongs to, kept too."
)
@click.option("--duration", type=Duration(), help="Stop after so long, such as 90s, 10min or 8h.")
@click.option(
    "--rotate-mb",
    type=click.FloatRange(min=0.001),
    callback=finite,
    default=256.0,
    show_default=True,
    help="Begin another file when one has so many megabytes.",
)
@json_option
def record(
    source: SourceChoice,
    out: Path,
    name: str | None,
    label: str | None,
    group: str | None,
    duration: float | None,
    rotate_mb: float,
    as_json: bool,
) -> None:
    """Keep every byte that a sensor sends, until Ctrl-C or the end of the stream.

    The logs (.drsnlog) say when each byte came. `train` and `evaluate` read them like other recordings, each stretch
    between two gaps on its own; with --label they need no catalogue. A file that exists is never overwritten; a kill
    costs a quarter of a second at most.

    \b
    Example:
      drsn-edge record --port /dev/ttyUSB0 --out recordings/ --label healthy --group pump3 --duration 60s
    """
    from drsn_edge.cli.stopping import stop_on_signal
    from drsn_edge.recorder import log_name, record_source
    from drsn_edge.recordings.log_note import note_of

    shown = sys.stderr.isatty() and not as_json
    about = {key: value for key, value in (("label", label), ("group", group)) if value is not None}
    with stop_on_signal(duration) as stopped:
        summary = record_source(
            lambda on_bytes: source.open(stopped, on_bytes),
            out,
            name or log_name(),
            rotate_bytes=round(rotate_mb * 1e6),
            about=note_of(about),
            progress=_show if shown else None,
        )
    if shown:
        click.echo("\r\x1b[K", err=True, nl=False)
    click.echo(json.dumps({**_as_values(summary), "label": label, "group": group}) if as_json else _as_text(summary))


def _show(text: str) -> None:
    click.echo(f"\r\x1b[K{text}", err=True, nl=False)


def _as_values(summary: RecordSummary) -> dict[str, Any]:
    return {
        "schema": 1,
        "type": "record",
        "files": [str(path) for path in summary.files],
        "bytes": summary.bytes_logged,
        "sample_rate_hz": None if summary.rate is None else summary.rate.hz,
        "sample_rate_uncertainty_hz": None if summary.rate is None else summary.rate.uncertainty_hz,
        "changes_of_rate": summary.changes_of_rate,
        "link": asdict(summary.counters),
    }


def _as_text(summary: RecordSummary) -> str:
    counters = summary.counters
    rate = "not known yet" if summary.rate is None else f"{summary.rate.hz:.2f} ± {summary.rate.uncertainty_hz:.2f} Hz"
    lost = f"{counters.samples_lost} lost" if counters.losses_counted else "losses cannot be counted"
    lines = [
        f"samples   {counters.samples_received} received, {lost}; true rate {rate}",
        f"link      {counters.crc_errors} damaged frames, {counters.overruns} overruns, {counters.restarts} restarts",
    ]
    if summary.changes_of_rate:
        lines.append(f"rate      changed {summary.changes_of_rate} times without notice")
    return "\n".join([*lines, *(f"wrote {path}" for path in summary.files)])
