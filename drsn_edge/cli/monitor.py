"""`drsn-edge monitor`."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from drsn_edge.cli.options import (
    Duration,
    HostPort,
    PathType,
    at_most_wrong_option,
    finite,
    renamed,
    rpm_option,
    runtime_options,
)
from drsn_edge.cli.options import votes as votes_of
from drsn_edge.cli.output import say
from drsn_edge.cli.sections import SectionedCommand, section
from drsn_edge.cli.source import SourceOptions, source_options
from drsn_edge.cli.typed import is_typed, typed_of_sensor
from drsn_edge.cli.workers import compute_on_one_thread
from drsn_edge.monitor.sinks.names import TOPICS
from firmware_bridge.sources.names import LATENCY_S, LONGEST_LATENCY_S

if TYPE_CHECKING:
    from drsn_edge.monitor.assembly import Plan
    from drsn_edge.monitor.sensor_config import SensorConfig

_ENDS_WITHIN_S = 10
"""Time from a signal to the end of the process; closing the outputs takes less."""


def _broker_url(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no URL of a broker. A callback of options."""
    if value is None:
        return None
    from drsn_edge.errors import OutputError
    from drsn_edge.monitor.sinks.broker import parse_url

    try:
        parse_url(value)
    except OutputError as exc:
        raise click.BadParameter(str(exc), ctx, param) from exc
    return value


