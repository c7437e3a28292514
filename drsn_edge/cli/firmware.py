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
    """Put the sensors' firmware onto their boards. Each command takes --json.

    \b
    Example:
      drsn-edge firmware flash --board uno
    """


@firmware.command()
@click.option("--board", type=click.Choice(tuple(BOARDS)), required=True, help="Kind of the board.")
@click.option("--port", help="Serial port of the board.  [default: the only one on USB that looks like it]")
@click.option("--image", type=PathType, help="ELF file.  [default: what `make` left in firmware_bridge/firmware/build]")
@click.option(
    "--tool", type=click.Choice(_TOOLS), help="Program that flashes the board.  [default: the first that is here]"
)
@click.option("--baud", type=click.IntRange(min=1), help="Baud rate of the firmware.  [default: that of its Makefile]")
@click.option(
    "--dry-run", is_flag=True, help="Print the call, and do nothing; neither board, tool nor image need be here."
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
    """Flash a board with its own tool, and ask it afterwards whether it runs this version.

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
    """Return the call that would be made; what is not here is said, and stands in it as it would be called."""
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
        missing.append(f"{exc} {_PLACEHOLDER} stands for it.")
        path = _PLACEHOLDER
    file = image or _built(board.name)
    if not file.is_file():
        missing.append(f"{file} is not there yet.")
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
            f"Expected the firmware at {file}, it is not there. Build it: make -C {_FIRMWARE} build/{board}.elf"
        )
    return file.resolve()


def _call(board: Board, tool: Tool, file: Path, port: str, folder: Path) -> list[str]:
    """Return the tool's call; a tool that takes a bare image gets one in the folder."""
    from firmware_bridge.flashing import flash_image
    from firmware_bridge.support.regular_file import read_regular

    given = file
    if tool.needs_binary:
        given = folder / f"{board.name}.bin"
        given.write_bytes(flash_image(read_regular(file, _MAX_ELF_BYTES), str(file)))
    return [tool.name, *tool.arguments(given, port)]


def _run(call: list[str], folder: Path) -> None:
    """Run the tool in a folder that is empty or ours: openocd seeks its scripts in the current one first."""
    from firmware_bridge.errors import FirmwareError
    from firmware_bridge.support.programs import find_program

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
            time.sleep(0.5)  # its port comes back when its USB does


def _check_version(hello: Hello) -> None:
    from firmware_bridge.errors import FirmwareError

    if hello.firmware_version != __version__:
        raise FirmwareError(
            f"Expected firmware {__version__} on the board, it says {hello.firmware_version}: the image is older. "
            "Build it anew with make."
        )
