"""Damage for files of recordings: what a broken copy, a wrong program or a malicious person would do to them.

Every function takes bytes and a random generator and returns bytes; the same generator state gives the same bytes.
"""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

Mutation = Callable[[bytes, random.Random], bytes]

_WIDTHS = (1, 2, 4, 8)
_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
_MOST_BYTES = 1 << 18
"""A mutant is cut here: the readers of a text take time for each byte."""
_TOKENS = (
    b"nan", b"inf", b"-inf", b"1e999", b"1e-999", b"-", b"+", b"1,5", b"1.234,5", b"0x10", b"9" * 400, b"9" * 5000,
    b",", b";", b"\t", b" ", b'"', b"'", b"#", b"%", b"\n", b"\r", b"\r\n", b"\n\n\n", b"\0", b"\xff\xfe", b"\xfe\xff",
    b"\xef\xbb\xbf", b"\x1b[31m", b"\x1b]0;title\x07", "\u202e".encode(), b"\xff", b"\x80", b"\xc3", b"null", b"true",
    b"false", b"[", b"]", b"{", b"}", b"[[", b":", b"=", b"[" * 3000, b'{"a":' * 3000, b"1e400", b"NaN", b"Infinity",
    b"2026-01-01T00:00:00Z", b"24:00:00", b"00:00:00.001", b"1700000000", b"1700000000000", b"time_s", b"x_g",
    b"(m/s^2)", b"    -1\n", b"    58\n", b"    58b     1     2          11        80         0\n",
    b"-9223372036854775808", b"18446744073709551616", b"\\u0000", b"\\x00", b"../../../../etc/passwd", b"/etc/passwd",
    b"\xd8\x1c", b"\x9b" + b"\xff" * 8, b"\x9f", b"\x5f", b"\xff" * 8, b"(((((((((((", b"'" * 3, b'"' * 3,
)  # fmt: skip


