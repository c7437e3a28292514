"""Bytes from a device in, events out, and an exact account of what is missing. No I/O."""

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
    """Totals since the decoder was made, over restarts and lost links.

    Attributes:
        bytes_received: Everything fed, delimiters included.
        frames_ok: Frames whose CRC was right, whatever is inside.
        crc_errors: Pieces between delimiters that are no frame: damaged or foreign. The rest of the frame in the
            middle of which the host joined is not among them.
        garbage_bytes: Bytes that belong to no frame with a right CRC, delimiters not counted.
        resyncs: Good frames that followed at least one such piece.
        malformed: Frames with a right CRC whose contents cannot be: the firmware is wrong. One that was doubted, since
            it is further ahead than can be, counts when the next one does not follow it.
        unknown_type: Frames of a type that this host does not know; skipped.
        frames_lost: Gaps in the sequence, up to 32767 frames each, while a link lasted.
        samples_received: Samples delivered.
        samples_lost: Samples that the device produced after the host joined and that will never come.
        overruns: How many times the sensor threw samples away; those are among `samples_lost`, by an estimate.
        duplicates: Blocks dropped because they were repeated or older than what was already delivered or lost.
        samples_duplicate: Samples in them.
        samples_before_hello: Samples dropped because their device or its scale was not known yet.
        restarts: Sessions that followed another one.
        losses_counted: Whether this link numbers its samples. On one that does not, `samples_lost` is an estimate, and
            a sample may be missing or damaged without a trace.
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
    """Return the counters of a tally by their names; what it lacks is 0."""
    return replace(StreamCounters(losses_counted=losses_counted), **dict[str, Any](tally))


class StreamDecoder:
    """Decodes what one device sends.

    A HELLO says where the device stands, in full width; from there on each sample is either delivered or counted
    as lost, and both counters of SAMPLES are taken as the value nearest to the last one known. `feed` never raises
    because of what a device sends: a HELLO that cannot be used becomes a HelloRejected, so that nothing decoded
    before it is lost. It breaks the session: what it says may hold for the samples that follow, so these are dropped
    until a HELLO that can be used comes.
    """

    def __init__(self) -> None:
        """Start knowing nothing."""
        self._splitter = FrameSplitter()
        self._tally: Counter[str] = Counter()
        self._frames = FrameAccount(self._tally)
        self._position = Position(self._tally)
        self._device = Introduction(self._tally, self._position)

    @property
    def hello(self) -> Hello | None:
        """What the device said about itself, or None before that."""
        return self._device.hello

    @property
    def needs_hello(self) -> bool:
        """Whether the device should be asked to identify itself: at first, after a cut, after an unseen restart."""
        return self._device.needs_hello

    @property
    def counters(self) -> StreamCounters:
        """The account so far."""
        return counters_of(
            {**self._tally, "garbage_bytes": self._tally["garbage_bytes"] + self._splitter.bytes_dropped}
        )

    def feed(self, data: bytes) -> list[DecoderEvent]:
        """Take in bytes, any number at a time, and return what they completed, in order."""
        self._tally["bytes_received"] += len(data)
        events: list[DecoderEvent] = []
        for piece in self._splitter.feed(data):
            if piece:
                events += self._on_piece(piece)
            self._frames.in_step = True
        return events

    def reset_link(self) -> None:
        """Tell the decoder that the byte stream was cut here. Session, position and totals are kept."""
        self._tally["garbage_bytes"] += self._splitter.reset()
        self._frames.reset_link()
        self._device.needs_hello = True

    def introduce_again(self) -> None:
        """Have the next HELLO told as if it were the first, for a reader who begins anew; losses until then count."""
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
        return self._on_status(message) if isinstance(message, StatusPayload) else self._on_samples(message)

    def _on_stranger(self, message: SamplesPayload | StatusPayload) -> list[DecoderEvent]:
        """A device that nobody introduced. Only a HELLO makes it known; what it measured until then is dropped."""
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
        """A repeated block, or the first of a device that began anew in the same session."""
        begun = self._device.begin_anew(block)
        if begun:
            return [*begun, *self._on_samples(block)]
        self._tally["duplicates"] += 1
        self._tally["samples_duplicate"] += len(block.samples)
        if self._position.is_long_past(first):
            self._device.needs_hello = True
        return []
