"""Sound files (.wav, .w64, .rf64): PCM of 8 to 64 bits, or floating point; each sound channel is an axis.

RIFF, its big-endian form RIFX, RF64 and BW64 for more than 4 GB, and Wave64 are read, and so are files whose header
does not state the length, as pipes and recorders that were stopped hard leave them.

Sound files have no unit. A catalogue states the value at full scale (1.0 in a floating-point file): `full_scale`, in
`unit`. A floating-point file that already holds values in that unit needs `full_scale = 1`.
"""

from __future__ import annotations

import shlex
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import checked
from drsn_edge.recordings.raw import RawRecording, Request, file_size, opened
from drsn_edge.recordings.readers.interleaved import Decoder, Interleaved
from drsn_edge.support.wording import counted

_ORDERS = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<", b"BW64": "<"}
_W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_TAIL = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
"""Last 12 bytes of the names of Wave64's chunks; the first four are those of a WAV file."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_COMPRESSED = {
    0x02: "Microsoft ADPCM",
    0x06: "A-law",
    0x07: "mu-law",
    0x11: "IMA ADPCM",
    0x31: "GSM 6.10",
    0x50: "MPEG",
    0x55: "MP3",
    0x92: "Dolby AC-3",
    0xFF: "AAC",
    0x161: "Windows Media",
    0xF1AC: "FLAC",
}
_WIDTHS = {_PCM: (1, 2, 3, 4, 8), _FLOAT: (4, 8)}

_NO_LENGTH = 0x7F000000
"""Stated sizes from here on mean that the writer did not know the length: 0x7ffff000 (SoX), 0xffffffff (FFmpeg), and
what comes close to the largest signed number (arecord)."""
_USUAL_NAMES = (b"fmt ", b"data", b"LIST", b"fact", b"bext", b"cue ", b"JUNK", b"id3 ", b"iXML", b"smpl", b"PEAK")
_MOST_CHUNKS = 10000
_LONGEST_FORMAT = 65536
_MOST_CHANNELS = 4096


class Chunk(NamedTuple):
    """A chunk of the file: its name, where its content begins, and how many bytes the header states."""

    name: bytes
    start: int
    size: int


@dataclass(frozen=True)
class Layout:
    """What the chunk `fmt` states."""

    kind: int
    n_channels: int
    sample_rate_hz: int
    width: int
    order: str


def read_wav(path: Path, request: Request) -> list[RawRecording]:
    """Return the one recording of a sound file, as fractions of full scale.

    Raises:
        RecordingError: If the file is no sound file, is damaged, or holds compressed sound.
    """
    with opened(path) as file:
        order, chunks = _chunks(file, path)
        data, layout = _parts(file, chunks, order, path)
        n_bytes, remarks = _extent(file, data, layout)
    rate = checked("sample_rate_hz", layout.sample_rate_hz, str(path))
    n_samples = n_bytes // (layout.width * layout.n_channels)
    samples = Interleaved(path, data.start, layout.n_channels, n_samples, layout.width, _decoder(layout))
    return [RawRecording(samples, {"sample_rate_hz": rate}, is_relative=True, remarks=remarks)]


def _chunks(file: BinaryIO, path: Path) -> tuple[str, Iterator[Chunk]]:
    """Return the order of bytes and the chunks."""
    head = file.read(40)
    if head[:4] in _ORDERS and head[8:12] == b"WAVE":
        order = _ORDERS[head[:4]]
        return order, _riff_chunks(file, 12, order)
    if head[:16] == _W64_RIFF and head[24:40] == b"wave" + _W64_TAIL:
        return "<", _w64_chunks(file, 40)
    raise _damaged(path, "it does not begin as one")


def _riff_chunks(file: BinaryIO, at: int, order: str) -> Iterator[Chunk]:
    """Yield the chunks; where `ds64` states the size of `data`, that one counts."""
    end, large = file_size(file), None
    for _ in range(_MOST_CHUNKS):
        if at + 8 > end:
            return
        file.seek(at)
        name, size = struct.unpack(order + "4sI", file.read(8))
        if name == b"ds64":
            sizes = file.read(16)
            large = struct.unpack("<Q", sizes[8:])[0] if len(sizes) == 16 else None
        if name == b"data" and size == 0xFFFFFFFF and large is not None:
            size = large
        yield Chunk(name, at + 8, size)
        at += 8 + size + _padding(file, at + 8 + size, size)


def _padding(file: BinaryIO, end: int, size: int) -> int:
    """Return the bytes behind a chunk of odd size: 1, or 0 where a writer forgot it and a name follows at once."""
    if size % 2 == 0:
        return 0
    file.seek(end)
    behind = file.read(5)
    return 0 if _is_name(behind[:4]) and behind[1:] not in _USUAL_NAMES else 1


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(32 <= each < 127 for each in name)


def _w64_chunks(file: BinaryIO, at: int) -> Iterator[Chunk]:
    end = file_size(file)
    for _ in range(_MOST_CHUNKS):
        if at + 24 > end:
            return
        file.seek(at)
        name, size = struct.unpack("<16sQ", file.read(24))
        if size < 24:  # Wave64 counts the head as well
            size = 24
        yield Chunk(name[:4] if name[4:] == _W64_TAIL else b"", at + 24, size - 24)
        at += (size + 7) // 8 * 8


def _parts(file: BinaryIO, chunks: Iterator[Chunk], order: str, path: Path) -> tuple[Chunk, Layout]:
    """Return the chunk of the samples, and what `fmt` states; one of them may stand before the other."""
    data, layout = None, None
    for chunk in chunks:
        if chunk.name == b"fmt " and layout is None:
            file.seek(chunk.start)
            layout = _layout(file.read(min(chunk.size, _LONGEST_FORMAT)), order, path)
        elif chunk.name == b"data" and data is None:
            data = chunk
        if data is not None and layout is not None:
            return data, layout
    raise _damaged(path, "it has no samples" if data is None else "it does not state the form of its samples")


def _layout(content: bytes, order: str, path: Path) -> Layout:
    if len(content) < 16:
        raise _damaged(path, "its chunk fmt is too short")
    kind, n_channels, rate, _, block, bits = struct.unpack(order + "HHIIHH", content[:16])
    if kind == _EXTENSIBLE:
        if len(content) < 26:
            raise _damaged(path, "its chunk fmt is too short")
        kind = struct.unpack(order + "H", content[24:26])[0]
    if kind not in _WIDTHS:
        raise _compressed(path, kind)
    if not 0 < n_channels <= _MOST_CHANNELS:
        raise _damaged(path, f"it states {counted(n_channels, 'channel')}")
    width, rest = divmod(block, n_channels) if block else ((bits + 7) // 8, 0)
    if rest or width not in _WIDTHS[kind]:
        raise _damaged(path, f"its samples take {block} bytes for {counted(n_channels, 'channel')} of {bits} bits")
    return Layout(kind, n_channels, rate, width, order)


def _extent(file: BinaryIO, data: Chunk, layout: Layout) -> tuple[int, tuple[str, ...]]:
    """Return how many bytes of samples to read, and what to tell the user about it."""
    there = max(file_size(file) - data.start, 0)
    n_bytes, sample_bytes = min(data.size, there), layout.width * layout.n_channels
    if data.size > there or (data.size == 0 and there and not _is_followed_by_chunks(file, data)):
        read = f"the {counted(there // sample_bytes, 'sample')} up to the end of the file are read."
        if data.size == 0 or data.size >= _NO_LENGTH:
            remark = f"The header states no length, as recorders that are stopped hard write it; {read}"
        else:
            remark = f"The header states {data.size} bytes of samples, but the file ends after {there} of them; {read}"
        return there, (remark,)
    behind = there - data.size - data.size % 2
    if behind >= 1 << 32 and not _is_followed_by_chunks(file, data):
        read = f"the {counted(there // sample_bytes, 'sample')} up to the end of the file are read."
        return there, (f"The header states {data.size} bytes of samples, which do not fit a file of this size; {read}",)
    if n_bytes % sample_bytes:
        return n_bytes, (f"The last {counted(n_bytes % sample_bytes, 'byte')} are no whole sample and are left out.",)
    return n_bytes, ()


def _is_followed_by_chunks(file: BinaryIO, data: Chunk) -> bool:
    """Tell whether the chunks behind the samples end where the file ends."""
    end, at = file_size(file), data.start + data.size + data.size % 2
    for _ in range(_MOST_CHUNKS):
        if at >= end:
            return True
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or not _is_name(head[:4]):
            return False
        size = struct.unpack("<I", head[4:])[0]
        at += 8 + size + size % 2
        if at > end + 1:
            return False
    return False


def _decoder(layout: Layout) -> Decoder:
    """Return what turns bytes into fractions of full scale, float64."""
    width, order = layout.width, layout.order

    def floats(data: NDArray[np.uint8]) -> NDArray[Any]:
        return data.view(f"{order}f{width}").astype(np.float64)

    def unsigned(data: NDArray[np.uint8]) -> NDArray[Any]:
        return data / 128.0 - 1.0  # 8 bits have an offset of 128

    def integers(data: NDArray[np.uint8]) -> NDArray[Any]:
        return data.view(f"{order}i{width}") / 2.0 ** (8 * width - 1)

    def of_24_bits(data: NDArray[np.uint8]) -> NDArray[Any]:
        aligned = np.zeros((len(data) // 3, 4), np.uint8)
        aligned[:, slice(1, 4) if order == "<" else slice(0, 3)] = data.reshape(-1, 3)
        return aligned.view(f"{order}i4").ravel() / 2.0**31

    if layout.kind == _FLOAT:
        return floats
    return {1: unsigned, 3: of_24_bits}.get(width, integers)


def _compressed(path: Path, kind: int) -> RecordingError:
    name = _COMPRESSED.get(kind, f"an encoding of number {kind:#06x}")
    old, new = shlex.quote(str(path)), shlex.quote(str(path.with_name(f"{path.stem}_pcm.wav")))
    words = (
        f"{path} holds {name}, not plain samples. Such sound is usually compressed with loss: record PCM if you can.\n"
        f"To convert it, type: ffmpeg -i {old} -c:a pcm_s16le {new}"
    )
    return RecordingError(words, "compressed_sound", path=path, encoding=name, number=kind)


def _damaged(path: Path, why: str) -> RecordingError:
    words = f"{path} is damaged, or is no WAV file: {why}. Copy or export it again."
    return RecordingError(words, "damaged", path=path, reason=why)
