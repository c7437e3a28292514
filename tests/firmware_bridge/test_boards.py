"""Boards, ports and tools: which is chosen, what it is called with, and images out of ELF files."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from refusals import refused

from firmware_bridge.boards import BOARDS, FLASH_ADDRESS
from firmware_bridge.errors import FirmwareError, PortAbsentError, PortError
from firmware_bridge.flashing import choose_port, choose_tool, flash_image
from firmware_bridge.sources.ports import Port

FIRMWARE = Path(__file__).parents[2] / "firmware_bridge" / "firmware"
UNO = Port("/dev/ttyACM0", "Arduino Uno", "2341:0043", "1")


def test_the_only_board_on_usb_is_meant() -> None:
    other = Port("/dev/ttyS0", "built in", None, None)
    assert choose_port(BOARDS["uno"], [other, UNO]) == "/dev/ttyACM0"
    with refused(PortAbsentError, "no_board", board="uno", ports=["/dev/ttyS0"]):
        choose_port(BOARDS["uno"], [other])
    with refused(PortError, "several_match", board="uno", ports=["/dev/ttyACM0", "/dev/ttyACM1"]):
        choose_port(BOARDS["uno"], [UNO, Port("/dev/ttyACM1", "Arduino Uno", "2341:0043", "2")])


def test_the_first_tool_that_is_there_is_taken() -> None:
    board = BOARDS["stm32f405"]
    assert choose_tool(board, lambda name: name != "st-flash").name == "dfu-util"
    assert choose_tool(board, lambda name: True, "openocd").name == "openocd"
    with refused(FirmwareError, "no_tool", board="stm32f405", packages="stlink-tools or dfu-util or openocd"):
        choose_tool(board, lambda name: False)
    with refused(FirmwareError, "no_tool", board="stm32f405", tools="avrdude"):
        choose_tool(board, lambda name: True, "avrdude")


@pytest.mark.parametrize(
    ("board", "call"),
    [
        ("uno", "avrdude -p m328p -c arduino -P /dev/x -b 115200 -D -U flash:w:/i.elf:e"),
        ("stm32f405", "st-flash --reset write /i.elf 0x8000000"),
    ],
)
def test_the_usual_calls(board: str, call: str) -> None:
    tool = BOARDS[board].tools[0]
    assert " ".join([tool.name, *tool.arguments(Path("/i.elf"), "/dev/x")]) == call


def elf(*parts: tuple[int, bytes], kind: int = 1) -> bytes:
    table = 52
    data = table + 32 * len(parts)
    headers, contents = b"", b""
    for address, content in parts:
        headers += struct.pack("<8I", kind, data + len(contents), 0, address, len(content), len(content), 5, 4)
        contents += content
    head = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 40, 1, 0, table, 0, 0, 52, 32, len(parts), 0, 0, 0)
    return head + headers + contents


def test_the_parts_of_an_elf_file_lie_where_they_belong() -> None:
    image = flash_image(elf((FLASH_ADDRESS, b"code"), (FLASH_ADDRESS + 8, b"data")), "x")
    assert image == b"code\xff\xff\xff\xffdata"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not_elf"),
        (b"\x7fELF", "not_elf"),
        (b"x" * 100, "not_elf"),
        (elf(), "empty"),
        (elf((FLASH_ADDRESS, b"code"), kind=2), "empty"),
        (elf((0x2000_0000, b"in memory")), "not_elf"),
        (elf((FLASH_ADDRESS - 4, b"before it")), "not_elf"),
        (elf((FLASH_ADDRESS + (1 << 30), b"far away")), "not_elf"),
        (elf((FLASH_ADDRESS, b"code"))[:-1], "not_elf"),
    ],
)
def test_what_cannot_be_flashed_is_refused(data: bytes, problem: str) -> None:
    with refused(FirmwareError, problem, path="here"):
        flash_image(data, "here")


def test_the_image_of_the_firmware_is_that_of_objcopy(tmp_path: Path) -> None:
    built = FIRMWARE / "build" / "stm32f405.elf"
    if shutil.which("arm-none-eabi-objcopy") is None or not built.is_file():
        pytest.skip("the stm32f405's firmware was not built on this machine")
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", built, tmp_path / "b"], check=True)
    assert flash_image(built.read_bytes(), "built") == (tmp_path / "b").read_bytes()