class _Latency(Duration):
    """A duration for which complete windows may wait. The value is in seconds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        from drsn_edge.monitor.sensor_config import why_no_latency

        why = why_no_latency(value, "--latency")
        if why is not None:
            raise click.UsageError(why, ctx)
        return super().convert(value, param, ctx)


_SOURCE = section(
    "Source",
    source_options(several=True),
    click.option(
        "--sensors",
        type=PathType,
        metavar="FILE",
        help="TOML file of several sensors, each with options of its own. A sensor's own table takes precedence "
        "over typed options, which take precedence over the top of the file.",
    ),
    renamed("--fleet", "--sensors"),
    click.option(
        "--replay",
        type=PathType,
        multiple=True,
        metavar="LOG",
        help="Judge raw logs of `record` instead of a port: a .drsnlog file or a folder of them. Repeatable.",
    ),
    click.option(
        "--speed",
        type=click.FloatRange(min=0),
        callback=finite,
        default=0.0,
        show_default=True,
        metavar="FACTOR",
        help="Playback speed of --replay, as a multiple of real time; 0 plays as fast as windows can be judged.",
    ),
    click.option(
        "--latency",
        type=_Latency(),
        help="Longest time that a complete window waits to be judged together with others, in seconds or with a unit; "
        f"at most {LONGEST_LATENCY_S:g}s. A shorter time costs more; 0 judges at once.  [default: "
        f"{1000 * LATENCY_S:g}ms, or 1s for --replay at --speed 0]",
    ),
    click.option("--machine", metavar="NAME", help="Name of the machine in every output.  [default: the port's name]"),
    click.option(
        "--duration",
        type=Duration(),
        help="Stop after this time, in seconds or with a unit: 90s, 10min, 8h.  [default: until Ctrl-C or the end of "
        "the stream]",
    ),
)

_MODEL = section(
    "Model",
    click.option(
        "--model",
        type=PathType,
        metavar="FILE",
        help="Bundle that judges the windows.  [default: the active bundle of this gateway]",
    ),
    click.option(
        "--trial",
        "trial_s",
        type=Duration(),
        default="5min",
        show_default=True,
        help="Time that a flashed bundle must work before the monitor confirms it, in seconds or with a unit. Applies "
        "without --model.",
    ),
    runtime_options,
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="Threads of the interpreter.",
    ),
    rpm_option,
)

_DECISION = section(
    "Decision",
    click.option(
        "--settings",
        type=PathType,
        metavar="FILE",
        help="TOML file of settings for decisions, alarms and the signal kept with each alarm.  [default: no alarms]",
    ),
    click.option(
        "--votes",
        metavar="K/N",
        callback=votes_of,
        help="Windows that must agree for a decision: K of the last N.  [default: as in --settings or the bundle, "
        "else 4/5]",
    ),
    at_most_wrong_option,
    click.option(
        "--no-unknown", "unknown", is_flag=True, flag_value=False, default=True,
        help="Never report UNKNOWN: name the nearest class even for a window unlike all training data.",
    ),
    click.option("--severity", is_flag=True, help="Report how strong the vibration is: velocity and acceleration."),
    click.option(
        "--limits",
        type=PathType,
        metavar="FILE",
        help="TOML file of the machine's severity zones, as velocity in mm/s RMS. Includes --severity.",
    ),
)  # fmt: skip

_OUTPUTS = section(
    "Outputs",
    click.option(
        "--record", type=PathType, metavar="FOLDER", help="Write every received byte to raw logs in this folder."
    ),
    click.option(
        "--lines",
        type=PathType,
        metavar="FILE",
        help="Append every result to this file as a line of JSON. Rotated at 10 MB; 5 old files are kept.",
    ),
    click.option(
        "--history",
        type=PathType,
        metavar="FILE",
        help="Write decisions and a summary of each minute to this SQLite file.",
    ),
    click.option(
        "--keep-days",
        type=click.FloatRange(min=0, min_open=True),
        callback=finite,
        default=365.0,
        show_default=True,
        metavar="DAYS",
        help="Retention of --history, in days on which a monitor ran.",
    ),
    click.option(
        "--metrics",
        metavar="[HOST:]PORT",
        type=HostPort(host_optional=True),
        help="Serve metrics for Prometheus at http://HOST:PORT/metrics.  [default of HOST: 127.0.0.1]",
    ),
)

_MQTT = section(
    "Output over MQTT",
    click.option(
        "--mqtt",
        metavar="URL",
        callback=_broker_url,
        help="Publish to the broker mqtt://[USER@]HOST[:PORT][/PREFIX], or mqtts:// for TLS. The password is read "
        "from DRSN_EDGE_MQTT_PASSWORD. Messages wait in memory while the broker is unreachable.",
    ),
    click.option(
        "--mqtt-ca",
        type=PathType,
        metavar="FILE",
        help="CA certificates (PEM) that verify the broker.  [default: those of the system]",
    ),
    click.option("--mqtt-cert", type=PathType, metavar="FILE", help="Client certificate (PEM) shown to the broker."),
    click.option("--mqtt-key", type=PathType, metavar="FILE", help="Private key (PEM) of --mqtt-cert."),
    click.option("--mqtt-client-id", metavar="ID", help="MQTT client id.  [default: made from gateway and machine]"),
    click.option(
        "--mqtt-gateway",
        metavar="NAME",
        help="Gateway in the topics PREFIX/GATEWAY/MACHINE/...  [default: host name and four hex digits]",
    ),
    click.option(
        "--mqtt-topics",
        type=click.Choice(TOPICS),
        default="plain",
        show_default=True,
        help="Topics to publish. homeassistant adds the discovery messages of Home Assistant.",
    ),
)

_DISPLAY = section(
    "Display",
    click.option("--plain", is_flag=True, help="Print lines of text instead of the terminal's view."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, also for each window."),
)


@click.command(cls=SectionedCommand)
@_SOURCE
@_MODEL
@_DECISION
@_OUTPUTS
@_MQTT
@_DISPLAY
def monitor(
    source: SourceOptions,
    sensors: Path | None,
    duration: float | None,
    replay: tuple[Path, ...],
    speed: float,
    metrics: tuple[str, int] | None,
    trial_s: float,
    plain: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Monitor machines from live sensors or raw logs.

    The monitor runs until Ctrl-C or the end of the stream. It prints each change of the decision and a summary at the
    end. On a terminal, with the extra `view`, it shows a live view instead. A lost port is opened again as soon as it
    returns.

    Without --model, the monitor uses the active bundle of this gateway, changes to a bundle that `drsn-edge flash`
    brings, and confirms it after --trial. `drsn-edge ack`, the view's key `a` and SIGUSR1 acknowledge alarms. SIGHUP
    loads bundle and settings again.

    \b
    Example:
      drsn-edge monitor --port /dev/ttyUSB0 --model machine.drsn
    """
    compute_on_one_thread()
    configs = _configs(source, sensors, replay, options)
    _check_outputs(configs, sensors)
    _expect_a_trial(configs)
    from drsn_edge.monitor.assembly import Plan

    _run(_Asked(Plan(configs, replay, speed, metrics, trial_s), duration, plain, as_json))


class _Asked(NamedTuple):
    """The values of the options, as they are used."""

    plan: Plan
    duration: float | None
    plain: bool
    as_json: bool


def _run(asked: _Asked) -> None:
    """Run the monitor, and end soon after a signal, whatever an output waits for."""
    from drsn_edge.cli.stopping import HangsError, leave

    try:
        _watch(asked)
    except HangsError:
        leave(
            f"Error: An output did not close within {_ENDS_WITHIN_S} s of the signal, and its waiting results are "
            "lost. Check what reads it: a pipe or terminal may be stopped."
        )
    except KeyboardInterrupt:
        leave("Aborted!")


