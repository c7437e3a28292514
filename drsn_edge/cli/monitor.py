"""`drsn-edge monitor`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drsn_edge.cli.options import PathType, finite
from drsn_edge.cli.source import SourceChoice, source_options
from drsn_edge.runtime.interpreters import RUNTIMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from drsn_edge.monitor.decision import Votes
    from firmware_bridge.events import SourceEvent


@click.command()
@source_options
@click.option("--model", type=PathType, required=True, help="Bundle to judge with, e.g. cwru.drsn.")
@click.option("--duration", type=click.FloatRange(min=0), callback=finite, help="Stop after this many seconds.")
@click.option(
    "--votes", default="4/5", show_default=True, metavar="K/N", help="Windows that must agree for a decision."
)
@click.option(
    "--runtime",
    type=click.Choice(RUNTIMES),
    default="auto",
    show_default=True,
    help="Interpreter; a named one never falls back.",
)
@click.option(
    "--rpm",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    help="Speed of the shaft, turns per minute; a model that sees shaft orders needs it.",
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of the interpreter.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def monitor(
    source: SourceChoice,
    model: Path,
    duration: float | None,
    votes: str,
    runtime: str,
    rpm: float | None,
    threads: int,
    as_json: bool,
) -> None:
    """Read a sensor and say what it shows, until Ctrl-C or the end of the stream.

    Prints each change of the decision and a summary; with --json every window as well. A port that is lost is waited
    for.

    \b
    Example:
      drsn-edge monitor --port /dev/ttyUSB0 --model machine.drsn
    """
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.cli.stopping import stop_on_signal
    from drsn_edge.monitor.pipeline import Monitor
    from drsn_edge.monitor.sinks.console import ConsoleSink
    from drsn_edge.monitor.sinks.json_lines import JsonLinesSink
    from drsn_edge.runtime.classifier import Classifier

    bundle = read_bundle(model)
    agreed = _parse_votes(votes)
    classifier = Classifier(bundle.model, runtime, threads)
    watch = Monitor(bundle.manifest, classifier, agreed, speed_hz=None if rpm is None else rpm / 60)
    status = sys.stderr if sys.stderr.isatty() and not as_json else None
    sink = JsonLinesSink(sys.stdout) if as_json else ConsoleSink(sys.stdout, status)
    with stop_on_signal(duration) as stopped:
        events = source.open(stopped)
        for result in watch.run(_said_aloud(events), lambda: events.counters):
            sink.take(result)


def _said_aloud(events: Iterable[SourceEvent]) -> Iterator[SourceEvent]:
    """Pass events on, and show what the device has to say to people."""
    from firmware_bridge.events import DeviceLog

    for event in events:
        if isinstance(event, DeviceLog):
            click.echo(f"the sensor says: {event.text}", err=True)
        yield event


def _parse_votes(text: str) -> Votes:
    from drsn_edge.monitor.decision import Votes

    needed, _, of = text.partition("/")
    try:
        return Votes(int(needed), int(of))
    except ValueError as exc:
        raise click.BadParameter(f"Expected K/N such as 4/5, got {text!r}: {exc}", param_hint="--votes") from exc
