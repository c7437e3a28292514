"""The source of a sketch that prints lines of numbers, on any port that `link` opens; see `wire.text_lines`."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing

import numpy as np

from firmware_bridge.errors import PortLostError, ProtocolError
from firmware_bridge.sources.choice import SourceChoice, Wiring
from firmware_bridge.sources.link import FIRST_PAUSE_S, OnLink
from firmware_bridge.wire.blocks import block_frames
from firmware_bridge.wire.events import DeviceRestarted, Idle, LinkLost, LinkRestored, SampleBlock, SourceEvent
from firmware_bridge.wire.foreign import NUMBERS, recognise
from firmware_bridge.wire.frames import FrameWriter
from firmware_bridge.wire.messages import Hello, MessageType, encode_hello
from firmware_bridge.wire.stream import StreamCounters
from firmware_bridge.wire.text_lines import TextDecoder, TextLayout

DEFAULT_BAUD_RATE = 115_200
_FIRST_BYTES = 512
_BEYOND = 1.01
"""A reading above this multiple of full scale is reported; sensors round what they print at their limit."""


class TextSource(OnLink):
    """Iterates over the lines of a sketch, in the same form as `SerialSource`, until `stop` returns True.

    The Hello comes after three seconds of lines, once the sampling rate is measured.
    """

    def __init__(
        self,
        port: str,
        layout: TextLayout,
        *,
        baud_rate: int = DEFAULT_BAUD_RATE,
        hello_timeout_s: float = 10.0,
        idle_s: float = 0.2,
        reopen_after_s: float = FIRST_PAUSE_S,
        stop: Callable[[], bool] | None = None,
        on_bytes: Callable[[bytes], None] | None = None,
        on_beyond: Callable[[float], None] | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            port: See `Link`.
            layout: Meaning of the numbers.
            baud_rate: Baud rate.
            hello_timeout_s: Seconds until the sampling rate must be known. Some boards reset when their port is opened.
            idle_s: Seconds without any event after which an Idle comes.
            reopen_after_s: Seconds before the first attempt to reopen a lost port.
            stop: Called between reads, i.e. about every 50 ms; the iteration ends when it returns True.
            on_bytes: Called with the frames that a device of ours would have sent, for a raw log.
            on_beyond: Called once with a reading beyond the layout's full scale, in its unit.
            now_s: Monotonic clock in seconds.
        """
        super().__init__(port, baud_rate, reopen_after_s)
        self._hello_timeout_s = hello_timeout_s
        self._idle_s = idle_s
        self._stop = stop or (lambda: False)
        self._on_bytes, self._on_beyond = on_bytes, on_beyond
        self._full_scale = layout.full_scale
        self._now_s = now_s
        self._decoder = TextDecoder(layout, f"text on {self._link.port}"[:64])
        self._writer = FrameWriter()

    @property
    def hello(self) -> Hello | None:
        """The description of the device; None until it is known."""
        return self._decoder.hello

    @property
    def counters(self) -> StreamCounters:
        """The counters so far; their `losses_counted` is False."""
        return self._decoder.counters

    def __iter__(self) -> Iterator[SourceEvent]:
        """Yield events as they come. It raises as `reads` does."""
        with closing(self.reads()) as reads:
            for events in reads:
                yield from events

    def reads(self) -> Generator[list[SourceEvent], None, None]:
        """Yield the events of each read, possibly none; see `event_source.ReadSource`.

        Raises:
            PortError: If the port cannot be opened at the start; a later failure is a LinkLost event.
            ProtocolError: If no lines of numbers come, or they do not fit the layout.
        """
        self._link.open()
        if self.hello is not None:
            self._decoder.introduce_again()
        is_known = False
        opened_s = last_event_s = self._now_s()
        try:
            while not self._stop():
                events = self._step()
                now_s = self._now_s()
                is_known = is_known or any(isinstance(event, Hello) for event in events)
                if not is_known and now_s - opened_s > self._hello_timeout_s:
                    raise self._no_numbers()
                if not events and now_s - last_event_s >= self._idle_s:
                    events = [Idle()]
                if events:
                    last_event_s = now_s
                yield events
        finally:
            self.close()

    def close(self) -> None:
        """Close the port. Iterating again opens it again."""
        if self._link.state.is_open:
            self._link.close()
            self._decoder.reset_link()

    def _step(self) -> list[SourceEvent]:
        if not self._link.state.is_open:
            return [LinkRestored()] if self._link.try_reopen() else []
        try:
            data, has_more = self._link.read()
        except PortLostError as exc:
            self._decoder.reset_link()
            return [LinkLost(str(exc))]
        self._first_bytes += data[: _FIRST_BYTES - len(self._first_bytes)]
        events = self._decoder.feed(data, self._now_s(), has_more=has_more)
        self._look_beyond(events)
        if self._on_bytes is not None:
            self._on_bytes(b"".join(map(self._as_frames, events)))
        return [*events]

    def _look_beyond(self, events: Sequence[SourceEvent]) -> None:
        blocks = [event for event in events if isinstance(event, SampleBlock)]
        if self._on_beyond is None or self.hello is None or not blocks:
            return
        most = max(float(np.abs(block.samples).max()) for block in blocks) * self.hello.scale
        if most > _BEYOND * self._full_scale:
            tell, self._on_beyond = self._on_beyond, None
            tell(most)

    def _as_frames(self, event: Hello | SampleBlock | DeviceRestarted) -> bytes:
        if isinstance(event, Hello):
            return self._writer.encode(MessageType.HELLO, encode_hello(event))
        if isinstance(event, DeviceRestarted) or self.hello is None:
            return b""
        return b"".join(block_frames(self._writer, self.hello, event))

    def _no_numbers(self) -> ProtocolError:
        port, rate = self.port, self._link.baud_rate
        missing = f"No steady lines of numbers, such as 0.01,-0.02,9.81, came from {port} at {rate} baud"
        if not self._first_bytes:
            return ProtocolError(
                f"{missing}: not a single byte. Check power, wiring and that this is the right port.",
                "silent",
                port=port,
                baud_rates=(rate,),
            )
        sender = recognise(self._first_bytes, rate)
        advice = "Check --baud and that the sketch prints one line for each sample."
        if sender is not None and sender.kind != NUMBERS:
            advice = sender.words
        begins = self._first_bytes[:32]
        return ProtocolError(
            f"{missing}. The bytes begin with {begins!r}. {advice}",
            "no_numbers",
            port=port,
            baud_rates=(rate,),
            begins=begins,
            sender=None if sender is None else sender.kind,
        )


def open_text(choice: SourceChoice, wiring: Wiring) -> TextSource:
    """Return the source of a sensor that prints lines of numbers.

    Raises:
        ProtocolError: If the choice has no layout of the lines.
    """
    if choice.text is None:
        raise ProtocolError(
            f"Lines of numbers from {choice.port} need a unit and a full scale. Set them with --text-unit and "
            "--text-range.",
            "no_layout",
            port=choice.port,
        )
    return TextSource(
        choice.port,
        choice.text,
        baud_rate=choice.baud_rate or DEFAULT_BAUD_RATE,
        stop=wiring.stop,
        on_bytes=wiring.on_bytes,
        on_beyond=wiring.on_beyond,
    )
