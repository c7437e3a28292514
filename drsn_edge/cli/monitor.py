"""`drsn-edge monitor`."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from drsn_edge.cli.options import Duration, PathType, finite, renamed, runtime_options
from drsn_edge.cli.options import votes as votes_of
from drsn_edge.cli.output import note
from drsn_edge.cli.source import SourceChoice, source_options
from drsn_edge.cli.typed import is_typed, typed_of_sensor
from drsn_edge.monitor.sinks.clock_watch import Once, steady_s
from drsn_edge.monitor.sinks.names import TOPICS

if TYPE_CHECKING:
    from drsn_edge.gateway.follower import Follower
    from drsn_edge.monitor.crew import Crew
    from drsn_edge.monitor.sensor_config import SensorConfig
    from drsn_edge.monitor.sinks import Sink
    from drsn_edge.monitor.sinks.metrics import MetricsServer
    from drsn_edge.monitor.station import Source, Station
    from drsn_edge.recordings.recorder import LogKeeper
    from drsn_edge.runtime.names import RuntimeChoice
    from firmware_bridge.wire.stream import StreamCounters

_ROUND_S = 0.25
_GATHER_S = 0.010
"""Fewer reads cost less: 26.7 kHz took 19 % of a core with 3 ms, 13 % with 8, 11 to 12 % with 12. Windows wait that
long at most."""
_HANGS_AFTER_S = 30.0
_ENDS_WITHIN_S = 10
"""After a signal; longer than outputs take that are closed."""
_STORE_PATIENCE_S = 150.0
"""Longer than any gate takes that runs meanwhile."""


@click.command()
@source_options(several=True)
@click.option(
    "--model",
    type=PathType,
    help="Bundle to judge with, e.g. cwru.drsn.  [default: the one that is active on this gateway]",
)
@click.option(
    "--sensors",
    type=PathType,
    metavar="TOML",
    help="File of several sensors, each with options of its own. Options beside it are for all: a sensor's own table "
    "goes before them, and they before the top of the file.",
)
@renamed("--fleet", "--sensors")
@click.option("--duration", type=Duration(), help="Stop after so long, such as 90s, 10min or 8h.")
@click.option("--settings", type=PathType, metavar="TOML", help="Decision, alarms and what is kept of them.")
@click.option(
    "--votes", metavar="K/N", callback=votes_of, help="Windows that must agree for a decision.  [default: 4/5]"
)
@runtime_options
@click.option(
    "--rpm",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    help="Speed of the shaft, turns per minute; a model that sees shaft orders needs it.",
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of the interpreter.")
@click.option(
    "--no-unknown", "unknown", is_flag=True, flag_value=False, default=True,
    help="Name the nearest class even of what is unlike anything trained.",
)  # fmt: skip
@click.option("--severity", is_flag=True, help="Say how much the machine vibrates, too: velocity, acceleration.")
@click.option(
    "--limits", type=PathType, metavar="TOML", help="Zones of velocity RMS, which the user must know, and --severity."
)
@click.option("--record", type=PathType, metavar="FOLDER", help="Keep every byte that comes in raw logs there, too.")
@click.option(
    "--lines", type=PathType, metavar="FILE", help="Append every result as a line of JSON there, too; files take turns."
)
@click.option("--history", type=PathType, metavar="FILE", help="Keep decisions and minutes in this SQLite file, too.")
@click.option("--machine", help="What the sensor watches, for --history and others.  [default: the port's name]")
@click.option(
    "--keep-days",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    default=365.0,
    show_default=True,
    help="Of --history: remove what is older, counted in days on which a monitor ran.",
)
@click.option(
    "--mqtt",
    metavar="URL",
    help="Publish decisions at mqtt://[USER@]HOST[:PORT][/PREFIX], or mqtts:// for TLS; the password is taken from "
    "DRSN_EDGE_MQTT_PASSWORD. They wait while the broker is away.",
)
@click.option(
    "--mqtt-ca",
    type=PathType,
    metavar="FILE",
    help="Certificates (PEM) to check the broker by.  [default: those of the system]",
)
@click.option("--mqtt-cert", type=PathType, metavar="FILE", help="Client certificate (PEM) to show to the broker.")
@click.option("--mqtt-key", type=PathType, metavar="FILE", help="Private key (PEM) of --mqtt-cert.")
@click.option("--mqtt-client-id", metavar="ID", help="Client id of MQTT.  [default: made of gateway and machine]")
@click.option(
    "--mqtt-gateway",
    metavar="NAME",
    help="Gateway in the topics PREFIX/GATEWAY/MACHINE/...  [default: the host name and four hex digits]",
)
@click.option(
    "--mqtt-topics",
    type=click.Choice(TOPICS),
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
@click.option(
    "--trial",
    "trial_s",
    type=Duration(),
    default="5min",
    show_default=True,
    help="Without --model: how long a bundle that was flashed must work before it is confirmed.",
)
@click.option("--plain", is_flag=True, help="Print lines even where a view could be shown.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def monitor(
    source: SourceChoice,
    sensors: Path | None,
    duration: float | None,
    replay: tuple[Path, ...],
    speed: float,
    metrics: str | None,
    trial_s: float,
    plain: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Read sensors and say what they show, until Ctrl-C or the end of the streams.

    Prints each change of the decision and a summary; with --json every window as well. On a terminal a view shows it
    all. A port that is lost is waited for. --replay says of a raw log what was said, or would have been, on that day.
    `drsn-edge ack`, the view's key `a` and SIGUSR1 acknowledge alarms; SIGHUP reads bundle and settings anew. Without
    --model it follows the gateway's active bundle through `drsn-edge flash`, and confirms one that works.

    \b
    Example:
      drsn-edge monitor --port /dev/ttyUSB0 --model machine.drsn
    """
    configs = _configs(source, sensors, replay, options)
    _check_mqtt(configs, sensors)
    _expect_a_trial(configs)
    _expect_no_pipes(configs)
    _run(_Plan(configs, replay, speed, duration, metrics, trial_s, plain, as_json))