def mutant(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return damaged bytes.

    Args:
        data: A whole file, or a part of one.
        others: Files of the same kind, of which pieces are taken.
        rng: Decides everything.
    """
    kinds: tuple[Mutation, ...] = (
        *_MUTATIONS,
        *(_TEXT_MUTATIONS * 3 if _is_text(data) else ()),
        partial(_splice, others),
    )
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 9))):
        data = rng.choice(kinds)(data, rng) or b"\0"
    return data[:_MOST_BYTES]


def _is_text(data: bytes) -> bool:
    return data[:4000].count(b"\0") == 0 and sum(each > 126 for each in data[:4000]) < 40


def _place(data: bytes, rng: random.Random, width: int = 1) -> int:
    """Return a place, more often in the first bytes, where headers are, and in the last ones."""
    last = max(len(data) - width, 0)
    return rng.choice((rng.randint(0, last), rng.randint(0, min(last, 512)), rng.randint(max(last - 512, 0), last)))


def _flip(data: bytes, rng: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        found[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(found)


def _random_byte(data: bytes, rng: random.Random) -> bytes:
    found = bytearray(data)
    found[_place(data, rng)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(found)


def _whole_number(data: bytes, rng: random.Random) -> bytes:
    """Overwrite a number, which may be a length, by one that is interesting, or that is close to it."""
    width, order = rng.choice(_WIDTHS), rng.choice(_ORDERS)
    at = _place(data, rng, width)
    at -= at % rng.choice((1, width))
    had, most = int.from_bytes(data[at : at + width], order), (1 << 8 * width) - 1
    new = rng.choice(
        (0, 1, 2, most, most >> 1, (most >> 1) + 1, most - 7, len(data), len(data) - at, len(data) + 1, 1 << 16,
         1 << 24, 1 << 28, 1 << 30, 1 << 31, 1 << 33, 1 << 40, had + 1, had - 1, 2 * had, had // 2, had * 8, had << 16,
         rng.getrandbits(8 * width))
    )  # fmt: skip
    return data[:at] + (new & most).to_bytes(width, order) + data[at + width :]


def _number_met(data: bytes, rng: random.Random) -> bytes:
    """Overwrite a small whole number of four or eight bytes, as lengths and counts are, found in the file."""
    width = rng.choice((2, 4, 8))
    at = _place(data, rng, width)
    for here in range(at - at % width, min(len(data) - width, at + 400), width):
        value = int.from_bytes(data[here : here + width], "little")
        if 0 < value <= 4 * len(data):
            new = rng.choice(
                (0, value + 1, value - 1, value * rng.randint(2, 1000), value << rng.randrange(30), 1 << 30)
            )
            return data[:here] + (new & (1 << 8 * width) - 1).to_bytes(width, "little") + data[here + width :]
    return _whole_number(data, rng)


def _floating(data: bytes, rng: random.Random) -> bytes:
    form = rng.choice(("<f", "<d", ">f", ">d"))
    value = rng.choice(
        (float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1e-38, -1.0, 3e38, 5e-324 if form[1] == "d" else 1e-45)
    )
    at, packed = _place(data, rng, 8), struct.pack(form, value)
    return data[:at] + packed + data[at + len(packed) :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _removed(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 4, 8, 64, 512)) :]


def _inserted(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 4, 8, 64))) + data[at:]


def _block_again(data: bytes, rng: random.Random) -> bytes:
    at, size = _place(data, rng), rng.choice((1, 4, 8, 32, 128, 1024))
    return data[:at] + data[at : at + size] * rng.choice((2, 3, 10, 200)) + data[at + size :]


def _block_moved(data: bytes, rng: random.Random) -> bytes:
    size, source, target = rng.choice((4, 8, 16, 64, 256)), _place(data, rng), _place(data, rng)
    return data[:target] + data[source : source + size] + data[target + size :]


def _filled(data: bytes, rng: random.Random) -> bytes:
    at, size = _place(data, rng), rng.choice((2, 4, 8, 16, 64, 512))
    return data[:at] + rng.choice((b"\0", b"\xff", b" ", b"9")) * size + data[at + size :]


def _splice(others: Sequence[bytes], data: bytes, rng: random.Random) -> bytes:
    """Return the beginning of one file and the end of another, cut at the same place or anywhere."""
    at, other = _place(data, rng), rng.choice(others)
    return data[:at] + other[at if rng.random() < 0.5 else _place(other, rng) :]


_MUTATIONS: tuple[Mutation, ...] = (
    _flip, _flip, _random_byte, _whole_number, _whole_number, _number_met, _number_met, _number_met, _floating, _cut,
    _removed, _inserted, _block_again, _block_moved, _filled,
)  # fmt: skip


# --- text --------------------------------------------------------------------------------------------------------


def _token_inserted(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.choice(_TOKENS) + data[at + rng.choice((0, 0, 1, 4)) :]


def _words(data: bytes) -> list[tuple[int, int]]:
    """Return where the words begin and end: runs of letters, digits and signs."""
    found, begin = [], None
    for at, each in enumerate(data[:20000] + b" "):
        inside = chr(each).isalnum() or each in b".+-_"
        if inside and begin is None:
            begin = at
        elif not inside and begin is not None:
            found.append((begin, at))
            begin = None
    return found or [(0, len(data))]


def _word_replaced(data: bytes, rng: random.Random) -> bytes:
    words = _words(data)
    begin, end = rng.choice(words)
    a, b = rng.choice(words)
    return data[:begin] + rng.choice((rng.choice(_TOKENS), data[a:b], b"", data[begin:end] * 2)) + data[end:]


def _lines_changed(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    at, kind = rng.randrange(len(lines)), rng.randrange(5)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines[at:at] = [lines[at]] * rng.choice((1, 2, 300))
    elif kind == 2:
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 3:
        lines[at] = lines[at][: rng.randint(0, len(lines[at]))]
    else:
        lines[at:at] = [rng.choice(_TOKENS)]
    return b"\n".join(lines)


def _separator_changed(data: bytes, rng: random.Random) -> bytes:
    old, new = rng.sample((b",", b";", b"\t", b" ", b".", b"\n", b'"', b"-", b":"), 2)
    return data.replace(old, new, rng.choice((-1, 1, 5)))


def _encoded(data: bytes, rng: random.Random) -> bytes:
    name = rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"))
    return data.decode("latin-1").encode(name)


_TEXT_MUTATIONS: tuple[Mutation, ...] = (
    _token_inserted, _token_inserted, _word_replaced, _word_replaced, _lines_changed, _lines_changed,
    _separator_changed, _encoded,
)  # fmt: skip


# --- inside what checksums and compression protect ----------------------------------------------------------------


def inside(data: bytes, suffix: str, others: Sequence[bytes], rng: random.Random) -> bytes | None:
    """Return a file whose protected content is damaged and protected anew; None for a format without any."""
    wrapped = {".npz": _inside_zip, ".mat": _inside_mat, ".drsnlog": _inside_log}.get(suffix)
    try:
        return None if wrapped is None else wrapped(data, others, rng)
    except (ValueError, zipfile.BadZipFile, zlib.error, struct.error):
        return None


def _inside_zip(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    chosen = rng.choice(sorted(members))
    members[chosen] = mutant(members[chosen], list(members.values()), rng)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def _inside_mat(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Damage one element of a MATLAB 5 file, unpacked; each is packed again."""
    at, elements = 128, []
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        content = data[at + 8 : at + 8 + size]
        elements.append(zlib.decompress(content) if kind == 15 else data[at : at + 8 + size])
        at += 8 + size
    if not elements:
        raise ValueError
    chosen = rng.randrange(len(elements))
    elements[chosen] = mutant(elements[chosen], elements, rng)
    packed = [zlib.compress(element) for element in elements]
    return data[:128] + b"".join(struct.pack("<II", 15, len(each)) + each for each in packed)


def _inside_log(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Damage one segment of a raw log, and write its checksums again."""
    segments = [b"\xffDRSNLOG" + rest for rest in data.split(b"\xffDRSNLOG")[1:]]
    chosen = rng.randrange(len(segments))
    header, payload = segments[chosen][:32], segments[chosen][36:-4]
    if rng.random() < 0.5:
        header = mutant(header, [header], rng)[:32].ljust(32, b"\0")
    else:
        payload = mutant(payload, [payload], rng)
        header = header[:28] + struct.pack("<I", len(payload))
    sealed = (part + struct.pack("<I", zlib.crc32(part)) for part in (header, payload))
    segments[chosen] = b"".join(sealed)
    return b"".join(segments)
