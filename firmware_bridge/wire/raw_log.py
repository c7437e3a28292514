"""Raw logs (RAW_LOG.md): the bytes from a device with their arrival times. A log that was cut stays readable."""

from __future__ import annotations

import os
import secrets
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from firmware_bridge.errors import RawLogError
from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.frames import DELIMITER, Frame, encode_frame
from firmware_bridge.wire.messages import Hello, MessageType, encode_hello

SUFFIX = ".drsnlog"
MARKER = b"\xffDRSNLOG"
VERSION = 1
PRELUDE, DATA, LINK_LOST, LINK_RESTORED, NOTE = range(5)
"""Kinds of segments. The last three hold one chunk: the reason why the port was lost, nothing, and a text."""

MAX_PAYLOAD = 16 << 20

_HEAD = struct.Struct("<8sBBHIIQI")  # marker, version, kind, 0, log, number, time, length
assert _HEAD.size == 32
_CRC = struct.Struct("<I")
_CHUNK = struct.Struct("<II")  # microseconds after the segment's time, length
_HEAD_SIZE = _HEAD.size + _CRC.size

SEGMENT_S = 0.25
SYNC_S = 1.0
_SEGMENT_BYTES = 1 << 20


@dataclass(frozen=True)
class LogChunk:
    """Bytes as they were read from a device.

    Attributes:
        log: Number of the log, drawn at random.
        segment: Number of the segment in its log.
        kind: PRELUDE, DATA, LINK_LOST, LINK_RESTORED or NOTE.
        time_ns: Arrival time in nanoseconds since 1970.
        data: The bytes.
    """

    log: int
    segment: int
    kind: int
    time_ns: int
    data: bytes


@dataclass(frozen=True)
class LogDamage:
    """Bytes of a file that are not a segment.

    Attributes:
        offset: Offset of the first byte in the file.
        size: Number of bytes.
        at_end: Whether no valid segment follows: the log was cut by a killed process or a full disk.
    """

    offset: int
    size: int
    at_end: bool


@dataclass(frozen=True)
class LogSummary:
    """Result of a writer.

    Attributes:
        files: Files written, in order.
        bytes_logged: Bytes from the device in these files.
    """

    files: tuple[Path, ...]
    bytes_logged: int


