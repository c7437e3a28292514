"""`drsn-edge monitor`."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from drsn_edge.cli.options import Duration, PathType, finite, renamed, runtime_options
from drsn_edge.cli.options import votes as votes_of
from drsn_edge.cli.output import say
from drsn_edge.cli.source import SourceOptions, source_options
from drsn_edge.cli.typed import is_typed, typed_of_sensor
from drsn_edge.monitor.sinks.names import TOPICS

if TYPE_CHECKING:
    from drsn_edge.monitor.assembly import Plan
    from drsn_edge.monitor.sensor_config import SensorConfig

_ENDS_WITHIN_S = 10
"""After a signal; longer than outputs take that are closed."""


def _address(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, int] | None:
    """Return host and port of --metrics."""
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65_536):
        raise click.BadParameter(f"Expected [HOST:]PORT, got {value!r}.", ctx, param, param_hint="--metrics")
    return host.strip("[]") or "127.0.0.1", int(port)


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
@click.option(
    "--metrics", metavar="[HOST:]PORT", callback=_address, help="Serve /metrics to Prometheus there; HOST is 127.0.0.1."
)
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
    help="Playback speed of --replay, times real time; 0: as fast as it can be judged.",
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
    _check_outputs(configs, sensors)
    _expect_a_trial(configs)
    from drsn_edge.monitor.assembly import Plan

    _run(_Asked(Plan(configs, replay, speed, metrics, trial_s), duration, plain, as_json))


class _Asked(NamedTuple):
    """All that the options say, as they are used."""

    plan: Plan
    duration: float | None
    plain: bool
    as_json: bool


def _run(asked: _Asked) -> None:
    """Watch as planned, and end soon after a signal, whatever an output waits for."""
    from drsn_edge.cli.stopping import HangsError, leave

    try:
        _watch(asked)
    except HangsError:
        leave(
            f"Error: An output (a stopped pipe or terminal?) did not end within {_ENDS_WITHIN_S} s of the signal. "
            "What waited for it is lost. Check what reads it."
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
            raise MonitorError(_nothing_came(plan.sensors, duration))


def _nothing_came(configs: Sequence[SensorConfig], duration_s: float) -> str:
    ports = " and ".join(str(each.port) for each in configs)
    return (
        f"No sample came from {ports} in {duration_s:g} s. Check power, wiring and port, or type a longer --duration; "
        "a sketch that prints lines of numbers needs --text-unit and --text-range."
    )


def _configs(
    source: SourceOptions, sensors: Path | None, replay: tuple[Path, ...], options: dict[str, Any]
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
