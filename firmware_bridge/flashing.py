"""How a sensor board's own tool puts firmware onto it: which port, which tool, which bytes. Nothing is run here."""

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

    Read here, since no gateway has objcopy, and pyelftools would be one more package for these lines; a test compares
    them with objcopy.

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
