"""The serial ports of this machine, and the processes that hold them."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from serial.tools.list_ports import comports

from firmware_bridge.errors import PortAbsentError, PortError
from firmware_bridge.support.shown import printable

_USB_ID = re.compile(r"([0-9A-Fa-f]{4}):([0-9A-Fa-f]{4})")
_GLOB_SIGNS = frozenset("*?[")


@dataclass(frozen=True)
class Port:
    """A serial port.

    Attributes:
        path: Path that opens the port.
        description: Description by the operating system.
        usb_id: VID:PID in upper-case hexadecimal; None if the port is not on USB.
        serial_number: Serial number of the USB device; None if it has none.
        held_by: Processes that have the port open, as far as this user may see: process id and name.
    """

    path: str
    description: str
    usb_id: str | None
    serial_number: str | None
    held_by: tuple[tuple[int, str], ...] = ()


def list_ports(*, holders: bool = False) -> list[Port]:
    """Return the ports of this machine, sorted by path; `holders` adds the processes that hold them (slower)."""
    found = sorted(comports())
    held = holders_of([info.device for info in found]) if holders else {}
    return [
        Port(
            info.device,
            printable(info.description),
            None if info.vid is None else f"{info.vid:04X}:{info.pid:04X}",
            None if info.serial_number is None else printable(info.serial_number),
            held.get(info.device, ()),
        )
        for info in found
    ]


def find_port(wanted: str, ports: Sequence[Port]) -> str:
    """Return the path of the port that a user names.

    Args:
        wanted: A path or a pyserial URL, which is returned as it is; a pattern such as `/dev/ttyUSB*`; VID:PID such as
            2341:0043; or the serial number of a USB device.
        ports: Ports to choose from.

    Raises:
        PortAbsentError: If no port matches the pattern or id.
        PortError: If several ports match.
    """
    if match := _USB_ID.fullmatch(wanted):
        chosen = [port for port in ports if port.usb_id == f"{match[1]}:{match[2]}".upper()]
    elif _GLOB_SIGNS & set(wanted):
        chosen = [port for port in ports if fnmatch.fnmatchcase(port.path, wanted)]
    else:
        return next((port.path for port in ports if port.serial_number == wanted), wanted)
    if len(chosen) == 1:
        return chosen[0].path
    if not chosen:
        paths = [port.path for port in ports]
        raise PortAbsentError(
            f"No port matches {wanted}. {ports_in_words(ports)}", "no_match", port=wanted, ports=paths
        )
    shown = ", ".join(f"{port.path} (serial number {port.serial_number})" for port in chosen)
    raise PortError(
        f"{len(chosen)} ports match {wanted}: {shown}. Name one of them.",
        "several_match",
        port=wanted,
        ports=[port.path for port in chosen],
    )


def ports_in_words(ports: Iterable[Port]) -> str:
    """Return sentences that list ports, or say that there are none, and what to do."""
    words = [f"{port.path} ({port.description})" for port in ports]
    if not words:
        return "This machine has no serial port. Plug the device in, or name its port with --port."
    return f"Ports of this machine: {', '.join(words)}. Name one of them with --port."


def holders_of(paths: Iterable[str], proc: Path = Path("/proc")) -> dict[str, tuple[tuple[int, str], ...]]:
    """Return the processes (id and name) that have each of these character devices open, as far as this user may see.

    The result is empty on systems without /proc, such as macOS and Windows.
    """
    devices = {number: path for path in paths if (number := _device_number(path)) is not None}
    found: dict[str, list[tuple[int, str]]] = {}
    for process in proc.glob("[0-9]*"):
        for path in {devices[number] for number in _open_devices(process) if number in devices}:
            found.setdefault(path, []).append((int(process.name), _name_of(process)))
    return {path: tuple(sorted(holders)) for path, holders in found.items()}


def _device_number(path: str) -> int | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_rdev if stat.S_ISCHR(status.st_mode) else None


def _open_devices(process: Path) -> set[int]:
    numbers = set()
    try:
        for link in (process / "fd").iterdir():
            number = _device_number(str(link))
            if number is not None:
                numbers.add(number)
    except OSError:  # a process of another user, or one that has ended meanwhile
        return numbers
    return numbers


def _name_of(process: Path) -> str:
    try:
        return printable((process / "comm").read_text(errors="replace").strip())
    except OSError:
        return "?"
