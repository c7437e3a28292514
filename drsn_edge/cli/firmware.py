"""`drsn-edge firmware`."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drsn_edge import __version__
from drsn_edge.cli.completion import serial_ports
from drsn_edge.cli.options import PathType, json_option
from drsn_edge.cli.output import print_json, print_text, say
from firmware_bridge.boards import BOARDS

if TYPE_CHECKING:
    from firmware_bridge.boards import Board, Tool
    from firmware_bridge.wire.messages import Hello

_TOOLS = tuple(dict.fromkeys(tool.name for board in BOARDS.values() for tool in board.tools))
_RESTART_S = 15.0
_PLACEHOLDER = "PORT"
_FIRMWARE = Path(__file__).parents[2] / "firmware_bridge" / "firmware"
_MAX_ELF_BYTES = 64 << 20


@click.group()
def firmware() -> None:
    """Flash the firmware of sensor boards.

    \b
    Example:
      drsn-edge firmware flash --board uno
    """


@firmware.command()
@click.option("--board", type=click.Choice(tuple(BOARDS)), required=True, help="Type of the board.")
@click.option(
    "--port",
    metavar="PORT",
    shell_complete=serial_ports,
    help="Serial port of the board.  [default: the only USB port with such a board]",
)
@click.option(
    "--image",
    type=PathType,
    metavar="FILE",
    help="Firmware as an ELF file.  [default: the one built in firmware_bridge/firmware/build]",
)
@click.option(
    "--tool", type=click.Choice(_TOOLS), help="Program that flashes the board.  [default: the first that is installed]"
)
@click.option(
    "--baud",
    type=click.IntRange(min=1),
    metavar="BAUD",
    help="Baud rate of the firmware.  [default: the baud rate of the board's Makefile]",
)
@click.option(
    "--dry-run", is_flag=True, help="Print the tool's command line only. Board, tool and image may be missing."
)
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
    """Flash a board with its own tool and check its version.

    \b
    Example:
      drsn-edge firmware flash --board uno --port /dev/ttyACM0
    """
    from firmware_bridge.flashing import choose_port, choose_tool
    from firmware_bridge.sources.ports import find_port, list_ports
    from firmware_bridge.support.programs import find_program

    kind = BOARDS[board]
    if dry_run:
        call = _planned_call(kind, port, image, tool)
        if as_json:
            print_json("call", {"call": call})
        else:
            print_text(shlex.join(call))
        return
    file = _image(board, image)
    chosen = choose_tool(kind, find_program, tool)
    path = choose_port(kind, list_ports()) if port is None else find_port(port, list_ports())
    with tempfile.TemporaryDirectory() as folder:
        _run(_call(kind, chosen, file, path, Path(folder)), Path(folder))
    hello = _hello(path, baud or kind.baud_rate)
    _check_version(hello)
    if as_json:
        runs = {"version": hello.firmware_version, "device": hello.device_id, "sensor": hello.sensor_model}
        print_json("firmware", {"port": path, **runs})
    else:
        print_text(f"{path} runs firmware {hello.firmware_version}: {hello.device_id} with {hello.sensor_model}")


def _planned_call(board: Board, port: str | None, image: Path | None, tool: str | None) -> list[str]:
    """Return the tool's command line. What is missing on this machine is noted and named as it would be."""
    from drsn_edge.support.notice import Notice
    from firmware_bridge.errors import FirmwareError, PortError
    from firmware_bridge.flashing import choose_port, choose_tool
    from firmware_bridge.sources.ports import find_port, list_ports
    from firmware_bridge.support.programs import find_program

    missing: list[str] = []
    try:
        chosen = choose_tool(board, find_program, tool)
    except FirmwareError as exc:
        missing.append(str(exc))
        chosen = choose_tool(board, lambda name: True, tool)
    try:
        if port is not None:
            path = find_port(port, list_ports())
        else:
            path = choose_port(board, list_ports()) if board.needs_port else _PLACEHOLDER
    except PortError as exc:
        missing.append(f"{exc} {_PLACEHOLDER} stands for it in the command line.")
        path = _PLACEHOLDER
    file = image or _built(board.name)
    if not file.is_file():
        missing.append(f"{file} does not exist yet.")
    for each in missing:
        say(Notice(each))
    return [chosen.name, *chosen.arguments(file.with_suffix(".bin") if chosen.needs_binary else file, path)]


def _built(board: str) -> Path:
    return _FIRMWARE / "build" / f"{board}.elf"


def _image(board: str, image: Path | None) -> Path:
    from firmware_bridge.errors import FirmwareError

    file = image or _built(board)
    if not file.is_file():
        raise FirmwareError(
            f"There is no firmware at {file}. Build it: make -C {_FIRMWARE} build/{board}.elf", "no_image", path=file
        )
    return file.resolve()


def _call(board: Board, tool: Tool, file: Path, port: str, folder: Path) -> list[str]:
    """Return the tool's command line. A tool that needs a plain binary gets one in the folder."""
    from firmware_bridge.flashing import flash_image
    from firmware_bridge.support.regular_file import read_regular

    given = file
    if tool.needs_binary:
        given = folder / f"{board.name}.bin"
        given.write_bytes(flash_image(read_regular(file, _MAX_ELF_BYTES), str(file)))
    return [tool.name, *tool.arguments(given, port)]


def _run(call: list[str], folder: Path) -> None:
    """Run the tool in an own folder, because openocd looks for scripts in the current folder first."""
    from firmware_bridge.errors import FirmwareError
    from firmware_bridge.support.programs import find_program

    program = find_program(call[0]) or call[0]
    code = subprocess.run([program, *call[1:]], stdout=sys.stderr, cwd=folder, check=False).returncode
    if code:
        raise FirmwareError(
            f"{call[0]} failed with exit code {code}; its messages are above. Check that the board is plugged in, that "
            "it is of the type that was named, and that its port is free. Then flash again: the boot loader is intact.",
            "tool_failed",
            tool=call[0],
            code=code,
        )


def _hello(port: str, baud: int) -> Hello:
    """Return the board's description of itself once it has started."""
    from firmware_bridge.errors import PortError, ProtocolError
    from firmware_bridge.sources.asking import ask
    from firmware_bridge.sources.serial_port import SerialSource
    from firmware_bridge.wire.messages import Hello

    until_s = time.monotonic() + _RESTART_S
    while True:
        try:
            events = list(ask(SerialSource(port, baud_rate=baud, start=False), []))
            return next(event for event in events if isinstance(event, Hello))
        except (PortError, ProtocolError):
            if time.monotonic() >= until_s:
                raise
            time.sleep(0.5)  # the port returns only after USB has started


def _check_version(hello: Hello) -> None:
    from firmware_bridge.errors import FirmwareError

    if hello.firmware_version != __version__:
        raise FirmwareError(
            f"The board runs firmware {hello.firmware_version}, but drsn-edge is {__version__}: the image is older. "
            "Build it again with make, and flash again.",
            "other_version",
            expected=__version__,
            got=hello.firmware_version,
        )
