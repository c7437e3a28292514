"""Sensor boards, and how their own tools put firmware onto them. Plans only: nothing is run here."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import FirmwareError, PortAbsentError, PortError
from firmware_bridge.sources.ports import Port, ports_in_words

FLASH_ADDRESS = 0x0800_0000
_ELF_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
assert _ELF_HEADER.size == 52
_PROGRAM_HEADER = struct.Struct("<8I")
assert _PROGRAM_HEADER.size == 32
_LOAD = 1
_MAX_IMAGE_BYTES = 16 << 20


@dataclass(frozen=True)
class Tool:
    """A program that flashes.

    Attributes:
        name: On the PATH.
        package: Of Debian.
        needs_binary: Whether it takes a bare image of the flash instead of the ELF file.
        arguments: Given the image and the port, what to call it with.
    """

    name: str
    package: str
    needs_binary: bool
    arguments: Callable[[Path, str], Sequence[str]]


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes:
        name: As its folder in `firmware/boards`.
        usb_ids: Of its serial port.
        baud_rate: Of its firmware.
        tools: Those that flash it, the usual one first.
        needs_port: Whether they flash it over its serial port.
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
            # Arduino's own, and the converters of its copies: CH340, FT232R, CP2102.
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
"""Rates of firmware that was built as it comes, and the one that its README names for an Uno with a fast plug."""


def choose_port(board: Board, ports: Sequence[Port]) -> str:
    """Return the path of the port that the board is on.

    Raises:
        PortAbsentError: If none looks like one.
        PortError: If several do.
    """
    found = [port for port in ports if port.usb_id in board.usb_ids]
    if len(found) == 1:
        return found[0].path
    if not found:
        raise PortAbsentError(f"Expected a board on USB, found none. {ports_in_words(ports)} Name it with --port.")
    raise PortError(f"Expected one board, found {', '.join(port.path for port in found)}. Name one with --port.")


def choose_tool(board: Board, is_there: Callable[[str], object], wanted: str | None = None) -> Tool:
    """Return the first of a board's tools that is on this machine, or the wanted one.

    Raises:
        FirmwareError: If none is; saying what to install.
    """
    tools = [tool for tool in board.tools if wanted in (None, tool.name)]
    for tool in tools:
        if is_there(tool.name):
            return tool
    names = " or ".join(tool.name for tool in tools) or str(wanted)
    packages = " or ".join(dict.fromkeys(tool.package for tool in tools)) or str(wanted)
    raise FirmwareError(
        f"Expected {names} on the PATH, which flashes a {board.name}. On Debian: apt install {packages}"
    )


def flash_image(elf: bytes, source: str) -> bytes:
    """Return the bare image of a flash that begins at `FLASH_ADDRESS`, from a 32-bit little-endian ELF file.

    Source: System V ABI, chapter 5, "Program Header".

    Raises:
        FirmwareError: If it is no such file, or has nothing to load there.
    """
    try:
        fields = _ELF_HEADER.unpack_from(elf)
        mark, table, size, count = fields[0], fields[5], fields[9], fields[10]
        if mark[:6] != b"\x7fELF\1\1" or size != _PROGRAM_HEADER.size:
            raise ValueError("another kind of file")
        image = bytearray()
        for number in range(count):
            kind, offset, _, address, length, *_ = _PROGRAM_HEADER.unpack_from(elf, table + number * size)
            if kind != _LOAD or not length:
                continue
            at = address - FLASH_ADDRESS
            if not 0 <= at <= at + length <= _MAX_IMAGE_BYTES or offset + length > len(elf):
                raise ValueError(f"a part at {address:#x} that is not in the flash")
            image.extend(b"\xff" * (at + length - len(image)))
            image[at : at + length] = elf[offset : offset + length]
    except (struct.error, ValueError) as exc:
        raise FirmwareError(f"Expected a board's firmware as an ELF file in {source}, got {exc}.") from exc
    if not image:
        raise FirmwareError(f"Expected something to flash in {source}, got an ELF file without it.")
    return bytes(image)
