"""The source of a device that speaks the protocol of PROTOCOL.md, on any port that `link` opens."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress

from firmware_bridge.errors import PortLostError, ProtocolError
from firmware_bridge.sources.baud_probe import BaudProbe
from firmware_bridge.sources.choice import SourceChoice, Wiring
from firmware_bridge.sources.dialogue import Dialogue
from firmware_bridge.sources.link import FIRST_PAUSE_S, GATHERING, Gathering, OnLink
from firmware_bridge.wire.events import Idle, LinkLost, LinkRestored, SourceEvent, Status
from firmware_bridge.wire.foreign import recognise
from firmware_bridge.wire.frames import DELIMITER, FrameWriter
from firmware_bridge.wire.messages import Command, DeviceState, Hello, MessageType, Opcode, encode_command
from firmware_bridge.wire.stream import StreamCounters, StreamDecoder

DEFAULT_BAUD_RATE = 921_600
"""Carries 3 axes of int16 at up to 14 kHz; a device with native USB ignores it."""

_FIRST_BYTES = 512
"""First bytes of a link that are kept, to recognise a foreign device."""


class SerialSource(OnLink):
    """Iterates over the events of a device, from its Hello to its last sample, across unplugging and restarts.

    Iterating opens the port, asks the device to identify itself, and starts it. The iteration ends when the device
    has ended or `stop` returns True; then the port is closed, and a device that still streams is told to stop.
    A device whose HELLO is refused is asked again, and its samples are dropped until a valid HELLO comes.
    The consumer's thread reads the port: bytes that come between two events must fit the kernel's buffer, otherwise
    samples are lost (and counted).
    """

    def __init__(
        self,
        port: str,
        *,
        baud_rate: int | None = None,
        hello_timeout_s: float = 5.0,
        idle_s: float = 0.2,
        reopen_after_s: float = FIRST_PAUSE_S,
        stop: Callable[[], bool] | None = None,
        on_bytes: Callable[[bytes], None] | None = None,
        start: bool = True,
        gathering: Gathering = GATHERING,
        on_baud_rate: Callable[[int], None] | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            port: Path (links are followed), Windows name, pyserial URL, or another form that `ports.find_port` takes.
            baud_rate: Baud rate. None: `DEFAULT_BAUD_RATE`; if no HELLO and no text comes at that rate, the rates of
                our boards are tried for `baud_probe.PROBE_S`, unless the port has no baud rate.
            hello_timeout_s: Seconds for the device to identify itself for the first time. Some boards reset when their
                port is opened and need two seconds.
            idle_s: Seconds without any event after which an Idle comes.
            reopen_after_s: Seconds before the first attempt to reopen a lost port; see `Link`.
            stop: Called between reads, i.e. about every 50 ms; the iteration ends when it returns True.
            start: Whether to start the device once it has identified itself.
            gathering: How long bytes accumulate before each read; see `Link`.
            on_bytes: Called with all bytes as they are read, before they are decoded; with b"" if none came. Bytes
                received at a wrong baud rate are left out.
            on_baud_rate: Called with the baud rate at which a HELLO came, if it is not the default one.
        """
        super().__init__(port, baud_rate or DEFAULT_BAUD_RATE, reopen_after_s, gathering)
        self._probe = BaudProbe(self._link, baud_rate is None, on_baud_rate, on_bytes)
        self._hello_timeout_s = hello_timeout_s
        self._idle_s = idle_s
        self._stop = stop or _never
        self._dialogue = Dialogue(start)
        self._decoder = StreamDecoder()
        self._writer = FrameWriter()
        self._last_event_s = self._opened_s = 0.0

    @property
    def hello(self) -> Hello | None:
        """The description of the device; None until it is known."""
        return self._decoder.hello

    @property
    def counters(self) -> StreamCounters:
        """The counters so far, across lost links, restarts and several iterations."""
        return self._decoder.counters

    def __iter__(self) -> Iterator[SourceEvent]:
        """Yield events as they come; each iteration begins with a Hello. It raises as `reads` does."""
        with closing(self.reads()) as reads:
            for events in reads:
                yield from events

    def reads(self) -> Generator[list[SourceEvent], None, None]:
        """Yield the events of each read, possibly none; see `event_source.ReadSource`.

        Raises:
            PortError: If the port cannot be opened at the start; a later failure is a LinkLost event.
            ProtocolError: If no device identifies itself, or its first HELLO has another protocol version.
        """
        self._link.open()
        self._begin_link()
        self._dialogue.begin()
        self._decoder.introduce_again()
        self._opened_s = self._last_event_s = time.monotonic()
        try:
            while not self._stop():
                events = self._step() or self._idle()
                if events:
                    self._last_event_s = time.monotonic()
                ends = [place for place, event in enumerate(events, 1) if _is_end(event)]
                yield events[: ends[0]] if ends else events
                if ends:
                    return
        finally:
            self.close()

    def send(self, command: Command) -> None:
        """Send a command between two events of an iteration; the answer, if any, is a later event.

        Raises:
            PortLostError: If the port is gone.
        """
        self._link.write(self._writer.encode(MessageType.COMMAND, encode_command(command)))

    def close(self) -> None:
        """Stop the device if it streams, and close the port. Iterating again opens it again."""
        self._probe.give_up()
        if not self._link.state.is_open:
            return
        if self._dialogue.is_streaming:
            with suppress(PortLostError):
                self.send(Command(Opcode.STOP))
        self._link.close()
        self._end_link()

    def _step(self) -> list[SourceEvent]:
        if not self._link.state.is_open:
            return self._try_reopen()
        try:
            for command in self._dialogue.due(self._decoder.needs_hello, time.monotonic()):
                self.send(command)
            data = self._link.read().data
        except PortLostError as exc:
            self._end_link()
            return [LinkLost(str(exc))]
        self._first_bytes += data[: _FIRST_BYTES - len(self._first_bytes)]
        events = self._decoder.feed(data)
        self._probe.take(data, self.hello is not None)
        for event in events:
            self._dialogue.follow(event, time.monotonic())
        if not self._dialogue.is_known and time.monotonic() - self._opened_s > self._hello_timeout_s:
            self._wait_no_longer(events)
        return [*events]

    def _try_another_rate(self) -> None:
        """Try another baud rate; raise ProtocolError if none is left and the current one has no time left."""
        bytes_before = self._decoder.counters.bytes_received
        tried = self._probe.go_on(self._first_bytes, time.monotonic())
        if tried is None:
            self._probe.give_up()
            raise self._no_hello()
        if tried:
            self._probe.foreign_bytes += bytes_before
            self._decoder = StreamDecoder()
            self._begin_line()

    def _wait_no_longer(self, events: Sequence[SourceEvent]) -> None:
        """Raise ProtocolError for a device that has not identified itself in time, unless another rate may be right."""
        if self._dialogue.refused is not None:
            self._probe.give_up()
            raise self._dialogue.refused
        if not events:
            self._try_another_rate()

    def _idle(self) -> list[SourceEvent]:
        return [Idle()] if time.monotonic() - self._last_event_s >= self._idle_s else []

    def _begin_link(self) -> None:
        self._first_bytes = b""
        self._begin_line()

    def _begin_line(self) -> None:
        self._dialogue.begin_line()
        with suppress(PortLostError):  # a link that was lost again shows at the next read
            self._link.write(DELIMITER)

    def _end_link(self) -> None:
        self._dialogue.end_link()
        self._decoder.reset_link()

    def _try_reopen(self) -> list[SourceEvent]:
        if not self._link.try_reopen():
            return []
        self._begin_link()
        return [LinkRestored()]

    def _no_hello(self) -> ProtocolError:
        counters, n_bytes = self.counters, self.counters.bytes_received + self._probe.foreign_bytes
        rates = self._probe.tried
        missing = (
            f"No HELLO came from {self.port} within {self._hello_timeout_s:g} s at {' or '.join(map(str, rates))} baud"
        )
        if n_bytes == 0:
            return ProtocolError(
                f"{missing}: not a single byte. Check power, wiring (TX to RX) and that this is the right port.",
                "silent",
                port=self.port,
                baud_rates=rates,
            )
        sender = recognise(self._first_bytes, self._link.baud_rate)
        advice = "Check the baud rate and that the device runs drsn-edge firmware." if sender is None else sender.words
        begins = self._first_bytes[:32]
        return ProtocolError(
            f"{missing}, but {n_bytes} bytes with {counters.frames_ok} good frames and {counters.crc_errors} damaged "
            f"ones. They begin with {begins.hex(' ')} ({begins!r}). {advice}",
            "no_hello",
            port=self.port,
            baud_rates=rates,
            bytes_received=n_bytes,
            frames_ok=counters.frames_ok,
            crc_errors=counters.crc_errors,
            begins=begins,
            sender=None if sender is None else sender.kind,
        )


def open_frames(choice: SourceChoice, wiring: Wiring) -> SerialSource:
    """Return the source of a sensor that sends our frames."""
    return SerialSource(
        choice.port,
        baud_rate=choice.baud_rate,
        stop=wiring.stop,
        on_bytes=wiring.on_bytes,
        gathering=wiring.gathering,
        on_baud_rate=wiring.on_baud_rate,
    )


def _is_end(event: SourceEvent) -> bool:
    return isinstance(event, Status) and event.state is DeviceState.ENDED


def _never() -> bool:
    return False
