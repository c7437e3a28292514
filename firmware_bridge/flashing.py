"""Choice of port, tool and image for flashing a sensor board. Nothing is run here."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from firmware_bridge.boards import FLASH_ADDRESS, Board, Tool
from firmware_bridge.errors import FirmwareError, PortAbsentError, PortError
from firmware_bridge.sources.ports import Port, ports_in_words

_ELF_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
assert _ELF_HEADER.size == 52
_PROGRAM_HEADER = struct.Struct("<8I")
assert _PROGRAM_HEADER.size == 32
_LOAD = 1
_MAX_IMAGE_BYTES = 16 << 20


def choose_port(board: Board, ports: Sequence[Port]) -> str:
    """Return the path of the port that the board is on.

    Raises:
        PortAbsentError: If no port has a USB id of the board.
        PortError: If several ports have one.
    """
    found = [port for port in ports if port.usb_id in board.usb_ids]
    if len(found) == 1:
        return found[0].path
    if not found:
        raise PortAbsentError(
            f"No USB port looks like the board {board.name}. {ports_in_words(ports)}",
            "no_board",
            board=board.name,
            ports=[port.path for port in ports],
        )
    paths = [port.path for port in found]
    raise PortError(
        f"Several USB ports look like the board {board.name}: {', '.join(paths)}. Name one with --port.",
        "several_match",
        board=board.name,
        ports=paths,
    )


def choose_tool(board: Board, is_there: Callable[[str], object], wanted: str | None = None) -> Tool:
    """Return the first of a board's tools that is on this machine, or the wanted one.

    Raises:
        FirmwareError: If no such tool is on this machine; the message names the Debian package.
    """
    tools = [tool for tool in board.tools if wanted in (None, tool.name)]
    for tool in tools:
        if is_there(tool.name):
            return tool
    names = " or ".join(tool.name for tool in tools) or str(wanted)
    packages = " or ".join(dict.fromkeys(tool.package for tool in tools)) or str(wanted)
    raise FirmwareError(
        f"Flashing the board {board.name} needs {names} on the PATH. On Debian: apt install {packages}",
        "no_tool",
        board=board.name,
        tools=names,
        packages=packages,
    )


def flash_image(elf: bytes, source: str) -> bytes:
    """Return the raw image of a flash that begins at `FLASH_ADDRESS`, from a 32-bit little-endian ELF file.

    This is written here because gateways lack objcopy, and pyelftools would be a dependency for a few lines. A test
    compares the result with objcopy.

    Source: System V ABI, chapter 5, "Program Header".

    Raises:
        FirmwareError: If the file is not such an ELF file, or has nothing to load there.
    """
    try:
        fields = _ELF_HEADER.unpack_from(elf)
        mark, table, size, count = fields[0], fields[5], fields[9], fields[10]
        if mark[:6] != b"\x7fELF\1\1" or size != _PROGRAM_HEADER.size:
            raise ValueError("it has another file header")
        image = bytearray()
        for number in range(count):
            kind, offset, _, address, length, *_ = _PROGRAM_HEADER.unpack_from(elf, table + number * size)
            if kind != _LOAD or not length:
                continue
            at = address - FLASH_ADDRESS
            if not 0 <= at <= at + length <= _MAX_IMAGE_BYTES or offset + length > len(elf):
                raise ValueError(f"its segment at {address:#x} is outside the flash")
            image.extend(b"\xff" * (at + length - len(image)))
            image[at : at + length] = elf[offset : offset + length]
    except (struct.error, ValueError) as exc:
        raise FirmwareError(
            f"{source} is not firmware that can be flashed as a 32-bit ELF file: {exc}. Build it again with make.",
            "not_elf",
            path=source,
            reason=str(exc),
        ) from exc
    if not image:
        raise FirmwareError(
            f"{source} is an ELF file without anything to load into the flash. Build it again with make.",
            "empty",
            path=source,
        )
    return bytes(image)
