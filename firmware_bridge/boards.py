"""Sensor boards: their USB ids, their baud rates, and the tools that flash them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

FLASH_ADDRESS = 0x0800_0000


@dataclass(frozen=True)
class Tool:
    """A program that flashes a board.

    Attributes:
        name: Name of the program on the PATH.
        package: Debian package that contains the program.
        needs_binary: Whether the program takes a raw image of the flash instead of the ELF file.
        arguments: Returns the program's arguments for an image and a port.
    """

    name: str
    package: str
    needs_binary: bool
    arguments: Callable[[Path, str], Sequence[str]]


@dataclass(frozen=True)
class Board:
    """A sensor board.

    Attributes:
        name: Name of the board's folder in `firmware/boards`.
        usb_ids: VID:PID of the serial ports that the board may have.
        baud_rate: Baud rate of the board's firmware.
        tools: Programs that flash the board, the usual one first.
        needs_port: Whether the programs flash over the board's serial port.
    """

    name: str
    usb_ids: frozenset[str]
    baud_rate: int
    tools: tuple[Tool, ...]
    needs_port: bool


def _avrdude(image: Path, port: str) -> Sequence[str]:
    return ["-p", "m328p", "-c", "arduino", "-P", port, "-b", "115200", "-D", "-U", f"flash:w:{image}:e"]


def _st_flash(image: Path, port: str) -> Sequence[str]:
    return ["--reset", "write", str(image), f"{FLASH_ADDRESS:#x}"]


def _dfu_util(image: Path, port: str) -> Sequence[str]:
    return ["-d", "0483:df11", "-a", "0", "-s", f"{FLASH_ADDRESS:#x}:leave", "-D", str(image)]


def _openocd(image: Path, port: str) -> Sequence[str]:
    return ["-f", "interface/stlink.cfg", "-f", "target/stm32f4x.cfg", "-c", f"program {{{image}}} verify reset exit"]


BOARDS = {
    board.name: board
    for board in (
        Board(
            "uno",
            # Arduino's own ids, and those of the USB converters on clones: CH340, FT232R, CP2102.
            frozenset(("2341:0043", "2341:0001", "2341:0243", "2A03:0043", "1A86:7523", "0403:6001", "10C4:EA60")),
            500_000,
            (Tool("avrdude", "avrdude", False, _avrdude),),
            True,
        ),
        Board(
            "stm32f405",
            frozenset(("0483:374B", "0483:374E", "1A86:7523", "0403:6001", "10C4:EA60")),
            2_000_000,
            (
                Tool("st-flash", "stlink-tools", True, _st_flash),
                Tool("dfu-util", "dfu-util", True, _dfu_util),
                Tool("openocd", "openocd", False, _openocd),
            ),
            False,
        ),
    )
}

BAUD_RATES = (*dict.fromkeys(board.baud_rate for board in BOARDS.values()), 1_000_000)
"""Baud rates of the firmware as built by default, and the rate that its README names for a fast USB converter."""
