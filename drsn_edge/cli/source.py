"""The options that choose the sensor to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from drsn_edge.cli.completion import serial_ports
from drsn_edge.cli.options import finite
from drsn_edge.cli.output import say

if TYPE_CHECKING:
    from firmware_bridge.sources.event_source import SensorSource

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class SourceOptions:
    """The values of the options."""

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
        """The values of all options but --port, by name."""
        return {name: value for name, value in vars(self).items() if name not in ("ports", "from_environment")}

    @property
    def is_chosen(self) -> bool:
        """Whether a port was typed. A port of the environment counts only where no other source is asked for."""
        return self.port is not None and not self.from_environment

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command line that reads the same sensor from any folder."""
        if self.port is None:
            return ()
        is_path = "/" in self.port and "://" not in self.port
        port = str(Path(self.port).absolute()) if is_path else self.port
        options: dict[str, str | float | None] = {"--port": port, "--baud": self.baud}
        if self.text_unit is not None:
            options |= {"--text-unit": self.text_unit, "--text-range": self.text_range}
            options |= {"--text-scale": self.text_scale, "--text-axes": self.text_axes}
        return tuple(str(word) for name, value in options.items() if value is not None for word in (name, value))

    def open(self, stop: Callable[[], bool], on_bytes: Callable[[bytes], None] | None = None) -> SensorSource:
        """Return a source that reads the sensor and opens the port when it is iterated over. See `SensorPort`."""
        from drsn_edge.recordings.sensor_port import SensorPort

        if self.port is None:
            raise click.MissingParameter(param_type="option", param_hint="'--port'")
        return SensorPort(self.port, **self.text_options).open(stop, on_bytes, tell=say)


def source_options(*, several: bool = False) -> Callable[[Command], Command]:
    """Return a decorator that adds the options to a command, which gets them as one argument, `source`.

    Args:
        several: Whether --port may be repeated.
    """
    port = click.option(
        "--port",
        "ports",
        multiple=several,
        envvar="DRSN_EDGE_PORT",
        metavar="PORT",
        shell_complete=serial_ports,
        help="Port of the sensor: a device, a pattern such as '/dev/ttyUSB*', a USB id VID:PID, a USB serial number, "
        "or socket://HOST:PORT. " + ("Repeatable.  " if several else " ") + "[env: DRSN_EDGE_PORT]",
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
        metavar="BAUD",
        help="Baud rate of the serial port. Most USB devices ignore it.  [default: 921600, or the rate of a supported "
        "board that answers; 115200 with --text-unit]",
    ),
    click.option(
        "--text-unit",
        callback=_unit,
        metavar="UNIT",
        help="Read lines of text such as x,y,z, with numbers in this unit: g, mg, m/s2 or mps2. Sketches for Edge "
        "Impulse's data forwarder print such lines. Lost samples cannot be counted on such a link.  [default: read "
        "frames]",
    ),
    click.option(
        "--text-range",
        type=click.FloatRange(min=0, min_open=True),
        callback=finite,
        metavar="VALUE",
        help="Measuring range of the sensor: the largest value it can send, in the unit of --text-unit. Required "
        "with --text-unit.",
    ),
    click.option(
        "--text-scale",
        type=click.FloatRange(min=0, min_open=True),
        callback=finite,
        default=1.0,
        show_default=True,
        metavar="FACTOR",
        help="Factor that turns the numbers in lines of text into --text-unit, such as 0.000061 for raw counts at 2 g.",
    ),
    click.option(
        "--text-axes",
        metavar="NAMES",
        help="Names of the columns in lines of text, separated by commas; - skips a column.  [default: x,y,z]",
    ),
)
"""All options but --port, which some commands repeat."""


def _with_options(command: Command, port: Callable[..., Any]) -> Command:
    def gather(**arguments: Any) -> Any:
        by = click.get_current_context().get_parameter_source("ports")
        names = [name for name in SourceOptions.__dataclass_fields__ if name in arguments]
        values = {name: arguments.pop(name) for name in names}
        ports = values["ports"]
        values["ports"] = ports if isinstance(ports, tuple) else () if ports is None else (ports,)
        choice = SourceOptions(**values, from_environment=by is ParameterSource.ENVIRONMENT)
        if (choice.text_unit is None) != (choice.text_range is None):
            raise click.UsageError(
                "--text-unit and --text-range belong together: lines of text state neither. Add the other."
            )
        return command(source=choice, **arguments)

    wrapped: Any = update_wrapper(gather, command)  # keeps the options that are declared below
    for option in reversed((port, *_OPTIONS)):
        wrapped = option(wrapped)
    return wrapped
