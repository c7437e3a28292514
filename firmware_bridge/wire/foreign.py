"""What speaks on a port, when it is not a sensor of ours. No I/O."""

from __future__ import annotations

import re

import numpy as np

_NUMBER = rb"[ ]*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[ ]*"
_NUMBERS = re.compile(rb"[\r\n]" + _NUMBER + rb"(?:[,;\t]" + _NUMBER + rb")+\r?\n")

_KNOWN = (
    (rb"\$(?:G[ABLNPQ]|BD|P)[A-Z]{3,4},", "It is a GPS receiver: these are NMEA sentences. Choose the sensor's port."),
    (rb"rst:0x|ESP-ROM:|ets [A-Z][a-z]{2} ", "It is the boot log of an ESP chip, which runs other firmware."),
    (rb"U-Boot|Linux version|[a-z0-9-]+ login: ", "It is the console of a Linux machine. Choose the sensor's port."),
    (rb">>> |Traceback \(most recent|MicroPython|CircuitPython", "It is a Python prompt: the board runs MicroPython."),
    (rb"\r\n(?:OK|ERROR|RING|NO CARRIER)\r\n", "It is a modem: these are answers to AT commands."),
)
_FEW, _TEXT_SHARE = 16, 0.95
_FLASH = " Flash the drsn-edge firmware onto it, or choose another port."


def recognise(data: bytes, baud_rate: int) -> str | None:
    """Return a sentence on what these bytes are and what to do, or None where nothing is known.

    Args:
        data: The first bytes that came, some hundred at best.
        baud_rate: At which they were read.
    """
    for pattern, words in _KNOWN:
        if re.search(pattern, data):
            return words if words.endswith("port.") else words + _FLASH
    if _NUMBERS.search(data):
        return "These are lines of numbers, as many sketches print them: read them with --text-unit and --text-range."
    if len(data) >= _FEW:
        return _by_statistics(np.frombuffer(data, np.uint8), baud_rate)
    return None


def is_readable(data: bytes) -> bool:
    """Tell whether the first bytes that came are text: what speaks there is no sensor of ours, at this rate."""
    return len(data) >= _FEW and float(_printable(np.frombuffer(data, np.uint8)).mean()) > _TEXT_SHARE


def _printable(data: np.ndarray) -> np.ndarray:
    return (data >= 0x20) & (data < 0x7F) | np.isin(data, (0x09, 0x0A, 0x0D))


def _by_statistics(data: np.ndarray, baud_rate: int) -> str | None:
    if _printable(data).mean() > _TEXT_SHARE:
        return "This is text, not frames: the device runs other firmware." + _FLASH
    if len(np.unique(data)) == 1:
        return f"Nothing but 0x{data[0]:02x}: the line is held at one level. Check the wiring (TX to RX, and ground)."
    # A byte that is read too fast is one bit of the sender, or two: it has one edge inside, or none.
    edges = np.unpackbits(data[:, None], axis=1)
    slow = (np.abs(np.diff(edges.astype(np.int8), axis=1)).sum(axis=1) <= 1).mean()
    if slow > 0.8:  # of random bytes 6 %
        return f"The sender is many times slower than {baud_rate} baud: choose its rate with --baud."
    return None