def _watch(asked: _Asked) -> None:
    from drsn_edge.cli.stopping import on_signal, stop_on_signal
    from drsn_edge.errors import MonitorError
    from drsn_edge.monitor.assembly import Printing, assembled, can_view

    plan, duration, plain, as_json = asked
    began_s = time.monotonic()
    viewed = not (plain or as_json) and sys.stdout.isatty() and can_view()
    passing = sys.stderr if sys.stderr.isatty() and not (viewed or plan.several) else None
    printing = Printing(lambda: sys.stdout, as_json, passing, plan.several, alone=plan.prints_only)
    with (
        stop_on_signal(duration, _ENDS_WITHIN_S) as stopped,
        assembled(plan, {"stdout": printing.open}, stopped=stopped, tell=say, viewed=viewed) as supervisor,
        on_signal(signal.SIGUSR1, supervisor.acknowledge),
        on_signal(signal.SIGHUP, supervisor.reload),
    ):
        supervisor.work()
        is_over = duration is not None and time.monotonic() - began_s >= duration  # 0: nothing was to come
        if duration and is_over and not plan.replay and not any(each.heard for each in supervisor.stations):
            raise MonitorError(_nothing_came(plan.sensors, duration), "no_sample", duration_s=duration)


def _nothing_came(configs: Sequence[SensorConfig], duration_s: float) -> str:
    ports = " and ".join(str(each.port) for each in configs)
    return (
        f"No sample came from {ports} in {duration_s:g} s. Check power, wiring and port, or type a longer --duration. "
        "A sketch that prints lines of text needs --text-unit and --text-range."
    )


def _configs(
    source: SourceOptions, sensors: Path | None, replay: tuple[Path, ...], options: dict[str, Any]
) -> list[SensorConfig]:
    from drsn_edge.monitor.sensor_config import SensorConfig, why_no_name

    has_port = source.is_chosen or (not replay and sensors is None and bool(source.ports))
    if sum([sensors is not None, bool(replay), has_port]) != 1:
        raise click.UsageError("A monitor needs one source. Type one of --port, --replay and --sensors.")
    if sensors is not None:
        return _of_file(sensors, typed_of_sensor(click.get_current_context()))
    ports = [None] if replay else [*source.ports]
    if len(ports) > 1 and options["machine"] is not None:
        raise click.UsageError(
            "--machine names one machine, but there are several --port. Leave --machine out, which names each machine "
            "after its port, or use --sensors."
        )
    if len(set(ports)) < len(ports):
        twice = next(port for port in source.ports if source.ports.count(port) > 1)
        raise click.UsageError(f"--port {twice} was typed twice. Leave one out.")
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
        from drsn_edge.monitor.assembly import active_bundle

        options["model"] = active_bundle()
    return [SensorConfig(port=port, machine=name, **options, **text) for port, name in zip(ports, names, strict=True)]


def _check_outputs(configs: Sequence[SensorConfig], sensors: Path | None) -> None:
    from drsn_edge.errors import SettingsError
    from drsn_edge.monitor.sink_table import check_sinks

    try:
        check_sinks(configs)
    except SettingsError as exc:
        if sensors is None:
            raise click.UsageError(str(exc)) from exc
        raise SettingsError(f"{sensors}: {exc}", exc.problem, **exc.facts) from exc


def _of_file(file: Path, given: dict[str, Any]) -> list[SensorConfig]:
    """Return the sensors of a file with the options typed beside it, each of which must change one sensor or more."""
    from drsn_edge.monitor.sensor_config import read_sensors, why_it_changes_nothing

    configs = read_sensors(file, given)
    for name, value in given.items():
        taken = [each for each in configs if getattr(each, name) == value]
        option = "--no-unknown" if name == "unknown" else f"--{name.replace('_', '-')}"
        if not taken:
            raise click.UsageError(
                f"{option} changes nothing: each sensor in --sensors {file} has its own. Leave {option} out."
            )
        reasons = [why_it_changes_nothing(each, name) for each in taken]
        if all(reasons):
            raise click.UsageError(f"{option} {reasons[0]} The sensors are those of --sensors {file}.")
    return configs


def _expect_a_trial(configs: Sequence[SensorConfig]) -> None:
    if is_typed(click.get_current_context(), "trial_s") and all(each.model is not None for each in configs):
        raise click.UsageError(
            "--trial changes nothing: every sensor of --sensors has its own model. Leave --trial out."
        )
