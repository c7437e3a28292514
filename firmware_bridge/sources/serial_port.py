"""A device on a serial port, a pseudo-terminal or a pyserial URL (`socket://host:port`)."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import serial

from firmware_bridge.errors import PortAbsentError, PortBusyError, PortError, PortPermissionError, ProtocolError
from firmware_bridge.events import (
    DecoderEvent,
    DeviceRestarted,
    HelloRejected,
    Idle,
    LinkLost,
    LinkRestored,
    SampleBlock,
    SourceEvent,
    Status,
)
from firmware_bridge.frames import DELIMITER, FrameWriter
from firmware_bridge.messages import PROTOCOL_VERSION, Command, DeviceState, Hello, MessageType, Opcode, encode_command
from firmware_bridge.sources.ports import find_port, holders_of, list_ports, ports_in_words
from firmware_bridge.stream import StreamCounters, StreamDecoder

_LINK_FAILURES: tuple[type[Exception], ...] = (OSError,)  # SerialException is one
with suppress(ImportError):  # Windows has no termios
    import termios

    _LINK_FAILURES += (termios.error,)  # no OSError, and what a port raises that vanishes under a call
_OPEN_FAILURES: tuple[type[Exception], ...] = (
    *_LINK_FAILURES,
    ValueError,
)  # pyserial's word for a URL or a setting that it does not know

DEFAULT_BAUD_RATE = 921_600
"""Carries 3 axes of int16 at up to 14 kHz; a USB device ignores it."""

_READ_BYTES = 4096
_READ_TIMEOUT_S = 0.05  # how long read() waits for all of _READ_BYTES: one wake-up for many bytes, at small latency
_WRITE_TIMEOUT_S = 1.0
_IDENTIFY_EVERY_S = 0.5
_START_EVERY_S = 1.0


class SerialSource:
    """Iterates over what a device sends, from its Hello to its last sample, through unplugging and restarts.

    Iterating opens the port, asks the device to identify itself and starts it. The iteration ends when the device
    has ended or `stop` returns True; the port is then closed, and a device that still streams is told to stop.
    Reading happens in the consumer's thread: what it does between two events must fit the kernel's buffer, or
    samples are lost (and counted).
    """

    def __init__(
        self,
        port: str,
        *,
        baud_rate: int = DEFAULT_BAUD_RATE,
        hello_timeout_s: float = 5.0,
        idle_s: float = 0.2,
        reopen_every_s: float = 0.5,
        stop: Callable[[], bool] | None = None,
        on_bytes: Callable[[bytes], None] | None = None,
        start: bool = True,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            port: Path (links are followed), Windows name, pyserial URL, or what else `ports.find_port` takes.
            baud_rate: In baud.
            hello_timeout_s: How long a device may take to identify itself for the first time. Some boards
                reset when their port is opened and need two seconds.
            idle_s: After how long without any event an Idle comes.
            reopen_every_s: How often a lost port is tried again.
            stop: Asked between reads, i.e. about every 50 ms.
            start: Whether to start the device once it has identified itself.
            on_bytes: Given all that is read, as it is read and before it is decoded; b"" where nothing came.
        """
        self.port = find_port(port, list_ports())
        self._baud_rate = baud_rate
        self._hello_timeout_s = hello_timeout_s
        self._idle_s = idle_s
        self._reopen_every_s = reopen_every_s
        self._stop = stop or _never
        self._on_bytes = on_bytes
        self._start = start
        self._decoder = StreamDecoder()
        self._writer = FrameWriter()
        self._link: serial.SerialBase | None = None
        self._first_bytes = b""
        self._streaming = False
        self._command_due = self._reopen_due = self._last_event = self._opened = 0.0

    @property
    def hello(self) -> Hello | None:
        """What the device said about itself, or None before that."""
        return self._decoder.hello

    @property
    def counters(self) -> StreamCounters:
        """The account so far, over lost links, restarts and several iterations."""
        return self._decoder.counters

    def __iter__(self) -> Iterator[SourceEvent]:
        """Yield events as they come.

        Raises:
            PortError: If the port cannot be opened at the start; later on that is a lost link.
            ProtocolError: If no device identifies itself, or it speaks another protocol.
        """
        self._take(open_port(self.port, self._baud_rate))
        self._opened = self._last_event = time.monotonic()
        try:
            while not self._stop():
                for event in self._step() or self._idle():
                    if isinstance(event, HelloRejected):
                        raise event.error
                    self._last_event = time.monotonic()
                    yield event
                    if isinstance(event, Status) and event.state is DeviceState.ENDED:
                        return
        finally:
            self.close()

    def close(self) -> None:
        """Stop the device if it streams, and close the port. Iterating again opens it again."""
        if self._link is None:
            return
        if self._streaming:
            with suppress(*_LINK_FAILURES):
                self._send(self._link, Command(Opcode.STOP))
        self._drop()

    def _step(self) -> list[SourceEvent | HelloRejected]:
        if self._link is None:
            return self._try_reopen()
        try:
            self._command(self._link)
            data = self._link.read(_READ_BYTES)
        except _LINK_FAILURES as exc:
            self._drop()
            return [LinkLost(f"{self.port}: {exc}")]
        if self._on_bytes is not None:
            self._on_bytes(data)
        self._first_bytes += data[: 32 - len(self._first_bytes)]
        events = self._decoder.feed(data)
        for event in events:
            self._follow(event)
        if self.hello is None and not events and time.monotonic() - self._opened > self._hello_timeout_s:
            raise ProtocolError(self._no_hello())
        return [*events]

    def _idle(self) -> list[SourceEvent | HelloRejected]:
        return [Idle()] if time.monotonic() - self._last_event >= self._idle_s else []

    def _follow(self, event: DecoderEvent) -> None:
        """Learn whether the device streams. As long as blocks come, START need not be repeated."""
        if isinstance(event, Hello | DeviceRestarted):
            self._streaming = False
            self._command_due = 0.0
        elif isinstance(event, SampleBlock):
            self._streaming = True
            self._command_due = time.monotonic() + _START_EVERY_S
        elif isinstance(event, Status):
            self._streaming = event.state is DeviceState.STREAMING

    def _command(self, link: serial.SerialBase) -> None:
        """Ask for what is missing: a HELLO, or else samples. Commands get lost, too, so this goes on until they come.

        Asking a device to start that already streams does no harm; it answers with a STATUS.
        """
        now = time.monotonic()
        if not (self._start or self._decoder.needs_hello):
            return
        if self._decoder.needs_hello:
            if self._streaming:  # an unseen restart: do not wait until it is START's turn
                self._streaming = False
                self._command_due = now
            command, pause_s = Command(Opcode.IDENTIFY, PROTOCOL_VERSION), _IDENTIFY_EVERY_S
        else:
            command, pause_s = Command(Opcode.START), _START_EVERY_S
        if now >= self._command_due:
            self._command_due = now + pause_s
            with suppress(serial.SerialTimeoutException):  # nobody takes it; reading shows whether anybody is there
                self._send(link, command)

    def _send(self, link: serial.SerialBase, command: Command) -> None:
        link.write(self._writer.encode(MessageType.COMMAND, encode_command(command)))

    def _take(self, link: serial.SerialBase) -> None:
        self._link = link
        self._first_bytes = b""
        self._command_due = 0.0
        with suppress(*_LINK_FAILURES):  # a link that is lost again shows at the next read
            link.write(DELIMITER)

    def _drop(self) -> None:
        if self._link is not None:
            with suppress(*_LINK_FAILURES):
                self._link.close()
        self._link = None
        self._streaming = False
        self._reopen_due = time.monotonic() + self._reopen_every_s
        self._decoder.reset_link()

    def _try_reopen(self) -> list[SourceEvent | HelloRejected]:
        time.sleep(min(_READ_TIMEOUT_S, self._reopen_every_s))
        if time.monotonic() < self._reopen_due:
            return []
        self._reopen_due = time.monotonic() + self._reopen_every_s
        try:
            # Any failure may pass: a port that comes back is root's own until udev has set its group.
            self._take(open_port(self.port, self._baud_rate))
        except PortError:
            return []
        return [LinkRestored()]

    def _no_hello(self) -> str:
        counters = self.counters
        expected = f"Expected a HELLO from {self.port} within {self._hello_timeout_s:g} s"
        if counters.bytes_received == 0:
            return f"{expected}, got not a single byte. Check power, wiring (TX to RX) and that this is the right port."
        return (
            f"{expected}, got {counters.bytes_received} bytes, {counters.frames_ok} good frames and "
            f"{counters.crc_errors} damaged ones; it begins with {self._first_bytes.hex(' ')} ({self._first_bytes!r}). "
            f"Check the baud rate (now {self._baud_rate}) and that the device runs drsn-edge firmware."
        )