class _Plan(NamedTuple):
    """All that the options say, as they are used."""

    configs: list[SensorConfig]
    replay: tuple[Path, ...]
    speed: float
    duration: float | None
    metrics: str | None
    trial_s: float
    plain: bool
    as_json: bool


def _run(plan: _Plan) -> None:
    """Watch as planned, and end soon after a signal, whatever an output waits for."""
    from drsn_edge.cli.stopping import HangsError, leave

    try:
        _watch(plan)
    except HangsError:
        leave(
            f"Error: An output (a stopped pipe or terminal?) did not end within {_ENDS_WITHIN_S} s of the signal. "
            "What waited for it is lost. Check what reads it."
        )
    except KeyboardInterrupt:
        leave("Aborted!")


def _watch(plan: _Plan) -> None:
    configs, replay, speed, duration, metrics, trial_s, plain, as_json = plan
    from drsn_edge.cli.stopping import on_signal, stop_on_signal
    from drsn_edge.errors import MonitorError
    from drsn_edge.monitor.crew import Crew
    from drsn_edge.monitor.station import Station
    from drsn_edge.monitor.systemd_notify import Notifier

    began_s = time.monotonic()
    with ExitStack() as stack:
        asked, over = stack.enter_context(stop_on_signal(duration, _ENDS_WITHIN_S)), threading.Event()

        def stopped() -> bool:
            return over.is_set() or asked()

        server = None if metrics is None else _metrics(metrics)
        if server is not None:
            stack.callback(server.close)
        viewed = not (plain or as_json) and sys.stdout.isatty() and _has_rich()
        following = [each.runtime_choice for each in configs if each.model is None]
        follower = _follower(trial_s, following) if following else None

        def open_source(config: SensorConfig, log: LogKeeper | None) -> Source:
            return _open(config, replay, speed, stopped, log)

        others = (server, *(way for each in configs for way in (each.lines, each.history, each.mqtt, each.record)))
        alone = not any(way is not None for way in others)
        printing = _Printing(as_json, viewed, len(configs) > 1, alone, server)
        stations = [_station(config, open_source, follower, printing) for config in configs]
        if follower is not None:
            follower.watch([each for each in stations if each.config.model is None])
        if not replay:
            _listen(stations, stack)
        stack.enter_context(on_signal(signal.SIGUSR1, lambda: _each(Station.acknowledge, stations)))
        stack.enter_context(on_signal(signal.SIGHUP, lambda: _each(Station.reload, stations)))
        notifier = Notifier(os.environ.get("NOTIFY_SOCKET"))
        stack.callback(notifier.stopping)
        crew = Crew(stations, stopped, over, say, once=bool(replay))
        _Crew(stations, crew, notifier, _view(stations) if viewed else None, follower).work(stopped)
        is_over = duration is not None and time.monotonic() - began_s >= duration  # 0: nothing was to come
        if duration and is_over and not replay and not any(each.heard for each in stations):
            raise MonitorError(_nothing_came(configs, duration))


