"""`drsn-edge ports`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.completion import serial_ports
from drsn_edge.cli.options import Duration, json_option
from drsn_edge.cli.output import print_json, print_text, say

if TYPE_CHECKING:
    from firmware_bridge.sources.ports import Port
    from firmware_bridge.wire.messages import Hello


@click.command()
@click.option("--hello", is_flag=True, help="Ask the sensor on each free port to describe itself. May reset a board.")
@click.option(
    "--port",
    "also",
    multiple=True,
    metavar="PORT",
    shell_complete=serial_ports,
    help="Additional port to list, such as a link to a virtual sensor. Repeatable.",
)
@click.option(
    "--baud",
    type=click.IntRange(min=1),
    metavar="BAUD",
    help="Baud rate of --hello.  [default: 921600, or the rate of a supported board that answers]",
)
@click.option(
    "--timeout",
    type=Duration(0.1),
    default="3s",
    show_default=True,
    help="Time that --hello waits for an answer, in seconds or with a unit.",
)
@json_option
def ports(hello: bool, also: tuple[str, ...], baud: int | None, timeout: float, as_json: bool) -> None:
    """List serial ports and the sensors on them.

    The list names the programs that use each port. With --hello, it also describes the sensor on each free port.

    \b
    Example:
      drsn-edge ports --hello
    """
    from firmware_bridge.sources.ports import Port, holders_of, list_ports

    holders = holders_of(also)
    found = [*list_ports(holders=True), *(Port(path, "", None, None, holders.get(path, ())) for path in also)]
    answers = _ask_all(found, baud, timeout) if hello else {}
    if as_json:
        values = [{**asdict(port), **_answer_values(answers.get(port.path))} for port in found]
        print_json("ports", {"ports": values})
        return
    print_text("\n".join(_lines(port, answers.get(port.path)) for port in found) or "no serial port")


def _ask_all(ports: Sequence[Port], baud: int | None, timeout_s: float) -> dict[str, Hello | str]:
    """Return the answers by path. All ports are asked at once, since a silent one takes the whole timeout."""
    with ThreadPoolExecutor(max(1, len(ports))) as pool:
        answers = pool.map(lambda port: _ask(port, baud, timeout_s), ports)
        return {port.path: answer for port, answer in zip(ports, answers, strict=True)}


def _ask(port: Port, baud: int | None, timeout_s: float) -> Hello | str:
    """Return the description that a device sends, or the reason why none came."""
    from drsn_edge.recordings.sensor_port import baud_rate_found
    from firmware_bridge.errors import FirmwareBridgeError
    from firmware_bridge.sources.serial_port import SerialSource
    from firmware_bridge.wire.messages import Hello

    if port.held_by:
        return "not asked, because it is in use"
    source = SerialSource(
        port.path,
        baud_rate=baud,
        hello_timeout_s=timeout_s,
        start=False,
        on_baud_rate=lambda rate: say(baud_rate_found(rate, port.path)),
    )
    try:
        for event in source:
            if isinstance(event, Hello):
                return event
    except FirmwareBridgeError as exc:
        return str(exc)
    finally:
        source.close()
    return "no answer"


def _answer_values(answer: Hello | str | None) -> dict[str, Any]:
    if answer is None:
        return {}
    return {"hello": None, "error": answer} if isinstance(answer, str) else {"hello": asdict(answer), "error": None}


def _lines(port: Port, answer: Hello | str | None) -> str:
    from firmware_bridge.support.shown import printable

    about = ", ".join(
        part
        for part in (
            port.description,
            f"USB {port.usb_id}" if port.usb_id else "",
            f"serial number {port.serial_number}" if port.serial_number else "",
            *(f"held by {name} ({number})" for number, name in port.held_by),
        )
        if part
    )
    lines = [f"{port.path}   {about}".rstrip()]
    if isinstance(answer, str):
        lines.append(f"    {answer}")
    elif answer is not None:
        lines.append(
            f"    {answer.device_id}: {answer.sensor_model}, {answer.sample_rate_hz:g} Hz, axes "
            f"{','.join(answer.axes)}, up to {answer.full_scale:g} {answer.unit}, firmware {answer.firmware_version}"
        )
    return "\n".join(map(printable, lines))  # devices and programs choose their own names
