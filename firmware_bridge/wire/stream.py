"""Decoder of the bytes from a device: bytes in, events out, and exact counts of lost data. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from firmware_bridge.errors import FrameError, ProtocolError
from firmware_bridge.support.bounds import COUNTER_END
from firmware_bridge.wire.events import DecoderEvent, DeviceLog, Reply, Status
from firmware_bridge.wire.frame_account import FrameAccount
from firmware_bridge.wire.frames import Frame, FrameSplitter, decode_frame
from firmware_bridge.wire.introduction import Introduction
from firmware_bridge.wire.messages import (
    Hello,
    LogPayload,
    MessageType,
    ReplyPayload,
    SamplesPayload,
    StatusPayload,
    decode_device_message,
)
from firmware_bridge.wire.position import Position


@dataclass(frozen=True)
class StreamCounters:
    """Totals since the decoder was created, across restarts and lost links.

    Attributes:
        bytes_received: Bytes fed, delimiters included.
        frames_ok: Frames with a correct CRC, whatever they contain.
        crc_errors: Pieces between delimiters that are not frames: damaged or foreign. The rest of a frame that was in
            progress when the host joined is not counted.
        garbage_bytes: Bytes outside frames with a correct CRC, delimiters excluded.
        resyncs: Good frames that followed at least one piece of `crc_errors`.
        malformed: Frames with a correct CRC and impossible content: the firmware has a bug. A frame whose position is
            implausibly far ahead counts when the next frame does not follow it.
        unknown_type: Frames of a type that this host does not know; they are skipped.
        frames_lost: Frames missing in the sequence, up to 32767 per gap, while a link lasted.
        samples_received: Samples delivered.
        samples_lost: Samples that the device produced after the host joined and that will never come.
        overruns: Number of times that the sensor discarded samples; `samples_lost` includes an estimate of them.
        duplicates: Blocks dropped because they were repeated, or older than the samples already delivered or lost.
        samples_duplicate: Samples in the blocks of `duplicates`.
        samples_before_hello: Samples dropped because their device or its scale was not known yet.
        restarts: Sessions that followed another one.
        losses_counted: Whether this link numbers its samples. If not, `samples_lost` is an estimate, and a sample may
            be missing or damaged unnoticed.
    """

    bytes_received: int = 0
    frames_ok: int = 0
    crc_errors: int = 0
    garbage_bytes: int = 0
    resyncs: int = 0
    malformed: int = 0
    unknown_type: int = 0
    frames_lost: int = 0
    samples_received: int = 0
    samples_lost: int = 0
    overruns: int = 0
    duplicates: int = 0
    samples_duplicate: int = 0
    samples_before_hello: int = 0
    restarts: int = 0
    losses_counted: bool = True


def counters_of(tally: Mapping[str, int], losses_counted: bool = True) -> StreamCounters:
    """Return the counters in a tally, by name; counters that the tally lacks are 0."""
    return replace(StreamCounters(losses_counted=losses_counted), **dict[str, Any](tally))


class StreamDecoder:
    """Decodes the bytes of one device.

    A HELLO gives the position of the device in full width. After it, each sample is either delivered or counted as
    lost, and both 32-bit counters of SAMPLES are extended to the value nearest to the last one. `feed` never raises
    because of received bytes: a HELLO that is refused becomes a HelloRejected event, so that events decoded before it
    are not lost. A refused HELLO interrupts the session, because it may describe the samples that follow; these are
    dropped until a valid HELLO comes.
    """

    def __init__(self) -> None:
        """Start without a device."""
        self._splitter = FrameSplitter()
        self._tally: Counter[str] = Counter()
        self._frames = FrameAccount(self._tally)
        self._position = Position(self._tally)
        self._device = Introduction(self._tally, self._position)

    @property
    def hello(self) -> Hello | None:
        """The description of the device; None until it is known."""
        return self._device.hello

    @property
    def needs_hello(self) -> bool:
        """Whether to ask the device to identify itself: at first, after an interruption, after an unseen restart."""
        return self._device.needs_hello

    @property
    def counters(self) -> StreamCounters:
        """The counters so far."""
        return counters_of(
            {**self._tally, "garbage_bytes": self._tally["garbage_bytes"] + self._splitter.bytes_dropped}
        )

    def feed(self, data: bytes) -> list[DecoderEvent]:
        """Take in any number of bytes, and return the events that they complete, in order."""
        self._tally["bytes_received"] += len(data)
        events: list[DecoderEvent] = []
        for piece in self._splitter.feed(data):
            if piece:
                events += self._on_piece(piece)
            self._frames.in_step = True
        return events

    def reset_link(self) -> None:
        """Note that the byte stream was interrupted here. Session, position and totals are kept."""
        self._tally["garbage_bytes"] += self._splitter.reset()
        self._frames.reset_link()
        self._device.needs_hello = True

    def introduce_again(self) -> None:
        """Yield the next HELLO as if it were the first, for a new iteration; samples lost until then are counted."""
        self._device.again()

    def _on_piece(self, piece: bytes) -> list[DecoderEvent]:
        try:
            frame = decode_frame(piece)
        except FrameError:
            self._frames.damaged(piece)
            return []
        except ProtocolError:
            self._frames.whole()
            self._frames.malformed()
            return []
        self._frames.whole()
        return self._on_frame(frame)

    def _on_frame(self, frame: Frame) -> list[DecoderEvent]:
        try:
            message = decode_device_message(frame)
        except ProtocolError as exc:
            self._frames.malformed()
            return [self._device.refuse(exc)] if frame.type == MessageType.HELLO else []
        if isinstance(message, SamplesPayload):
            self._frames.in_session(frame.sequence, message.session)
            known = message.session == self._device.session
            return self._on_samples(message) if known else self._on_stranger(message)
        if message is None:
            self._tally["unknown_type"] += 1
        if message is None or isinstance(message, LogPayload):
            self._frames.without_session()
            return [] if message is None else [DeviceLog(message.level, message.text)]
        self._frames.in_session(frame.sequence, message.session)
        if isinstance(message, Hello):
            return self._device.take(message, frame.sequence)
        if isinstance(message, ReplyPayload):
            return [Reply(message.sequence, message.opcode, message.result, message.text)]
        if message.session != self._device.session:
            return self._on_stranger(message)
        return self._on_status(message)

    def _on_stranger(self, message: SamplesPayload | StatusPayload) -> list[DecoderEvent]:
        """Drop the samples of an unknown session; only a HELLO makes it known."""
        self._device.needs_hello = True
        if isinstance(message, SamplesPayload):
            self._tally["samples_before_hello"] += len(message.samples)
        return []

    def _on_status(self, status: StatusPayload) -> list[DecoderEvent]:
        position = self._position
        if not position.go_to(status.samples_produced, status.device_time_us):
            return []
        position.count_overruns(status.overruns)
        event = Status(
            state=status.state,
            samples_produced=status.samples_produced,
            device_time_s=status.device_time_us / 1e6,
            lost_before=position.next_sample - position.last_end,
            overruns=status.overruns,
            samples_dropped=status.samples_dropped,
            buffered=status.buffered,
            buffer_size=status.buffer_size,
            temperature_c=status.temperature_c,
        )
        return [event]

    def _on_samples(self, block: SamplesPayload) -> list[DecoderEvent]:
        position = self._position
        n_samples, n_axes = block.samples.shape
        if n_axes != self._device.n_axes:
            self._tally["malformed"] += 1
            return []
        first, is_near = position.find(block)
        if first + n_samples >= COUNTER_END:
            self._tally["malformed"] += 1
            return []
        if first < position.next_sample:
            return self._on_samples_behind(block, first)
        if not is_near:
            position.doubt(block, first)
            return []
        self._device.goes_on()
        return [position.deliver(block, first)]

    def _on_samples_behind(self, block: SamplesPayload, first: int) -> list[DecoderEvent]:
        """Handle a block from an earlier position: a repeated one, or the first after a restart in the same session."""
        begun = self._device.begin_anew(block)
        if begun:
            return [*begun, *self._on_samples(block)]
        self._tally["duplicates"] += 1
        self._tally["samples_duplicate"] += len(block.samples)
        if self._position.is_long_past(first):
            self._device.needs_hello = True
        return []
