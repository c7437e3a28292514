"""Emulated boards that play a waveform on a serial port."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FIRMWARE = Path(__file__).parents[2] / "firmware_bridge" / "firmware"

Counts = NDArray[np.int16]


@contextmanager
def running(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def port_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"/dev/pts/\d+|^/\S+$", line.strip()):
            return found.group(0)
    raise AssertionError("it ended without a port")


def wave_file(path: Path, counts: Counts) -> Path:
    """What the boards in QEMU read: number of samples, a number that is another at each start, counts."""
    path.write_bytes(struct.pack("<I", len(counts)) + os.urandom(4) + counts.tobytes())
    return path


def qemu(machine: str, elf: Path, address: str, wave: Path, serial: str = "pty") -> tuple[str | Path, ...]:
    """The command. The guest's clock counts its instructions alone, so that a busy machine is no fault of it."""
    return (
        "qemu-system-arm", "-M", machine, "-display", "none", "-monitor", "none", "-serial", serial, "-icount",
        "shift=3,sleep=off", "-kernel", elf, "-device", f"loader,file={wave},addr={address},force-raw=on",
    )  # fmt: skip