class RawLogWriter:
    """Writes the bytes that a source reads into files that are never overwritten.

    `write` collects the bytes. Every `SEGMENT_S` it writes a segment, every `SYNC_S` it flushes the file to the disk.
    """

    def __init__(
        self,
        path_of: Callable[[int], Path],
        *,
        rotate_bytes: int | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        log: int | None = None,
        about: str = "",
    ) -> None:
        """Prepare; no file is created before the first byte.

        Args:
            path_of: Returns the path of a file by its number, from 0.
            rotate_bytes: Size in bytes at which a new file begins; None: never.
            now_ns: Clock in nanoseconds since 1970.
            log: Number of the log; None: a random one.
            about: Text of a note at the beginning of each file; empty: no note.
        """
        self._path_of = path_of
        self._rotate_bytes = rotate_bytes
        self._now_ns, self._about = now_ns, about
        self._log = secrets.randbits(32) if log is None else log
        self._number = 0
        self._file: BinaryIO | None = None
        self._files: list[Path] = []
        self._chunks: list[tuple[int, bytes]] = []
        self._held = self._logged = 0
        self._synced_ns = 0
        self._stands: tuple[Hello, SampleBlock | None] | None = None
        self._stood: tuple[Hello, SampleBlock | None] | None = None  # before the collected bytes

    @property
    def summary(self) -> LogSummary:
        """The files and bytes written so far."""
        return LogSummary(tuple(self._files), self._logged)

    def stand_at(self, hello: Hello, last: SampleBlock | None = None) -> None:
        """Set where the device stands after all bytes so far, for the prelude of later files.

        Args:
            hello: Description of the device.
            last: Its last samples, behind which it stands; None: it stands where the description says.
        """
        self._stands = hello, last

    def write(self, data: bytes, came_ns: int | None = None) -> None:
        """Add bytes with their arrival time in nanoseconds since 1970; None: now.

        Raises:
            RawLogError: If the file cannot be created or written.
        """
        now_ns = self._now_ns() if came_ns is None else came_ns
        if not self._chunks:
            self._stood = self._stands
        if data:
            self._chunks.append((now_ns, data))
            self._held += len(data)
        if self._chunks and (_is_due(now_ns - self._chunks[0][0], SEGMENT_S) or self._held >= _SEGMENT_BYTES):
            self._flush(now_ns)

    def note_link(self, lost: str | None, came_ns: int | None = None) -> None:
        """Record that the port was lost, with the reason, or (None) that it is open again.

        Args:
            lost: The reason, or None.
            came_ns: Time in nanoseconds since 1970; None: now.

        Raises:
            RawLogError: As in `write`.
        """
        self._add(LINK_RESTORED if lost is None else LINK_LOST, lost or "", came_ns)

    def note(self, text: str, came_ns: int | None = None) -> None:
        """Record an action on the consumer at this point of the stream, at a time as of `note_link`.

        Raises:
            RawLogError: As in `write`.
        """
        self._add(NOTE, text, came_ns)

    def _add(self, kind: int, text: str, came_ns: int | None) -> None:
        now_ns = self._now_ns() if came_ns is None else came_ns
        if self._chunks:
            self._flush(now_ns)
        if self._file is not None:  # before the first byte there is no stream to mark
            with _writing(self._files[-1]):
                self._segment(kind, [(now_ns, text.encode())])

    def close(self) -> None:
        """Write the remaining bytes, flush the file to the disk and close it; harmless when repeated."""
        if self._chunks:
            self._flush(self._now_ns())
        if self._file is not None:
            with _writing(self._files[-1]):
                self._sync(self._now_ns())
                self._file.close()
            self._file = None

    def _flush(self, now_ns: int) -> None:
        if self._file is not None and self._rotate_bytes is not None and self._file.tell() >= self._rotate_bytes:
            chunks, self._chunks = self._chunks, []
            self.close()
            self._chunks = chunks
        if self._file is None:
            self._open()
        with _writing(self._files[-1]):
            self._segment(DATA, self._chunks)
            if _is_due(now_ns - self._synced_ns, SYNC_S):
                self._sync(now_ns)
        self._logged += self._held
        self._chunks, self._held = [], 0

    def _open(self) -> None:
        path = self._path_of(len(self._files))
        try:
            self._file = path.open("xb")
        except FileExistsError as exc:
            raise RawLogError(f"{path} already exists. Choose another folder.", "exists", path=path) from exc
        except OSError as exc:
            raise RawLogError(
                f"Could not create {path}: {exc.strerror}. Choose another folder.",
                "cannot_create",
                path=path,
                reason=exc.strerror,
            ) from exc
        self._files.append(path)
        if self._stood is not None:
            with _writing(path):
                self._segment(PRELUDE, [(self._chunks[0][0], prelude(_standing(*self._stood)))])
        if self._about:
            with _writing(path):
                self._segment(NOTE, [(self._chunks[0][0], self._about.encode())])

    def _segment(self, kind: int, chunks: list[tuple[int, bytes]]) -> None:
        assert self._file is not None
        self._file.write(encode_segment(kind, self._log, self._number, chunks))
        self._file.flush()  # to the operating system: the segment survives a kill of this process
        self._number += 1

    def _sync(self, now_ns: int) -> None:
        assert self._file is not None
        os.fsync(self._file.fileno())
        self._synced_ns = now_ns


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn a failed write, such as on a full disk, into an error that names the file."""
    try:
        yield
    except OSError as exc:
        raise RawLogError(
            f"Could not write {path}: {exc.strerror}. The bytes written before are kept.",
            "cannot_write",
            path=path,
            reason=exc.strerror,
        ) from exc


def _is_due(passed_ns: int, every_s: float) -> bool:
    """Return whether an interval has passed, or the time is negative because the clock was set back."""
    return not 0 <= passed_ns < every_s * 1e9


def _standing(hello: Hello, last: SampleBlock | None) -> Hello:
    """Return the description of a device that stands behind its last samples."""
    if last is None:
        return hello
    end, time_us = last.first_sample + len(last.samples), round(1e6 * last.device_time_s)
    return replace(hello, samples_produced=end, device_time_us=time_us)


def prelude(hello: Hello) -> bytes:
    """Return a HELLO as bytes on the wire, delimiters included."""
    return DELIMITER + encode_frame(Frame(MessageType.HELLO, 0, encode_hello(hello)))


def encode_segment(kind: int, log: int, number: int, chunks: list[tuple[int, bytes]]) -> bytes:
    """Return a segment of at least one chunk; each chunk has its arrival time in nanoseconds since 1970."""
    began_ns = chunks[0][0]
    # If the clock was set back, the time of a chunk is that of its segment.
    offsets = [min(max(0, (came_ns - began_ns) // 1000), 0xFFFF_FFFF) for came_ns, _ in chunks]
    payload = b"".join(_CHUNK.pack(offset, len(data)) + data for offset, (_, data) in zip(offsets, chunks, strict=True))
    head = _HEAD.pack(MARKER, VERSION, kind, 0, log, number, began_ns, len(payload))
    return head + _CRC.pack(crc32(head)) + payload + _CRC.pack(crc32(payload))


def read_log(data: bytes) -> Iterator[LogChunk | LogDamage]:
    """Yield the chunks and the damaged parts of a file's bytes, in order.

    Raises:
        RawLogError: If bytes that are not empty contain no segment, or a segment has another version.
    """
    at = bad_from = 0
    found = False
    while at < len(data):
        segment = _segment_at(data, at)
        if segment is None:
            # After a damaged segment, the next one can begin only at a marker.
            at = data.find(MARKER, at + 1)
            at = len(data) if at < 0 else at
            continue
        if bad_from < at:
            yield LogDamage(bad_from, at - bad_from, at_end=False)
        found = True
        yield from segment.chunks
        at = bad_from = segment.end
    if bad_from < len(data):
        if not found:
            raise RawLogError("The file is not a raw log: it has no segment. Choose a .drsnlog file.", "no_segment")
        yield LogDamage(bad_from, len(data) - bad_from, at_end=True)


@dataclass(frozen=True)
class _Segment:
    chunks: tuple[LogChunk, ...]
    end: int


def _segment_at(data: bytes, at: int) -> _Segment | None:
    """Return the segment at an offset; None if there is no undamaged one.

    Raises:
        RawLogError: If the segment is undamaged, but has another version.
    """
    head = data[at : at + _HEAD_SIZE]
    if len(head) < _HEAD_SIZE or not head.startswith(MARKER):
        return None
    if _CRC.unpack_from(head, _HEAD.size)[0] != crc32(head[: _HEAD.size]):
        return None
    _, version, kind, _, log, number, began_ns, length = _HEAD.unpack_from(head)
    if version != VERSION:
        raise RawLogError(
            f"The raw log has version {version}, but this drsn-edge reads version {VERSION}. Update drsn-edge.",
            "version",
            expected=VERSION,
            got=version,
        )
    payload = data[at + _HEAD_SIZE : at + _HEAD_SIZE + length]
    end = at + _HEAD_SIZE + length + _CRC.size
    if end > len(data) or _CRC.unpack_from(data, end - _CRC.size)[0] != crc32(payload):
        return None
    chunks = _chunks(payload)
    if chunks is None:
        return None
    return _Segment(
        tuple(LogChunk(log, number, kind, began_ns + 1000 * offset, piece) for offset, piece in chunks), end
    )


def _chunks(payload: bytes) -> list[tuple[int, bytes]] | None:
    found, at = [], 0
    while at < len(payload):
        if at + _CHUNK.size > len(payload):
            return None
        offset, length = _CHUNK.unpack_from(payload, at)
        at += _CHUNK.size + length
        if at > len(payload):
            return None
        found.append((offset, payload[at - length : at]))
    return found
