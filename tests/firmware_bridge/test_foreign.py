from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.wire.foreign import recognise
from firmware_bridge.wire.frames import FrameWriter


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"4123,N,00833.91,E*12\r\n$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76\r\n", "gps"),
        (b"$GNRMC,1,A*00\r\n", "gps"),
        (b"ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13\r\n", "esp"),
        (b"\r\nraspberrypi login: ", "linux"),
        (b"\r\nMicroPython v1.22 on 2024-01-05; Raspberry Pi Pico\r\n>>> ", "python"),
        (b"\r\nOK\r\n", "modem"),
        (b"\n0.01,-0.02,9.81\r\n0.02,-0.01,9.80\r\n", "numbers"),
        (b"12\n-1\t5\t16384\n", "numbers"),
        (b"Hello, I am a thermometer. It is 21 degrees.\r\n", "text"),
        (bytes(64), "level"),
        (b"\xff" * 64, "level"),
    ],
)
def test_it_says_what_speaks_there(data: bytes, kind: str) -> None:
    sender = recognise(data, 921_600)
    assert sender is not None and sender.kind == kind
    assert sender.words.count("\n") == 0 and sender.words.endswith((".", ")."))


def test_text_that_is_read_many_times_too_fast() -> None:
    bits = np.concatenate(
        [np.r_[0, np.unpackbits(np.array([byte], np.uint8))[::-1], 1] for byte in b"0.01,0.02\r\n" * 4]
    )
    line = np.repeat(bits, 2_000_000 // 115_200)  # as a UART at 2 M sees it, from a start bit on
    seen, at = [], 0
    while at + 10 <= len(line):
        if line[at]:
            at += 1
            continue
        seen.append(int(np.packbits(line[at + 1 : at + 9][::-1])[0]))
        at += 10
    sender = recognise(bytes(seen), 2_000_000)
    assert sender is not None and sender.kind == "slow" and "2000000 baud" in sender.words


def test_nothing_is_made_up() -> None:
    random = np.random.default_rng(0).integers(0, 256, 512, np.uint8).tobytes()
    assert recognise(random, 115_200) is None
    assert recognise(b"", 115_200) is None
    assert recognise(FrameWriter().encode(2, random[:200]), 115_200) is None
