"""A serial port, a pseudo-terminal or a pyserial URL (`socket://host:port`) that may disappear and come back."""

from __future__ import annotations

import errno
import io
import math
import os
import re
import select
import stat
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

import serial

from firmware_bridge.errors import PortAbsentError, PortBusyError, PortError, PortLostError, PortPermissionError
from firmware_bridge.sources.byte_link import Received
from firmware_bridge.sources.ports import find_port, holders_of, list_ports, ports_in_words
from firmware_bridge.wire.foreign import recognise

_LINK_FAILURES: tuple[type[Exception], ...] = (OSError,)  # SerialException is one
with suppress(ImportError):  # Windows has no termios
    import termios

    _LINK_FAILURES += (termios.error,)  # not an OSError; raised by a port that disappears during a call
_OPEN_FAILURES: tuple[type[Exception], ...] = (
    *_LINK_FAILURES,
    ValueError,
)  # pyserial raises ValueError for a URL or a setting that it does not know

READ_TIMEOUT_S = 0.05
_READ_BYTES = 4096
_MOST_READS = 16
GATHER_S = 0.003
"""Seconds to let bytes accumulate once some came, unless another time is asked for."""
MOST_GATHER_S = 0.05
"""Longest time in seconds that bytes accumulate for a consumer of slices, so that events have the times of their
samples: an event counts as having come when it was read."""
_WRITE_TIMEOUT_S = 1.0
_PSEUDO_TERMINALS = range(136, 144) if sys.platform == "linux" else ()
"""Major numbers of /dev/pts/N. Source: Linux, Documentation/admin-guide/devices.txt."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0

SERIAL_TAKES, TERMINAL_TAKES, SOCKET_TAKES = 2048, 8192, 65_536
"""Bytes that may come between two reads. A serial port holds 4096 before its driver is stopped, and what an adapter
cannot hold then is lost: half of them are left for a thread that wakes late. A sender to a pseudo-terminal or a socket
waits, and loses nothing. Source: Linux, drivers/tty/n_tty.c, N_TTY_BUF_SIZE; the others are less than
`benchmarks/port_buffers.py` finds."""

_FORGET = 0.9
"""Factor per read by which the fastest rate seen is forgotten."""


@dataclass(frozen=True)
class Gathering:
    """How long bytes accumulate in the port between two reads.

    Attributes:
        longest_s: Longest time in seconds. A port that cannot hold what comes meanwhile is read earlier.
        slice_s: Reads fall on the whole multiples of this time by the clock of this machine, in seconds, and divide it
            into equal parts; 0: reads have no fixed times.
    """

    longest_s: float = GATHER_S
    slice_s: float = 0.0

    @classmethod
    def for_slices(cls, latency_s: float) -> Gathering:
        """Return how to read for a consumer that takes slices of `latency_s`; below `GATHER_S` at no fixed times."""
        if latency_s < GATHER_S:
            return cls()
        return cls(min(latency_s, MOST_GATHER_S), latency_s)

    def pause_s(self, now_s: float, safe_s: float) -> float:
        """Return how long to sleep before the next read, in seconds.

        Args:
            now_s: Time of this machine's monotonic clock, in seconds.
            safe_s: `LineRate.safe_s`.
        """
        longest_s = min(self.longest_s, safe_s)
        if self.slice_s <= longest_s:
            return longest_s if self.slice_s <= 0 else self.slice_s - now_s % self.slice_s
        part_s = self.slice_s / math.ceil(self.slice_s / longest_s)
        return part_s - now_s % part_s


GATHERING = Gathering()
"""How a source is read whose consumer asks for nothing else."""


class LineRate:
    """How fast a port fills: the rate of its line, or a faster one that was seen."""

    def __init__(self, port: str, baud_rate: int) -> None:
        """Begin with the rate of the line; a port without a baud rate shows its rate by and by."""
        self._has_rate = has_rate(port)
        self._takes = SERIAL_TAKES if self._has_rate else SOCKET_TAKES if "://" in port else TERMINAL_TAKES
        self._line = baud_rate / 10 if self._has_rate else 1.0
        self._seen = 0.0

    def saw(self, n_bytes: int, seconds: float) -> None:
        """Note the bytes that came between two reads."""
        self._seen = max(n_bytes / max(seconds, GATHER_S), _FORGET * self._seen)

    @property
    def safe_s(self) -> float:
        """Time in which as many bytes come as may come between two reads, in seconds."""
        return self._takes / max(self._line, self._seen)


@dataclass(frozen=True)
class LinkState:
    """State of a link.

    Attributes:
        is_open: Whether the port is open.
        reason: Why the port is not open; empty while it is open or was never opened.
        attempts: Attempts to reopen the port since it was lost.
        next_attempt_s: Seconds until the next attempt, 0 while the port is open.
    """

    is_open: bool
    reason: str = ""
    attempts: int = 0
    next_attempt_s: float = 0.0


class Link:
    """One port, opened exclusively for this process, and reopened with growing pauses after it was lost."""

    def __init__(
        self, port: str, baud_rate: int, first_pause_s: float = FIRST_PAUSE_S, gathering: Gathering = GATHERING
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            port: Path (links are followed), Windows name, pyserial URL, or another form that `ports.find_port` takes.
            baud_rate: Baud rate.
            first_pause_s: Seconds before the first attempt to reopen the port. Each failure doubles the pause, up to
                `LONGEST_PAUSE_S`; a path that appears is tried at once.
            gathering: How long bytes accumulate between two reads.
        """
        self.port = find_port(port, list_ports())
        self.baud_rate = baud_rate
        self._first_pause_s = self._pause_s = first_pause_s
        self._gathering, self._rate = gathering, LineRate(self.port, baud_rate)
        self._read_s = time.monotonic()
        self._serial: serial.SerialBase | None = None
        self._due_s = 0.0
        self._attempts = 0
        self._reason = ""
        self._was_absent = False

    @property
    def state(self) -> LinkState:
        """The state now."""
        if self._serial is not None:
            return LinkState(True)
        return LinkState(False, self._reason, self._attempts, max(0.0, self._due_s - time.monotonic()))

    def open(self) -> None:
        """Open the port.

        Raises:
            PortError: If the port cannot be opened; the subclass says why.
        """
        self._serial = open_port(self.port, self.baud_rate)
        self._serial.timeout = 0  # `read` does the waiting
        self._pause_s, self._attempts, self._reason = self._first_pause_s, 0, ""

    def read(self) -> Received:
        """Return received bytes after at most `READ_TIMEOUT_S`; none if the port is not open.

        Raises:
            PortLostError: If the port is gone; the link is then closed.
        """
        if self._serial is None:
            return Received(b"", False)
        try:
            # While data streams, this sleep is the only wait, which costs less than a wake-up for each packet.
            self._sleep()
            received = _drain_now(self._serial)
            if not received.data and _wait(self._serial):
                self._sleep()
                received = _drain(self._serial)
        except _LINK_FAILURES as exc:
            raise self._lost(exc) from exc
        now_s = time.monotonic()
        self._rate.saw(len(received.data), now_s - self._read_s)
        self._read_s = now_s
        return received

    def _sleep(self) -> None:
        time.sleep(self._gathering.pause_s(time.monotonic(), self._rate.safe_s))

    def write(self, data: bytes) -> None:
        """Write all of `data`; bytes that the other end does not take within a second are dropped silently.

        Raises:
            PortLostError: If the port is gone; the link is then closed.
        """
        try:
            if self._serial is not None:
                self._serial.write(data)
        except serial.SerialTimeoutException:
            return
        except _LINK_FAILURES as exc:
            raise self._lost(exc) from exc

    def set_baud_rate(self, baud_rate: int) -> bool:
        """Change the baud rate, also for later reopening; bytes received at the old rate are discarded.

        Returns:
            False if the port is not open or does not support the rate; nothing is changed then.
        """
        if self._serial is None:
            return False
        before = self.baud_rate
        try:
            self._serial.baudrate = baud_rate
            self._serial.reset_input_buffer()
        except _OPEN_FAILURES:
            with suppress(*_OPEN_FAILURES):
                self._serial.baudrate = before
            return False
        self.baud_rate, self._rate = baud_rate, LineRate(self.port, baud_rate)
        return True

    def close(self) -> None:
        """Close the port; harmless when repeated."""
        if self._serial is not None:
            with suppress(*_LINK_FAILURES):
                self._serial.close()
        self._serial = None

    def try_reopen(self) -> bool:
        """Wait for at most `READ_TIMEOUT_S`, then open the port if an attempt is due; return whether it is open now."""
        time.sleep(min(READ_TIMEOUT_S, self._first_pause_s))
        if self._appeared():
            self._due_s, self._pause_s = 0.0, self._first_pause_s
        if time.monotonic() < self._due_s:
            return False
        try:
            self.open()
        except PortError as exc:  # may pass: a port that comes back belongs to root until udev has set its group
            self._attempts += 1
            self._reason = str(exc)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._due_s = time.monotonic() + self._pause_s
            return False
        return True

    def _appeared(self) -> bool:
        if "://" in self.port:
            return False
        absent, was_absent = not os.path.exists(self.port), self._was_absent
        self._was_absent = absent
        return was_absent and not absent

    def _lost(self, exc: Exception) -> PortLostError:
        self.close()
        self._reason = f"{self.port}: {exc}"
        self._due_s = time.monotonic() + self._first_pause_s
        return PortLostError(self._reason, "link_lost", port=self.port, reason=str(exc))


