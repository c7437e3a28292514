"""The options that say which sensor to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from drsn_edge.cli.options import finite
from drsn_edge.cli.output import say

if TYPE_CHECKING:
    from firmware_bridge.sources.event_source import SensorSource

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class SourceOptions:
    """What the options say."""

    ports: tuple[str, ...]
    baud: int | None
    text_unit: str | None
    text_range: float | None
    text_scale: float
    text_axes: str | None
    from_environment: bool

    @property
    def port(self) -> str | None:
        """The port, the first of several."""
        return self.ports[0] if self.ports else None

    @property
    def text_options(self) -> dict[str, Any]:
        """All but the ports, by name."""
        return {name: value for name, value in vars(self).items() if name not in ("ports", "from_environment")}

    @property
    def is_chosen(self) -> bool:
        """Whether there is a port; one of the environment only counts where nothing else is asked for."""
        return self.port is not None and not self.from_environment

    def open(self, stop: Callable[[], bool], on_bytes: Callable[[bytes], None] | None = None) -> SensorSource:
        """Return what reads that sensor; nothing is opened before it is iterated over. See `SensorPort`."""
        from drsn_edge.recordings.sensor_port import SensorPort

        if self.port is None:
            raise click.MissingParameter(param_type="option", param_hint="'--port'")
        return SensorPort(self.port, **self.text_options).open(stop, on_bytes, tell=say)


def source_options(*, several: bool = False) -> Callable[[Command], Command]:
    """Return what adds the options to a command, which takes them as one argument, `source`.

    Args:
        several: Whether there may be more than one port.
    """
    port = click.option(
        "--port",
        "ports",
        multiple=several,
        envvar="DRSN_EDGE_PORT",
        help="Port of the sensor: a path, a pattern such as '/dev/ttyUSB*', VID:PID, a USB serial number, or "
        "socket://HOST:PORT" + ("; repeatable" if several else "") + ".  [env: DRSN_EDGE_PORT]",
    )
    return lambda command: _with_options(command, port)


def _unit(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    from drsn_edge.errors import ContractError
    from drsn_edge.signal.units import expect_known

    try:
        return value if value is None else expect_known(value)
    except ContractError as exc:
        raise click.BadParameter(str(exc), ctx, param) from exc


_OPTIONS = (
    click.option(
        "--baud",
        type=click.IntRange(min=1),
        help="Baud rate, which most USB devices ignore.  [default: 921600, or what is found among the rates of our "
        "boards; of text 115200]",
    ),
    click.option(
        "--text-unit",
        callback=_unit,
        metavar="UNIT",
        help="Read lines of numbers such as x,y,z in this unit (g, mg, m/s2 or mps2), as sketches for Edge "
        "Impulse's forwarder print them. Losses cannot be counted on such a link.",
    ),
    click.option(
        "--text-range",
        type=click.FloatRange(min=0, min_open=True),
        callback=finite,
        metavar="X",
        help="Largest value that a sensor which prints lines of numbers measures, in the unit of --text-unit.",
    ),
    click.option(
        "--text-scale",
        type=click.FloatRange(min=0, min_open=True),
        callback=finite,
        default=1.0,
        show_default=True,
        metavar="X",
        help="Factor from the printed numbers to --text-unit, such as 0.000061 for raw counts at 2 g.",
    ),
    click.option(
        "--text-axes",
        metavar="NAMES",
        help="Names of the columns in lines of numbers, - for one to skip.  [default: x,y,z]",
    ),
)
"""All but the port, which may be one or several."""


def _with_options(command: Command, port: Callable[..., Any]) -> Command:
    def gather(**arguments: Any) -> Any:
        by = click.get_current_context().get_parameter_source("ports")
        names = [name for name in SourceOptions.__dataclass_fields__ if name in arguments]
        values = {name: arguments.pop(name) for name in names}
        ports = values["ports"]
        values["ports"] = ports if isinstance(ports, tuple) else () if ports is None else (ports,)
        choice = SourceOptions(**values, from_environment=by is ParameterSource.ENVIRONMENT)
        if (choice.text_unit is None) != (choice.text_range is None):
            raise click.UsageError("Expected --text-unit and --text-range together: lines of numbers say neither.")
        return command(source=choice, **arguments)

    wrapped: Any = update_wrapper(gather, command)  # with it go the options that stand below
    for option in reversed((port, *_OPTIONS)):
        wrapped = option(wrapped)
    return wrapped
