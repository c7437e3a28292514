"""A device that speaks the protocol of PROTOCOL.md, on whatever `link` opens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from firmware_bridge.errors import PortLostError, ProtocolError
from firmware_bridge.sources.baud_probe import BaudProbe
from firmware_bridge.sources.choice import SourceChoice, Wiring
from firmware_bridge.sources.dialogue import Dialogue
from firmware_bridge.sources.link import FIRST_PAUSE_S, GATHER_S, OnLink
from firmware_bridge.wire.events import Idle, LinkLost, LinkRestored, SourceEvent, Status
from firmware_bridge.wire.foreign import recognise
from firmware_bridge.wire.frames import DELIMITER, FrameWriter
from firmware_bridge.wire.messages import Command, DeviceState, Hello, MessageType, Opcode, encode_command
from firmware_bridge.wire.stream import StreamCounters, StreamDecoder

DEFAULT_BAUD_RATE = 921_600
"""Carries 3 axes of int16 at up to 14 kHz; a USB device ignores it."""

_FIRST_BYTES = 512
"""Kept of a link, to say what it is that speaks there."""


class SerialSource(OnLink):
    """Iterates over what a device sends, from its Hello to its last sample, through unplugging and restarts.

    Iterating opens the port, asks the device to identify itself and starts it. The iteration ends when the device
    has ended or `stop` returns True; the port is then closed, and a device that still streams is told to stop.
    A device whose HELLO is refused is asked again, and its samples are dropped, until one comes that can be used.
    Reading happens in the consumer's thread: what it does between two events must fit the kernel's buffer, or
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
        gather_s: float = GATHER_S,
        on_baud_rate: Callable[[int], None] | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            port: Path (links are followed), Windows name, pyserial URL, or what else `ports.find_port` takes.
            baud_rate: In baud. None: `DEFAULT_BAUD_RATE`, and where no HELLO comes and what comes is no text, those of
                our boards for `baud_probe.PROBE_S`, unless the port is one to which rates do not matter.
            hello_timeout_s: How long a device may take to identify itself for the first time. Some boards
                reset when their port is opened and need two seconds.
            idle_s: After how long without any event an Idle comes.
            reopen_after_s: How soon a lost port is tried again at first; see `Link`.
            stop: Asked between reads, i.e. about every 50 ms.
            start: Whether to start the device once it has identified itself.
            gather_s: How long to let bytes gather before each read; see `Link`.
            on_bytes: Given all that is read, as it is read and before it is decoded; b"" where nothing came. What came
                at a rate that was the wrong one is left out.
            on_baud_rate: Told of a rate other than the usual one at which a HELLO came.
        """
        super().__init__(port, baud_rate or DEFAULT_BAUD_RATE, reopen_after_s, gather_s)
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
        """What the device said about itself, or None before that."""
        return self._decoder.hello

    @property
    def counters(self) -> StreamCounters:
        """The account so far, over lost links, restarts and several iterations."""
        return self._decoder.counters

    def __iter__(self) -> Iterator[SourceEvent]:
        """Yield events as they come; each iteration begins with a Hello.

        Raises:
            PortError: If the port cannot be opened at the start; later on that is a lost link.
            ProtocolError: If no device identifies itself, or it speaks another protocol from the start.
        """
        self._link.open()
        self._begin_link()
        self._dialogue.begin()
        self._decoder.introduce_again()
        self._opened_s = self._last_event_s = time.monotonic()
        try:
            while not self._stop():
                for event in self._step() or self._idle():
                    self._last_event_s = time.monotonic()
                    yield event
                    if isinstance(event, Status) and event.state is DeviceState.ENDED:
                        return
        finally:
            self.close()

    def send(self, command: Command) -> None:
        """Send a command of the user's while iterating: between two events. The answer, if any, is one of those.

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
        """Raise ProtocolError unless another rate is tried, or the one that is being tried has time left."""
        bytes_before = self._decoder.counters.bytes_received
        tried = self._probe.go_on(self._first_bytes, time.monotonic())
        if tried is None:
            self._probe.give_up()
            raise ProtocolError(self._no_hello())
        if tried:
            self._probe.foreign_bytes += bytes_before
            self._decoder = StreamDecoder()
            self._begin_line()

    def _wait_no_longer(self, events: Sequence[SourceEvent]) -> None:
        """Raise ProtocolError for a device that has not described itself in time, unless another rate may be right."""
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
        with suppress(PortLostError):  # a link that is lost again shows at the next read
            self._link.write(DELIMITER)

    def _end_link(self) -> None:
        self._dialogue.end_link()
        self._decoder.reset_link()

    def _try_reopen(self) -> list[SourceEvent]:
        if not self._link.try_reopen():
            return []
        self._begin_link()
        return [LinkRestored()]

    def _no_hello(self) -> str:
        counters, n_bytes = self.counters, self.counters.bytes_received + self._probe.foreign_bytes
        expected = f"Expected a HELLO from {self.port} within {self._hello_timeout_s:g} s"
        if n_bytes == 0:
            return (
                f"{expected} at {self._probe.rates_in_words} baud, got not a single byte. Check power, wiring "
                "(TX to RX) and that this is the right port."
            )
        guess = recognise(self._first_bytes, self._link.baud_rate) or (
            "Check the baud rate and that the device runs drsn-edge firmware."
        )
        begins = self._first_bytes[:32]
        return (
            f"{expected} at {self._probe.rates_in_words} baud, got {n_bytes} bytes, {counters.frames_ok} "
            f"good frames and {counters.crc_errors} damaged ones; it begins with {begins.hex(' ')} ({begins!r}). "
            f"{guess}"
        )


def open_frames(choice: SourceChoice, wiring: Wiring) -> SerialSource:
    """Return the source of a sensor that sends our frames."""
    return SerialSource(
        choice.port,
        baud_rate=choice.baud_rate,
        stop=wiring.stop,
        on_bytes=wiring.on_bytes,
        gather_s=wiring.gather_s,
        on_baud_rate=wiring.on_baud_rate,
    )


def _never() -> bool:
    return False