def _nothing_came(configs: Sequence[SensorConfig], duration_s: float) -> str:
    ports = " and ".join(str(each.port) for each in configs)
    return (
        f"No sample came from {ports} in {duration_s:g} s. Check power, wiring and port, or type a longer --duration; "
        "a sketch that prints lines of numbers needs --text-unit and --text-range."
    )


def _listen(stations: Sequence[Station], stack: ExitStack) -> None:
    """Open the control socket until the stack ends; where there can be none, say so and go on."""
    from drsn_edge.errors import ControlError
    from drsn_edge.gateway.paths import state_folder
    from drsn_edge.monitor.control import ControlSocket, handlers_of

    try:
        control = ControlSocket(state_folder(), handlers_of(stations))
    except ControlError as exc:
        note(f"Note: {exc}")
        return
    stack.callback(control.close)


class _Printing(NamedTuple):
    """How results are shown: as JSON, in a view, of several sensors, by no other output; and what serves /metrics."""

    as_json: bool
    viewed: bool
    several: bool
    alone: bool
    server: MetricsServer | None


def _station(
    config: SensorConfig,
    open_source: Callable[[SensorConfig, LogKeeper | None], Source],
    follower: Follower | None,
    printing: _Printing,
) -> Station:
    """Return what watches a sensor."""
    from drsn_edge.monitor.station import Station
    from drsn_edge.support.notice import about

    def tell(text: str) -> None:
        say(about(config.machine, text) if printing.several else text)

    def open_sinks(*of: Any) -> Iterator[Sink]:
        return _sinks(config, printing, *of)

    def open_log(of: SensorConfig) -> LogKeeper | None:
        return _log_of(of, printing.several)

    if config.model is not None or follower is None:
        return Station(config, open_source, open_sinks, tell, open_log, printing.viewed)
    active, failed = (lambda: follower.path), follower.fail
    return Station(config, open_source, open_sinks, tell, open_log, printing.viewed, active, failed)


class _Crew:
    """Has a thread for each station, and sees to view and service manager meanwhile."""

    def __init__(
        self, stations: Sequence[Station], crew: Crew, notifier: Any, view: Any, follower: Follower | None = None
    ) -> None:
        self._stations, self._crew, self._notifier, self._view = stations, crew, notifier, view
        self._follower = follower

    def work(self, stopped: Callable[[], bool]) -> None:
        threads = [
            threading.Thread(target=self._crew.run, args=(each,), name=each.config.machine, daemon=True)
            for each in self._stations
        ]
        if self._follower is not None:
            threading.Thread(target=self._follower.run, args=(stopped,), name="bundles", daemon=True).start()
        ready = False
        with self._view or nullcontext():  # before the stations: what they print appears above it
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                threads[0].join(_ROUND_S) if threads[0].is_alive() else time.sleep(_ROUND_S)
                if not ready and any(each.begun.is_set() for each in self._stations):
                    ready = True
                    self._notifier.ready()
                running = [each for each, thread in zip(self._stations, threads, strict=True) if thread.is_alive()]
                if all(time.monotonic() - each.beat_s < _HANGS_AFTER_S for each in running):
                    self._notifier.alive()
                self._notifier.status(_status(self._stations))
                self._show()
        if self._follower is not None:
            self._follower.end_failed()
        if self._crew.failure is not None:
            raise self._crew.failure

    def _show(self) -> None:
        """Draw the view. A terminal that has gone ends the run; a view that cannot be drawn ends nothing but itself."""
        try:
            if self._view is not None:
                self._view.show()
        except OSError as exc:
            self._crew.end(exc)
        except Exception as exc:
            self._view = None
            say(f"The view cannot be drawn: {exc}. Changes of decisions are printed instead.")


def _status(stations: Sequence[Station]) -> str:
    """Return what a service says of itself: what keeps it from its work, or from writing of it."""
    problems = [
        f"{each.config.machine}: {why}"
        for each in stations
        for why in (each.shown.trouble, *each.failing.values())
        if why is not None
    ]
    return " ".join(problems) or f"Watches {', '.join(each.config.machine for each in stations)}."