def open_port(port: str, baud_rate: int) -> serial.SerialBase:
    """Open a port for this process alone, with short timeouts.

    Raises:
        PortError: If that fails; the subclass and the text say why and what to do.
    """
    try:
        link = serial.serial_for_url(
            port, baudrate=baud_rate, timeout=_READ_TIMEOUT_S, write_timeout=_WRITE_TIMEOUT_S, exclusive=True
        )
    except _OPEN_FAILURES as exc:
        raise _port_error(port, exc) from exc
    with suppress(AttributeError, NotImplementedError, ValueError, *_LINK_FAILURES):
        link.set_low_latency_mode(True)  # Linux on a real UART or USB adapter only: bytes come at once, not after 16 ms
    return link


def _port_error(port: str, exc: Exception) -> PortError:
    code = getattr(exc, "errno", None)
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return PortAbsentError(f"Expected a device at {port}, found nothing there. {ports_in_words(list_ports())}")
    if code in (errno.EACCES, errno.EPERM):
        return PortPermissionError(
            f"Not allowed to open {port}. Serial ports usually belong to the group dialout: "
            "sudo usermod -aG dialout $USER, then log in again."
        )
    if code in (errno.EBUSY, errno.EAGAIN):
        holders = [f"{name} ({number})" for number, name in holders_of([port]).get(port, ()) if number != os.getpid()]
        who = " and ".join(holders) or f"another program (fuser -v {port} names it)"
        return PortBusyError(f"{port} is in use by {who}. Close it and try again.")
    return PortError(f"Could not open {port} as a serial port: {exc}. Check that it is the sensor's port.")


def _never() -> bool:
    return False
