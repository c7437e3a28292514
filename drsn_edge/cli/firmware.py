"""`drsn-edge firmware`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drsn_edge import __version__
from drsn_edge.cli.options import PathType, json_option

if TYPE_CHECKING:
    from firmware_bridge.boards import Board, Tool
    from firmware_bridge.messages import Hello

_BOARDS = ("uno", "stm32f405")
_TOOLS = ("avrdude", "st-flash", "dfu-util", "openocd")
_RESTART_S = 15.0
_MAX_ELF_BYTES = 64 << 20


@click.group()
def firmware() -> None:
    """Put the sensors' firmware onto their boards. Each command takes --json.

    \b
    Example:
      drsn-edge firmware flash --board uno
    """


@firmware.command()
@click.option("--board", type=click.Choice(_BOARDS), required=True, help="Kind of the board.")
@click.option("--port", help="Its serial port.  [default: the only one on USB that looks like it]")
@click.option("--image", type=PathType, help="ELF file.  [default: what `make` left in firmware_bridge/firmware/build]")
@click.option("--tool", type=click.Choice(_TOOLS), help="What flashes it.  [default: the first that is here]")
@click.option("--baud", type=click.IntRange(min=1), help="Of the firmware.  [default: that of its Makefile]")
@click.option("--dry-run", is_flag=True, help="Print the call, and do nothing.")
@json_option
def flash(
    board: str,
    port: str | None,
    image: Path | None,
    tool: str | None,
    baud: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Flash a board with its own tool, and ask it afterwards whether it runs this version.

    \b
    Example:
      drsn-edge firmware flash --board uno --port /dev/ttyACM0
    """
    from firmware_bridge.boards import BOARDS, choose_port, choose_tool
    from firmware_bridge.programs import find_program
    from firmware_bridge.sources.ports import find_port, list_ports

    kind = BOARDS[board]
    file = _image(board, image)
    chosen = choose_tool(kind, find_program, tool)
    path = choose_port(kind, list_ports()) if port is None else find_port(port, list_ports())
    with tempfile.TemporaryDirectory() as folder:
        call = _call(kind, chosen, file, path, Path(folder))
        if dry_run:
            click.echo(json.dumps({"schema": 1, "type": "call", "call": call}) if as_json else " ".join(call))
            return
        _run(call, Path(folder))
    hello = _hello(path, baud or kind.baud_rate)
    _check_version(hello)
    if as_json:
        values = {"schema": 1, "type": "firmware", "port": path, "version": hello.firmware_version}
        click.echo(json.dumps({**values, "device": hello.device_id, "sensor": hello.sensor_model}))
    else:
        click.echo(f"{path} runs firmware {hello.firmware_version}: {hello.device_id} with {hello.sensor_model}")


def _image(board: str, image: Path | None) -> Path:
    from firmware_bridge.errors import FirmwareError

    folder = Path(__file__).parents[2] / "firmware_bridge" / "firmware"
    file = image or folder / "build" / f"{board}.elf"
    if not file.is_file():
        raise FirmwareError(
            f"Expected the firmware at {file}, it is not there. Build it: make -C {folder} build/{board}.elf"
        )
    return file.resolve()


def _call(board: Board, tool: Tool, file: Path, port: str, folder: Path) -> list[str]:
    """Return the tool's call; a tool that takes a bare image gets one in the folder."""
    from firmware_bridge.boards import flash_image
    from firmware_bridge.regular_file import read_regular

    given = file
    if tool.needs_binary:
        given = folder / f"{board.name}.bin"
        given.write_bytes(flash_image(read_regular(file, _MAX_ELF_BYTES), str(file)))
    return [tool.name, *tool.arguments(given, port)]


def _run(call: list[str], folder: Path) -> None:
    """Run the tool in a folder that is empty or ours: openocd seeks its scripts in the current one first."""
    from firmware_bridge.errors import FirmwareError
    from firmware_bridge.programs import find_program

    program = find_program(call[0]) or call[0]
    code = subprocess.run([program, *call[1:]], stdout=sys.stderr, cwd=folder, check=False).returncode
    if code:
        raise FirmwareError(
            f"{call[0]} ended with exit code {code}; what it said is above. Is the board plugged in, its port free, "
            "and is it the board that was named? Flash it again: its loader stays."
        )


def _hello(port: str, baud: int) -> Hello:
    """Return what the board says of itself once it has started."""
    from firmware_bridge.errors import PortError, ProtocolError
    from firmware_bridge.messages import Hello
    from firmware_bridge.sources.asking import ask
    from firmware_bridge.sources.serial_port import SerialSource

    until_s = time.monotonic() + _RESTART_S
    while True:
        try:
            events = list(ask(SerialSource(port, baud_rate=baud, start=False), []))
            return next(event for event in events if isinstance(event, Hello))
        except (PortError, ProtocolError):
            if time.monotonic() >= until_s:
                raise
            time.sleep(0.5)  # its port comes back when its USB does


def _check_version(hello: Hello) -> None:
    from firmware_bridge.errors import FirmwareError

    if hello.firmware_version != __version__:
        raise FirmwareError(
            f"Expected firmware {__version__} on the board, it says {hello.firmware_version}: the image is older. "
            "Build it anew with make."
        )