def _each(act: Callable[[Station], None], stations: Sequence[Station]) -> None:
    for station in stations:
        act(station)


def say(text: object) -> None:
    """Tell a person on stderr (see `drsn_edge.support.notice`). A stderr that cannot be written ends nothing."""
    from drsn_edge.support.notice import as_line

    with suppress(OSError, ValueError):
        note(as_line(text))


_say_once = Once(say)


def _configs(
    source: SourceChoice, sensors: Path | None, replay: tuple[Path, ...], options: dict[str, Any]
) -> list[SensorConfig]:
    from drsn_edge.monitor.sensor_config import SensorConfig, why_no_name

    has_port = source.is_chosen or (not replay and sensors is None and bool(source.ports))
    if sum([sensors is not None, bool(replay), has_port]) != 1:
        raise click.UsageError("Expected one of --port, --replay and --sensors.")
    if sensors is not None:
        return _of_file(sensors, typed_of_sensor(click.get_current_context()))
    ports = [None] if replay else [*source.ports]
    if len(ports) > 1 and options["machine"] is not None:
        raise click.UsageError("Expected --machine with one --port: several have their ports' names; or use --sensors.")
    if len(set(ports)) < len(ports):
        raise click.UsageError("Expected each --port once.")
    typed = options.pop("machine")
    names = [replay[0].name if port is None else Path(port).name for port in ports]
    if typed is not None:
        names[0] = typed
    for name in (*names, *(port for port in ports if port is not None)):
        why = why_no_name(name)
        if why is not None:
            raise click.UsageError(f"{'--port' if name in ports else '--machine'}: {why}")
    text = source.text_options
    if replay and options["model"] is None:
        options["model"] = _active_path()
    return [SensorConfig(port=port, machine=name, **options, **text) for port, name in zip(ports, names, strict=True)]


def _check_mqtt(configs: Sequence[SensorConfig], sensors: Path | None) -> None:
    from drsn_edge.errors import SettingsError
    from drsn_edge.monitor.mqtt_check import check_mqtt

    try:
        check_mqtt(configs)
    except SettingsError as exc:
        if sensors is None:
            raise click.UsageError(str(exc)) from exc
        raise SettingsError(f"{sensors}: {exc}") from exc


def _of_file(file: Path, given: dict[str, Any]) -> list[SensorConfig]:
    """Return the sensors of a file with what was typed beside it, of which each must count for one of them."""
    from drsn_edge.monitor.sensor_config import read_sensors, why_it_changes_nothing

    configs = read_sensors(file, given)
    for name, value in given.items():
        taken = [each for each in configs if getattr(each, name) == value]
        option = "--no-unknown" if name == "unknown" else f"--{name.replace('_', '-')}"
        if not taken:
            raise click.UsageError(f"{option} changes nothing with --sensors {file}: each sensor there has its own.")
        reasons = [why_it_changes_nothing(each, name) for each in taken]
        if all(reasons):
            raise click.UsageError(f"{option}, beside --sensors {file}, {reasons[0]}")
    return configs


def _expect_a_trial(configs: Sequence[SensorConfig]) -> None:
    if is_typed(click.get_current_context(), "trial_s") and all(each.model is not None for each in configs):
        raise click.UsageError("--trial changes nothing with a model for every sensor in --sensors. Leave it out.")


def _expect_no_pipes(configs: Sequence[SensorConfig]) -> None:
    from drsn_edge.support.files import expect_no_pipe

    for path in (path for each in configs for path in (each.lines, each.history) if path is not None):
        expect_no_pipe(path)


def _active_path() -> Path:
    """Return the bundle that is active, which does not count as a start of it."""
    from drsn_edge.gateway.local_store import open_store

    return open_store("the monitor").active().path


def _follower(trial_s: float, choices: Sequence[RuntimeChoice]) -> Follower:
    from drsn_edge.gateway.follower import Follower
    from drsn_edge.gateway.health_gate import run_gate
    from drsn_edge.gateway.local_store import open_store

    store = open_store("the monitor", patience_s=_STORE_PATIENCE_S)
    # An Edge TPU that a station holds cannot be opened by the gate's process: the processor shows the rest.
    each_way = dict.fromkeys(replace(choice, fallback="cpu") for choice in choices)
    return Follower(store, lambda path: [run_gate(path, choice) for choice in each_way], say, trial_s)


