"""`drsn-edge monitor`."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import PathType, finite
from drsn_edge.cli.source import SourceChoice, source_options
from drsn_edge.runtime.interpreters import RUNTIMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from drsn_edge.bundle.bundle import Bundle
    from drsn_edge.monitor.settings import MonitorSettings
    from drsn_edge.monitor.sinks import Sink
    from drsn_edge.novelty import Novelty
    from drsn_edge.recorder import LogKeeper
    from drsn_edge.service import Notifier
    from firmware_bridge.events import SourceEvent
    from firmware_bridge.sources.serial_port import SerialSource
    from firmware_bridge.sources.text import TextSource
    from firmware_bridge.stream import StreamCounters


@click.command()
@source_options
@click.option("--model", type=PathType, required=True, help="Bundle to judge with, e.g. cwru.drsn.")
@click.option("--duration", type=click.FloatRange(min=0), callback=finite, help="Stop after this many seconds.")
@click.option("--settings", type=PathType, metavar="TOML", help="Decision, alarms and what is kept of them.")
@click.option("--votes", metavar="K/N", help="Windows that must agree for a decision.  [default: 4/5]")
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
@click.option("--no-unknown", is_flag=True, help="Name the nearest class even of what is unlike anything trained.")
@click.option("--severity", is_flag=True, help="Say how much the machine vibrates, too: velocity, acceleration.")
@click.option(
    "--limits", type=PathType, metavar="TOML", help="Zones of velocity RMS, which the user must know; with --severity."
)
@click.option(
    "--record", "record_to", type=PathType, metavar="FOLDER", help="Keep every byte that comes in raw logs there, too."
)
@click.option("--history", type=PathType, metavar="FILE", help="Keep decisions and minutes in this SQLite file, too.")
@click.option("--machine", help="What the sensor watches, for --history and others.  [default: the port's name]")
@click.option(
    "--keep-days",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    default=365.0,
    show_default=True,
    help="Of --history: remove what is older.",
)
@click.option(
    "--mqtt",
    metavar="URL",
    help="Publish decisions at mqtt://[USER@]HOST[:PORT][/PREFIX], or mqtts:// for TLS; the password is taken from "
    "DRSN_EDGE_MQTT_PASSWORD. They wait while the broker is away.",
)
@click.option("--mqtt-ca", type=PathType, metavar="FILE", help="Certificates to check the broker by.")
@click.option(
    "--mqtt-topics",
    type=click.Choice(("plain", "homeassistant")),
    default="plain",
    show_default=True,
    help="Say to Home Assistant what there is, too.",
)
@click.option("--metrics", metavar="[HOST:]PORT", help="Serve /metrics to Prometheus there; HOST is 127.0.0.1.")
@click.option(
    "--replay",
    type=PathType,
    multiple=True,
    metavar="LOG",
    help="Judge what `record` wrote instead of a port: a .drsnlog file or a folder of them; repeatable.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    callback=finite,
    default=0.0,
    show_default=True,
    help="Of --replay: times the pace of that day; 0: at once.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def monitor(
    source: SourceChoice,
    model: Path,
    duration: float | None,
    settings: Path | None,
    votes: str | None,
    runtime: str,
    rpm: float | None,
    threads: int,
    no_unknown: bool,
    severity: bool,
    limits: Path | None,
    record_to: Path | None,
    replay: tuple[Path, ...],
    speed: float,
    machine: str | None,
    as_json: bool,
    **sink_options: Any,
) -> None:
    """Read a sensor and say what it shows, until Ctrl-C or the end of the stream.

    Prints each change of the decision and a summary; with --json every window as well. A port that is lost is waited
    for. --replay says of a raw log what was said, or would have been, on that day.

    \b
    Example:
      drsn-edge monitor --port /dev/ttyUSB0 --model machine.drsn
    """
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.cli.stopping import noticing, stop_on_signal
    from drsn_edge.monitor.capture import Capture
    from drsn_edge.monitor.pipeline import Monitor
    from drsn_edge.monitor.severity import SeverityMeter
    from drsn_edge.recorder import ROTATE_BYTES, LogKeeper, log_files, log_name
    from drsn_edge.runtime.classifier import Classifier
    from drsn_edge.service import Notifier
    from drsn_edge.severity import read_limits
    from firmware_bridge.sources.replay import ReplaySource

    if source.is_chosen if replay else source.port is None:
        raise click.UsageError("Expected either --port or --replay.")
    if replay and record_to:
        raise click.UsageError("Expected --record with --port: what is replayed is recorded already.")

    bundle = read_bundle(model)
    chosen = settings_of(settings, votes, bundle)
    zones = None if limits is None else read_limits(limits)
    classifier = Classifier(bundle.model, runtime, threads)
    with ExitStack() as stack:
        stopped = stack.enter_context(stop_on_signal(duration))
        acknowledged = stack.enter_context(noticing(signal.SIGUSR1))
        log = None if record_to is None else LogKeeper(record_to, log_name(), ROTATE_BYTES, _say)
        if log is not None:
            stack.callback(log.close)
        events: SerialSource | TextSource | ReplaySource
        if replay:
            events = ReplaySource(log_files(replay), speed=speed or None, stop=stopped)
        else:
            events = source.open(stopped, log.write if log else None)
        now = (lambda: events.time_s) if isinstance(events, ReplaySource) else time.monotonic
        speed_hz = None if rpm is None else rpm / 60
        novelty = None if no_unknown else known_by(model, bundle)
        meter = SeverityMeter(zones) if severity or zones else None
        name = machine or (replay[0].name if replay else Path(str(source.port)).name)
        now_s = (lambda: events.time_s) if isinstance(events, ReplaySource) else time.time
        capture = None
        if chosen.capture is not None:
            capture = Capture(chosen.capture, name, now_s, _say)
            stack.callback(capture.close)
        watch = Monitor(
            bundle.manifest, classifier, chosen.votes, now, speed_hz, novelty, severity=meter, alarms=chosen.alarms,
            capture=capture,
        )  # fmt: skip
        sinks = [_screen(as_json)]
        for each in _sinks(name, now_s, lambda: events.counters, **sink_options):
            stack.callback(each.close)  # of each as soon as it is there: the next may be refused
            sinks.append(each)
        notifier = Notifier(os.environ.get("NOTIFY_SOCKET"))
        stack.callback(notifier.stopping)
        for result in watch.run(_seen(events, log, notifier, acknowledged), lambda: events.counters):
            for each in sinks:
                each.take(result)


def known_by(model: Path, bundle: Bundle) -> Novelty | None:
    """Return the bundle's, with what was learned on site; a baseline that cannot be used is said and left alone."""
    from dataclasses import replace

    from drsn_edge.baseline import load
    from drsn_edge.errors import BaselineError
    from drsn_edge.novelty import novelty_of

    novelty = novelty_of(bundle)
    if novelty is None:
        return None
    try:
        baseline = load(model, bundle, novelty.whitening.shape[0])
    except BaselineError as exc:
        _say(exc)
        return novelty
    return novelty if baseline is None else replace(novelty, site=baseline.site)