class OnLink:
    """Common part of the sources on a link."""

    def __init__(self, port: str, baud_rate: int, reopen_after_s: float, gathering: Gathering = GATHERING) -> None:
        """Prepare; see `Link`."""
        self._link = Link(port, baud_rate, reopen_after_s, gathering)
        self._first_bytes = b""

    @property
    def port(self) -> str:
        """The path or URL that is opened."""
        return self._link.port

    @property
    def link_state(self) -> LinkState:
        """The state of the port: whether it is open, and if not, why."""
        return self._link.state

    @property
    def hint(self) -> str | None:
        """A sentence on what sent the first bytes, and what to do; None if nothing is known."""
        sender = recognise(self._first_bytes, self._link.baud_rate)
        return None if sender is None else sender.words


def _drain_now(link: serial.SerialBase) -> Received:
    """Return the bytes that wait, as `_drain` does, but with a third of its system calls where that can be."""
    try:
        number = link.fileno()
    except (AttributeError, io.UnsupportedOperation):  # Windows and RFC 2217 have no descriptor
        return _drain(link)
    pieces: list[bytes] = []
    while len(pieces) < _MOST_READS:
        try:
            piece = os.read(number, _READ_BYTES)
        except BlockingIOError:
            break
        except OSError:
            if not pieces:
                raise
            break  # it shows again at the next read; the bytes before it are kept
        if not piece:  # so it is with a terminal where nothing waits; a lost port shows when it is waited for
            break
        pieces.append(piece)
    return Received(b"".join(pieces), len(pieces) == _MOST_READS)