def _open(
    config: SensorConfig,
    replay: tuple[Path, ...],
    speed: float,
    stopped: Callable[[], bool],
    log: LogKeeper | None,
) -> Source:
    from drsn_edge.recordings.recorder import log_files
    from firmware_bridge.sources.replay import ReplaySource
    from firmware_bridge.sources.threaded import Threaded

    if replay:
        return ReplaySource(log_files(replay), speed=speed or None, stop=stopped)
    names = ("baud", "text_unit", "text_range", "text_scale", "text_axes")
    values = {name: getattr(config, name) for name in names}
    choice = SourceChoice(ports=(str(config.port),), from_environment=False, **values)
    return Threaded(partial(choice.open, gather_s=_GATHER_S), stopped, None if log is None else log.write)


def _log_of(config: SensorConfig, several: bool) -> LogKeeper | None:
    from drsn_edge.recordings.recorder import ROTATE_BYTES, LogKeeper, log_name

    if config.record is None:
        return None
    name = f"{log_name()}-{re.sub('[^A-Za-z0-9._-]+', '_', config.machine)}" if several else log_name()
    return LogKeeper(config.record, name, ROTATE_BYTES, say, option="--record")


def _has_rich() -> bool:
    try:
        import rich  # noqa: F401
    except ImportError:
        return False
    return True


def _view(stations: Sequence[Station]) -> Any:
    from drsn_edge.monitor.station import Station
    from drsn_edge.monitor.view import View

    return View([each.shown for each in stations], acknowledge=lambda: _each(Station.acknowledge, stations))


def _sinks(
    config: SensorConfig,
    printing: _Printing,
    now_s: Callable[[], float],
    counters: Callable[[], StreamCounters],
    station: Station,
) -> Iterator[Sink]:
    """Yield what was asked for; what is not there is not imported."""
    from drsn_edge.monitor.sinks import Guarded
    from drsn_edge.monitor.sinks.console import ConsoleSink
    from drsn_edge.monitor.sinks.json_lines import JsonFilesSink, JsonLinesSink
    from drsn_edge.monitor.sinks.present import About
    from drsn_edge.monitor.sinks.printed import PrintedSink

    machine = config.machine
    about = About(lambda: station.alarm_names, lambda: station.failing, lambda: station.bundle)
    named = machine if printing.several else None
    passing = sys.stderr if sys.stderr.isatty() and not (printing.viewed or printing.several) else None
    console = ConsoleSink(sys.stdout, passing, named)
    lines: Sink = JsonLinesSink(sys.stdout, named, now_s) if printing.as_json else console
    printed = PrintedSink(lines, sys.stdout, alone=printing.alone)
    yield Guarded("stdout", printed, say, passes=(BrokenPipeError,))
    if config.lines is not None:
        yield Guarded("lines", JsonFilesSink(config.lines, machine, now_s), say)
    if config.history is not None:
        from drsn_edge.monitor.sinks.history import HistorySink

        steady = None if config.port is None else steady_s  # a replayed day has the log's clock alone
        history = HistorySink(
            config.history, machine, keep_days=config.keep_days, now_s=now_s, steady_s=steady, tell=_say_once
        )
        yield Guarded("history", history, say)
    if config.mqtt is not None:
        from drsn_edge.monitor.mqtt_check import options_of
        from drsn_edge.monitor.sinks.broker import parse_url
        from drsn_edge.monitor.sinks.mqtt import MqttSink
        from drsn_edge.support.notice import about as text_about

        mqtt = MqttSink(
            parse_url(config.mqtt), machine, options_of(config), about, now_s=now_s,
            tell=say if named is None else (lambda text: say(text_about(machine, text))),
            acknowledge=station.acknowledge,
        )  # fmt: skip
        station.troubles["mqtt"] = lambda: mqtt.trouble
        yield Guarded("mqtt", mqtt, say)
    if printing.server is not None:
        yield Guarded("metrics", printing.server.sink(machine, counters, about), say)


def _metrics(text: str) -> MetricsServer:
    from drsn_edge.monitor.sinks.metrics import MetricsServer

    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65_536):
        raise click.BadParameter(f"Expected [HOST:]PORT, got {text!r}.", param_hint="--metrics")
    return MetricsServer(host.strip("[]") or "127.0.0.1", int(port))
