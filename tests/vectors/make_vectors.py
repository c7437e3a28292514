"""Write frames.tsv and bad.tsv: frames of the wire made without any code of the project, for C and Python to agree on.

    python tests/vectors/make_vectors.py

Everything is done here a second time and as plainly as can be: COBS byte by byte, CRC-32 bit by bit, fields by hand.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path

HELLO, SAMPLES, STATUS, REPLY, LOG, COMMAND = 1, 2, 3, 4, 5, 0x81
SESSION = 0x1234ABCD
MAX_PAYLOAD = 2048


def crc32(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def cobs(data: bytes) -> bytes:
    out = bytearray([0])
    code_at = 0
    for index, byte in enumerate(data):
        if byte:
            out.append(byte)
        if not byte or len(out) - code_at == 255:
            out[code_at] = len(out) - code_at
            if byte and index == len(data) - 1:
                return bytes(out)  # a full group at the very end needs no other behind it
            code_at = len(out)
            out.append(0)
    out[code_at] = len(out) - code_at
    return bytes(out)


def decoded(kind: int, sequence: int, payload: bytes, length: int | None = None) -> bytes:
    body = struct.pack("<BHH", kind, sequence, len(payload) if length is None else length) + payload
    return body + struct.pack("<I", crc32(body))


def tag(number: int, value: bytes) -> bytes:
    return bytes([number, len(value)]) + value


def hello(axes: bytes = b"x,y,z", lists: bytes = b"", produced: int = 0, time_us: int = 0) -> bytes:
    texts = tag(3, b"uno-0001") + tag(4, b"0.1.0") + tag(5, b"ADXL345") + tag(6, axes) + tag(7, b"g")
    numbers = tag(8, struct.pack("<d", 1 / 256)) + tag(9, struct.pack("<d", 16.0)) + tag(10, struct.pack("<d", 3200.0))
    position = tag(11, struct.pack("<Q", produced)) + tag(12, struct.pack("<Q", time_us))
    return tag(1, b"\x01") + tag(2, struct.pack("<I", SESSION)) + texts + numbers + position + lists


def samples(first: int, time_us: int, counts: list[list[int]], bits: int, overrun: bool = False) -> bytes:
    flat = [count for sample in counts for count in sample]
    number = 0
    for place, count in enumerate(flat):
        number |= (count & (1 << bits) - 1) << bits * place
    code = {16: 0, 20: 1, 24: 2}[bits] | (0x80 if overrun else 0)
    head = struct.pack("<IIIHBB", SESSION, first, time_us, len(counts), len(counts[0]), code)
    return head + number.to_bytes((bits * len(flat) + 7) // 8, "little")


def status(state: int, *rest: int) -> bytes:
    return struct.pack("<IQQBIIHHh", SESSION, 2**33 + 7, 2**40 + 9, state, *rest)


def good() -> list[tuple[str, int, int, bytes]]:
    draw = random.Random(1)
    rates = tag(13, struct.pack("<3I", 800_000, 1_600_000, 3_200_000))
    ranges = tag(14, struct.pack("<4I", 2000, 4000, 8000, 16000))
    ramp = [[k, -k, 7 * k] for k in range(32)]
    noise = {
        bits: [[draw.randrange(-(1 << bits - 1), 1 << bits - 1) for _ in range(3)] for _ in range(5)]
        for bits in (16, 20, 24)
    }
    ends = {bits: [[-(1 << bits - 1), (1 << bits - 1) - 1, -1]] for bits in (16, 20, 24)}
    vectors = [
        ("hello", HELLO, 0, hello()),
        ("hello with signs, lists and a position", HELLO, 1, hello(b"x,-y,-z", rates + ranges, 2**33, 2**41)),
        ("status idle, no thermometer", STATUS, 2, status(0, 0, 0, 0, 0, -32768)),
        ("status streaming", STATUS, 3, status(1, 3, 640, 200, 512, -1234)),
        ("status ended", STATUS, 4, status(2, 2**32 - 1, 2**32 - 1, 65535, 65535, 8500)),
        ("reply done", REPLY, 5, struct.pack("<IHBB", SESSION, 9, 6, 0) + b"x 210 y -190 z 350 mg"),
        ("reply unknown command", REPLY, 6, struct.pack("<IHBB", SESSION, 65535, 0x63, 1)),
        ("log", LOG, 7, bytes([3]) + b"sensor says 0x00, expected 0xE5: check the wire to CS"),
        ("command identify", COMMAND, 0, bytes([1, 1])),
        ("command start", COMMAND, 1, bytes([2])),
        ("command stop", COMMAND, 2, bytes([3])),
        ("command set rate", COMMAND, 3, bytes([4]) + struct.pack("<I", 3_200_000)),
        ("command set range", COMMAND, 4, bytes([5]) + struct.pack("<I", 16_000)),
        ("command self test", COMMAND, 5, bytes([6])),
        ("command reset", COMMAND, 65535, bytes([7])),
        ("command of a later version", COMMAND, 6, bytes([0x63, 1, 2, 3])),
        ("samples int16, a ramp", SAMPLES, 8, samples(160, 40_000, ramp, 16)),
        ("samples int16, overrun", SAMPLES, 9, samples(2**32 - 1, 2**32 - 1, ramp, 16, overrun=True)),
    ]
    for bits in (16, 20, 24):
        vectors.append((f"samples int{bits}, noise", SAMPLES, 10, samples(0, 0, noise[bits], bits)))
        vectors.append((f"samples int{bits}, ends", SAMPLES, 11, samples(1, 1, ends[bits], bits)))
    for size in (0, 1, 244, 245, 246, 247, 248, 249, 250, 498, 499, 500, 508):
        vectors.append((f"{size} bytes without a zero", 0x7F, 0x0101, bytes(k % 255 + 1 for k in range(size))))
    vectors.append(("nothing but zeros", 0x7F, 0, bytes(300)))
    vectors.append(("the longest payload", 0x7F, 0xFFFF, bytes(draw.randrange(256) for _ in range(MAX_PAYLOAD))))
    return vectors


def bad() -> list[tuple[str, bytes, str]]:
    frame = decoded(COMMAND, 1, bytes([2]))
    wire = cobs(frame)
    flipped = bytearray(wire)
    flipped[7] ^= 0x10  # no code of COBS
    found = [
        ("a start, cut by one byte", wire[:-1], "cobs"),
        ("a start with a flipped bit", bytes(flipped), "crc"),
        ("eight bytes", cobs(frame[:8]), "short"),
        ("one byte", b"\x01", "short"),
        ("a code that points behind the end", b"\x05\x11\x22", "cobs"),
        ("a right CRC and a length too small", cobs(decoded(COMMAND, 1, bytes([2, 3]), length=1)), "length"),
        ("a right CRC and a length too large", cobs(decoded(COMMAND, 1, bytes([2]), length=2048)), "length"),
        ("text", b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M\r\n", "cobs"),
        ("one byte longer than any frame", cobs(b"\x01" * (1 + 9 + MAX_PAYLOAD)), "long"),
        ("a right CRC over one byte too many", cobs(decoded(COMMAND, 1, bytes(1 + MAX_PAYLOAD))), "long"),
    ]
    for cut in range(4, 9):
        found.append((f"the CRC's bytes from {cut} on gone", cobs(frame[:cut]), "short"))
    return found


def main() -> None:
    folder = Path(__file__).parent
    lines = ["name\ttype\tsequence\tpayload\twire"]
    for name, kind, sequence, payload in good():
        wire = cobs(decoded(kind, sequence, payload))
        lines.append(f"{name}\t{kind}\t{sequence}\t{payload.hex()}\t{wire.hex()}")
    (folder / "frames.tsv").write_text("\n".join(lines) + "\n")
    lines = ["name\twire\twrong"]
    lines += [f"{name}\t{wire.hex()}\t{wrong}" for name, wire, wrong in bad()]
    (folder / "bad.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
