"""`drsn-edge sensor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.completion import serial_ports
from drsn_edge.cli.options import finite, json_option
from drsn_edge.cli.output import print_json, print_text, say

if TYPE_CHECKING:
    from firmware_bridge.wire.events import DeviceLog, Reply
    from firmware_bridge.wire.messages import Hello


@click.command()
@click.option(
    "--port",
    required=True,
    envvar="DRSN_EDGE_PORT",
    metavar="PORT",
    shell_complete=serial_ports,
    help="Port of the sensor: a device, a pattern, a USB id VID:PID, a USB serial number, or socket://HOST:PORT.  "
    "[env: DRSN_EDGE_PORT]",
)
@click.option(
    "--baud",
    type=click.IntRange(min=1),
    metavar="BAUD",
    help="Baud rate of the serial port.  [default: 921600, or the rate of a supported board that answers]",
)
@click.option(
    "--set-rate",
    "rate_hz",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    metavar="HZ",
    help="Set the sampling rate, in Hz.  [default: unchanged]",
)
@click.option(
    "--set-range",
    "full_scale",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    metavar="VALUE",
    help="Set the measuring range to ±VALUE, in the unit of the sensor.  [default: unchanged]",
)
@click.option("--self-test", is_flag=True, help="Run the sensor's built-in self-test.")
@click.option("--reset", is_flag=True, help="Restart the device, which returns it to its power-up settings.")
@json_option
@click.pass_context
def sensor(
    ctx: click.Context,
    port: str,
    baud: int | None,
    rate_hz: float | None,
    full_scale: float | None,
    self_test: bool,
    reset: bool,
    as_json: bool,
) -> None:
    """Show, configure and test a sensor.

    Settings last until the device loses power. The exit code is 1 if the sensor refused a setting or failed the
    self-test.

    \b
    Example:
      drsn-edge sensor --port /dev/ttyACM0 --set-rate 3200 --self-test
    """
    from drsn_edge.recordings.sensor_port import baud_rate_found
    from firmware_bridge.sources.asking import ask
    from firmware_bridge.sources.serial_port import SerialSource
    from firmware_bridge.wire.events import Reply
    from firmware_bridge.wire.messages import Command, Hello, Opcode, Result

    commands = [
        *([Command(Opcode.RESET)] if reset else []),
        *([Command(Opcode.SET_RATE, round(1000 * rate_hz))] if rate_hz else []),
        *([Command(Opcode.SET_RANGE, round(1000 * full_scale))] if full_scale else []),
        *([Command(Opcode.SELF_TEST)] if self_test else []),
    ]
    source = SerialSource(port, baud_rate=baud, start=False, on_baud_rate=lambda rate: say(baud_rate_found(rate, port)))
    events = list(ask(source, commands))
    hello = next(event for event in reversed(events) if isinstance(event, Hello))
    replies = [event for event in events if isinstance(event, Reply)]
    if as_json:
        print_json("sensor", _as_values(hello, replies))
    else:
        print_text(_as_text(hello, events))
    ctx.exit(0 if all(reply.result is Result.DONE for reply in replies) else 1)


def _as_values(hello: Hello, replies: list[Reply]) -> dict[str, Any]:
    from firmware_bridge.wire.messages import Opcode

    answers = [{"command": Opcode(r.opcode).name, "result": r.result.name, "text": r.text} for r in replies]
    return {"hello": asdict(hello), "answers": answers}


def _as_text(hello: Hello, events: list[Hello | Reply | DeviceLog]) -> str:
    from firmware_bridge.wire.events import DeviceLog, Reply
    from firmware_bridge.wire.messages import Opcode

    axes = ",".join(("-" if sign < 0 else "") + axis for sign, axis in zip(hello.signs, hello.axes, strict=True))
    lines = [
        f"device    {hello.device_id}, {hello.sensor_model}, firmware {hello.firmware_version}",
        f"rate      {hello.sample_rate_hz:g} Hz{_choice(hello.sample_rates_hz)}",
        f"range     ±{hello.full_scale:g} {hello.unit}{_choice(hello.full_scales)}, "
        f"{hello.scale:.4g} {hello.unit} per count",
        f"axes      {axes}",
    ]
    for event in events:
        if isinstance(event, Reply):
            said = f" ({event.text})" if event.text else ""
            name = Opcode(event.opcode).name.lower().replace("_", "-")
            lines.append(f"{name:10}{event.result.name.lower().replace('_', ' ')}{said}")
        elif isinstance(event, DeviceLog):
            lines.append(f"message   {event.text}")
    return "\n".join(lines)


def _choice(values: tuple[float, ...]) -> str:
    return f" (of {', '.join(f'{value:g}' for value in values)})" if values else ""