def _drain(link: serial.SerialBase) -> Received:
    """Return the bytes that wait, without waiting for more."""
    data: bytes = link.read(_READ_BYTES)
    if len(data) < _READ_BYTES // 4:
        return Received(data, False)
    pieces = [data]
    with suppress(*_LINK_FAILURES):  # a failure shows again at the next read; the bytes before it are kept
        while len(pieces) < _MOST_READS:
            pieces.append(link.read(_READ_BYTES))
            if len(pieces[-1]) < _READ_BYTES // 4:
                return Received(b"".join(pieces), False)
    return Received(b"".join(pieces), True)


def _wait(link: serial.SerialBase) -> bool:
    """Wait until there are bytes to read, or the port fails; False after `READ_TIMEOUT_S`."""
    try:
        number = link.fileno()
    except (AttributeError, OSError):  # Windows and RFC 2217 have no descriptor, but count the waiting bytes
        deadline_s = time.monotonic() + READ_TIMEOUT_S
        while not (waiting := link.in_waiting) and time.monotonic() < deadline_s:
            time.sleep(GATHER_S)
        return bool(waiting)
    return bool(select.select([number], [], [], READ_TIMEOUT_S)[0])


def has_rate(port: str) -> bool:
    """Return whether a port may have a baud rate: a pseudo-terminal and a socket have none."""
    if "://" in port:
        return False
    try:
        status = os.stat(port)
    except OSError:
        return True
    return not (stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) in _PSEUDO_TERMINALS)


def open_port(port: str, baud_rate: int) -> serial.SerialBase:
    """Open a port exclusively for this process, with short timeouts.

    Raises:
        PortError: If the port cannot be opened; the subclass says why.
    """
    try:
        link = serial.serial_for_url(
            port, baudrate=baud_rate, timeout=READ_TIMEOUT_S, write_timeout=_WRITE_TIMEOUT_S, exclusive=True
        )
    except _OPEN_FAILURES as exc:
        raise _port_error(port, exc) from exc
    with suppress(AttributeError, NotImplementedError, ValueError, *_LINK_FAILURES):
        link.set_low_latency_mode(True)  # Linux, UART or USB adapter: bytes come at once instead of after 16 ms
    return link


def _reason(words: str) -> str:
    """Return the system's reason in a message of pyserial: "Could not open port P: [Errno 111] Connection refused"."""
    bare = re.sub(r"^Could not (open|configure) port[^:]*(:[^ ]+)*: ", "", words, flags=re.IGNORECASE)
    if os.strerror(errno.ENOTTY) in bare:
        return "it is not a serial port"
    return re.sub(r"^\[Errno -?\d+\] ", "", bare)


def _port_error(port: str, exc: Exception) -> PortError:
    if port.startswith("socket://") and re.fullmatch(r"socket://(\[[^]]+\]|[^:/]+):\d{1,5}(/.*)?", port) is None:
        return PortError(
            f"Could not open {port}: it is not of the form socket://HOST:PORT, such as socket://10.0.0.7:5555.",
            "bad_url",
            port=port,
        )
    code = getattr(exc, "errno", None)
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        found = list_ports()
        paths = [each.path for each in found]
        words = f"There is no device at {port}. {ports_in_words(found)}"
        return PortAbsentError(words, "no_device", port=port, ports=paths)
    if code in (errno.EACCES, errno.EPERM):
        return PortPermissionError(
            f"This user may not open {port}. Serial ports usually belong to the group dialout. Type: "
            "sudo usermod -aG dialout $USER, then log in again.",
            port=port,
        )
    if code in (errno.EBUSY, errno.EAGAIN):
        holders = [f"{name} ({number})" for number, name in holders_of([port]).get(port, ()) if number != os.getpid()]
        who = " and ".join(holders) or f"another program (fuser -v {port} names it)"
        return PortBusyError(
            f"{port} is in use by {who}. Close that program and try again.", port=port, holders=holders
        )
    reason = os.strerror(code) if code else _reason(str(exc))
    words = f"Could not open {port}: {reason}. Check that it is the sensor's port."
    return PortError(words, "cannot_open", port=port, reason=reason)