def _screen(as_json: bool) -> Sink:
    from drsn_edge.monitor.sinks.console import ConsoleSink
    from drsn_edge.monitor.sinks.json_lines import JsonLinesSink

    if as_json:
        return JsonLinesSink(sys.stdout)
    return ConsoleSink(sys.stdout, sys.stderr if sys.stderr.isatty() else None)


def _sinks(
    name: str,
    now_s: Callable[[], float],
    counters: Callable[[], StreamCounters],
    *,
    history: Path | None,
    keep_days: float,
    mqtt: str | None,
    mqtt_ca: Path | None,
    mqtt_topics: str,
    metrics: str | None,
) -> Iterator[Sink]:
    """Yield what was asked for; what is not there is not imported."""
    from drsn_edge.monitor.sinks import Guarded

    if history is not None:
        from drsn_edge.monitor.sinks.history import HistorySink

        yield Guarded(HistorySink(history, name, keep_days=keep_days, now_s=now_s), _say)
    if mqtt is not None:
        from drsn_edge.monitor.sinks.mqtt import MqttSink, parse_url

        broker = parse_url(mqtt)
        yield Guarded(MqttSink(broker, name, topics=mqtt_topics, ca=mqtt_ca, now_s=now_s, tell=_say), _say)
    if metrics is not None:
        from drsn_edge.monitor.sinks.metrics import MetricsSink

        yield MetricsSink(*_address(metrics), name, counters, now_s)


def _say(problem: object) -> None:
    click.echo(f"Warning: {problem}", err=True)


def _seen(
    events: Iterable[SourceEvent], log: LogKeeper | None, notifier: Notifier, acknowledged: Callable[[], bool]
) -> Iterator[SourceEvent]:
    """Pass events on, tell the log and systemd of them, and show what the device has to say to people."""
    from drsn_edge.monitor.pipeline import ACKNOWLEDGE
    from firmware_bridge.events import DeviceLog, Note

    ready = False
    for event in events:
        if not ready:
            ready = True
            notifier.ready()
        notifier.alive()
        passed = [event, Note(ACKNOWLEDGE)] if acknowledged() else [event]
        for each in passed:
            if log is not None:
                log.take(each)
            yield each
        if isinstance(event, DeviceLog):
            click.echo(f"the sensor says: {event.text}", err=True)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65_536):
        raise click.BadParameter(f"Expected [HOST:]PORT, got {text!r}.", param_hint="--metrics")
    return host.strip("[]") or "127.0.0.1", int(port)


def settings_of(path: Path | None, votes: str | None, bundle: Bundle) -> MonitorSettings:
    """Return the settings of a file, or the usual ones; --votes goes before.

    Raises:
        BadParameter: If the votes are none.
        SettingsError: If the file cannot be used.
    """
    from dataclasses import replace

    from drsn_edge.monitor.settings import MonitorSettings, parse_votes, read_settings

    settings = MonitorSettings() if path is None else read_settings(path, bundle.manifest.labels)
    if votes is None:
        return settings
    try:
        return replace(settings, votes=parse_votes(votes))
    except ValueError as exc:
        raise click.BadParameter(f"Expected K/N such as 4/5, got {votes!r}: {exc}", param_hint="--votes") from exc
