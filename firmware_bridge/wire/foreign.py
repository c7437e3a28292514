"""Recognition of foreign devices on a port by their first bytes. No I/O."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

_NUMBER = rb"[ ]*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[ ]*"
_NUMBERS = re.compile(rb"[\r\n]" + _NUMBER + rb"(?:[,;\t]" + _NUMBER + rb")+\r?\n")

_FLASH = "Flash the drsn-edge firmware onto the board, or choose another port."
_OTHER_PORT = "Choose the sensor's port."


class Sender(NamedTuple):
    """A device that is not a sensor of ours.

    Attributes:
        kind: Short name, such as "gps".
        words: One or two sentences: what the bytes are, and what to do.
    """

    kind: str
    words: str


NUMBERS = "numbers"
"""Kind of a sketch that prints lines of numbers."""

_KNOWN = (
    (rb"\$(?:G[ABLNPQ]|BD|P)[A-Z]{3,4},", Sender("gps", f"These are NMEA sentences of a GPS receiver. {_OTHER_PORT}")),
    (rb"rst:0x|ESP-ROM:|ets [A-Z][a-z]{2} ", Sender("esp", f"This is the boot log of an ESP chip. {_FLASH}")),
    (
        rb"U-Boot|Linux version|[a-z0-9-]+ login: ",
        Sender("linux", f"This is the console of a Linux machine. {_OTHER_PORT}"),
    ),
    (
        rb">>> |Traceback \(most recent|MicroPython|CircuitPython",
        Sender("python", f"This is the Python prompt of a board that runs MicroPython. {_FLASH}"),
    ),
    (
        rb"\r\n(?:OK|ERROR|RING|NO CARRIER)\r\n",
        Sender("modem", f"These are answers of a modem to AT commands. {_OTHER_PORT}"),
    ),
)
_FEW, _TEXT_SHARE = 16, 0.95


def recognise(data: bytes, baud_rate: int) -> Sender | None:
    """Return the foreign device that sent these bytes, or None if nothing is known.

    Args:
        data: First bytes that came, ideally a few hundred.
        baud_rate: Baud rate at which they were read.
    """
    for pattern, sender in _KNOWN:
        if re.search(pattern, data):
            return sender
    if _NUMBERS.search(data):
        return Sender(NUMBERS, "These are lines of numbers from a sketch. Read them with --text-unit and --text-range.")
    if len(data) >= _FEW:
        return _by_statistics(np.frombuffer(data, np.uint8), baud_rate)
    return None


def is_readable(data: bytes) -> bool:
    """Return whether the first bytes are text, so that no sensor of ours sends at this baud rate."""
    return len(data) >= _FEW and float(_printable(np.frombuffer(data, np.uint8)).mean()) > _TEXT_SHARE


def _printable(data: np.ndarray) -> np.ndarray:
    return (data >= 0x20) & (data < 0x7F) | np.isin(data, (0x09, 0x0A, 0x0D))


def _by_statistics(data: np.ndarray, baud_rate: int) -> Sender | None:
    if _printable(data).mean() > _TEXT_SHARE:
        return Sender("text", f"This is text, not frames: the device runs other firmware. {_FLASH}")
    if len(np.unique(data)) == 1:
        wiring = "the line is held at one level. Check the wiring (TX to RX, and ground)."
        return Sender("level", f"All bytes are 0x{data[0]:02x}: {wiring}")
    # A byte that is read too fast covers one or two bits of the sender, so it has at most one edge inside.
    edges = np.unpackbits(data[:, None], axis=1)
    slow = (np.abs(np.diff(edges.astype(np.int8), axis=1)).sum(axis=1) <= 1).mean()
    if slow > 0.8:  # 6 % for random bytes
        return Sender("slow", f"The sender is many times slower than {baud_rate} baud. Set its rate with --baud.")
    return None
