"""Bytes from a device in, events out, and an exact account of what is missing. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from firmware_bridge.errors import FrameError, ProtocolError
from firmware_bridge.support.bounds import COUNTER_END
from firmware_bridge.wire.events import (
    DecoderEvent,
    DeviceLog,
    DeviceRestarted,
    HelloRejected,
    Reply,
    SampleBlock,
    Status,
)
from firmware_bridge.wire.frames import SEQUENCE_MODULUS, Frame, FrameSplitter, decode_frame
from firmware_bridge.wire.messages import (
    Hello,
    LogPayload,
    MessageType,
    ReplyPayload,
    SamplesPayload,
    StatusPayload,
    decode_device_message,
)

_BEHIND_S = 1.0
"""A HELLO that is repeated is behind by less; one that is further behind may tell of a restart."""

_AHEAD_S, _SOON_S, _ROOM = 3600.0, 60.0, 1 << 16
"""A position that is further ahead than so many seconds is believed only if the next one follows it soon; some samples
more, since the block of a slow sensor may take longer."""


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


def extend(low_bits: int, near: int, modulus: int = 1 << 32) -> int:
    """Return the number nearest to `near` that equals `low_bits` modulo `modulus`."""
    return near + (low_bits - near + modulus // 2) % modulus - modulus // 2


def _contradiction(known: Hello, hello: Hello) -> str:
    """Return what a device says of itself that it said otherwise before, in the same session."""
    each_way = [
        (each.name, getattr(known, each.name), getattr(hello, each.name)) for each in fields(Hello) if each.compare
    ]
    words = ", ".join(f"{name} from {before!r} to {after!r}" for name, before, after in each_way if before != after)
    return (
        f"Device {known.device_id} changed {words} in the same session, which a device must not. "
        "It is asked again; if that repeats, update its firmware."
    )


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
        self._hello: Hello | None = None
        self._is_broken = False  # whether a HELLO was refused since the last good one
        self._behind: tuple[Hello, int] | None = None  # HELLO and sequence, of the known session, from far behind
        self._doubted: tuple[int, int] | None = None  # sample and device time of the last message, if too far ahead
        self._forget_link()
        # All four count within the session. Delivered or lost: below _next_sample. _last_end: end of the last block.
        self._next_sample = self._last_end = self._device_time_us = self._overruns = 0

    @property
    def hello(self) -> Hello | None:
        """What the device said about itself, or None before that."""
        return self._hello

    @property
    def needs_hello(self) -> bool:
        """Whether the device should be asked to identify itself: at first, after a cut, after an unseen restart."""
        return self._needs_hello

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
            self._in_step = True
        return events

    def reset_link(self) -> None:
        """Tell the decoder that the byte stream was cut here. Session, position and totals are kept."""
        self._tally["garbage_bytes"] += self._splitter.reset()
        self._forget_link()

    def introduce_again(self) -> None:
        """Have the next HELLO told as if it were the first, for a reader who begins anew; losses until then count."""
        self._is_broken = self._hello is not None
        self._needs_hello = True

    def _forget_link(self) -> None:
        self._needs_hello = True
        self._in_step = False  # whether a delimiter was seen: what comes before the first may be half a frame
        self._damaged = False
        self._next_sequence: int | None = None
        self._sequence_session: int | None = None
        self._frames_without_session = 0

    def _on_piece(self, piece: bytes) -> list[DecoderEvent]:
        try:
            frame = decode_frame(piece)
        except FrameError:
            self._on_damage(piece)
            return []
        except ProtocolError:
            self._on_good_crc()
            self._on_malformed()
            return []
        self._on_good_crc()
        return self._on_frame(frame)

    def _on_damage(self, piece: bytes) -> None:
        self._tally["garbage_bytes"] += len(piece)
        if self._in_step:
            self._tally["crc_errors"] += 1
            self._damaged = True

    def _on_good_crc(self) -> None:
        self._tally["frames_ok"] += 1
        if self._damaged:
            self._tally["resyncs"] += 1
            self._damaged = False

    def _on_malformed(self) -> None:
        self._tally["malformed"] += 1
        self._frames_without_session += 1

    def _on_frame(self, frame: Frame) -> list[DecoderEvent]:
        try:
            message = decode_device_message(frame)
        except ProtocolError as exc:
            self._on_malformed()
            return [self._refuse(exc)] if frame.type == MessageType.HELLO else []
        if message is None:
            self._tally["unknown_type"] += 1
        if message is None or isinstance(message, LogPayload):
            self._frames_without_session += 1
            return [] if message is None else [DeviceLog(message.level, message.text)]
        self._follow_sequence(frame.sequence, message.session)
        if isinstance(message, Hello):
            return self._on_hello(message, frame.sequence)
        if isinstance(message, ReplyPayload):
            return [Reply(message.sequence, message.opcode, message.result, message.text)]
        if self._hello is None or self._is_broken or message.session != self._hello.session:
            return self._on_stranger(message)
        if isinstance(message, StatusPayload):
            return self._on_status(message)
        return self._on_samples(message, len(self._hello.axes))

    def _follow_sequence(self, sequence: int, session: int) -> None:
        """Count the gap to the last frame of this session; frames that named no session fill it as well."""
        if self._next_sequence is None or session != self._sequence_session:
            gap = 0
        else:
            gap = extend(sequence, self._next_sequence, SEQUENCE_MODULUS) - self._next_sequence
            if gap < 0:  # a repeated frame
                return
            self._tally["frames_lost"] += max(0, gap - self._frames_without_session)
        self._sequence_session = session
        self._next_sequence = (sequence + 1) % SEQUENCE_MODULUS
        self._frames_without_session = 0

    def _on_hello(self, hello: Hello, sequence: int) -> list[DecoderEvent]:
        """A HELLO of the known session only moves the position, unless it has begun anew; Hello comes out once."""
        known = self._hello
        is_same = known is not None and hello.session == known.session
        if known is not None and is_same:
            if not self._is_broken and hello != known:
                self._tally["malformed"] += 1
                return [self._refuse(ProtocolError(_contradiction(known, hello)))]
            if not self._is_broken and self._is_behind(hello):
                return self._on_hello_behind(hello, sequence)
            if not self._is_broken:
                self._needs_hello = not self._go_to(hello.samples_produced, hello.device_time_us)
                return []
            self._advance(hello.samples_produced, hello.device_time_us)
        return self._begin(known, hello, is_restart=not is_same)

    def _is_behind(self, position: Hello) -> bool:
        behind = self._next_sample - position.samples_produced
        return behind > _BEHIND_S * position.sample_rate_hz and position.device_time_us < self._device_time_us

    def _on_hello_behind(self, hello: Hello, sequence: int) -> list[DecoderEvent]:
        """A late copy, or a device that drew the same session again: another HELLO, or SAMPLES behind it, will tell."""
        before, self._behind = self._behind, (hello, sequence)
        self._needs_hello = True
        if before is None or before[1] == sequence:
            return []
        return self._begin(self._hello, hello, is_restart=True)

    def _begin(self, known: Hello | None, hello: Hello, is_restart: bool) -> list[DecoderEvent]:
        self._hello, self._behind, self._doubted = hello, None, None
        self._needs_hello = self._is_broken = False
        self._next_sample = self._last_end = hello.samples_produced
        self._device_time_us = hello.device_time_us
        self._overruns = 0
        if known is None:
            return [hello]
        self._tally["restarts"] += is_restart
        return [DeviceRestarted(known.session, hello.session), hello]

    def _refuse(self, error: ProtocolError) -> HelloRejected:
        self._is_broken = self._needs_hello = True
        return HelloRejected(error)

    def _on_stranger(self, message: SamplesPayload | StatusPayload) -> list[DecoderEvent]:
        """A device that nobody introduced. Only a HELLO makes it known; what it measured until then is dropped."""
        self._needs_hello = True
        if isinstance(message, SamplesPayload):
            self._tally["samples_before_hello"] += len(message.samples)
        return []

    def _on_status(self, status: StatusPayload) -> list[DecoderEvent]:
        if not self._go_to(status.samples_produced, status.device_time_us):
            return []
        self._count_overruns(status.overruns)
        event = Status(
            state=status.state,
            samples_produced=status.samples_produced,
            device_time_s=status.device_time_us / 1e6,
            lost_before=self._next_sample - self._last_end,
            overruns=status.overruns,
            samples_dropped=status.samples_dropped,
            buffered=status.buffered,
            buffer_size=status.buffer_size,
            temperature_c=status.temperature_c,
        )
        return [event]

    def _count_overruns(self, in_session: int) -> None:
        """Count what is new: a block that tells of one may itself be lost, and STATUS then tells of it later."""
        self._tally["overruns"] += max(0, in_session - self._overruns)
        self._overruns = max(self._overruns, in_session)

    def _go_to(self, samples_produced: int, device_time_us: int) -> bool:
        """Advance, unless no sensor can have come so far; return whether it is believed."""
        doubted, self._doubted = self._doubted, None
        if self._is_in_reach(samples_produced, device_time_us):
            self._tally["malformed"] += doubted is not None
        elif doubted is None or not self._follows(doubted, samples_produced, device_time_us):
            self._tally["malformed"] += doubted is not None
            self._doubted = samples_produced, device_time_us
            return False
        self._advance(samples_produced, device_time_us)
        return True

    def _samples_in(self, seconds: float) -> float:
        return _ROOM + seconds * self._rate_hz

    @property
    def _rate_hz(self) -> float:
        return 1.0 if self._hello is None else self._hello.sample_rate_hz

    def _is_in_reach(self, sample: int, device_time_us: int) -> bool:
        ahead = sample - self._next_sample
        reach_s = _AHEAD_S + 2 * max(ahead, _ROOM) / self._rate_hz
        return ahead <= self._samples_in(_AHEAD_S) and device_time_us - self._device_time_us <= 1e6 * reach_s

    def _follows(self, doubted: tuple[int, int], sample: int, device_time_us: int) -> bool:
        is_soon = 0 <= device_time_us - doubted[1] <= 1e6 * self._samples_in(_SOON_S) / self._rate_hz
        return is_soon and 0 <= sample - doubted[0] <= self._samples_in(_SOON_S)

    def _bears_out(self, message: SamplesPayload) -> bool:
        """Tell whether a block that is not the next one follows the position that was doubted; then go there."""
        if self._doubted is None:
            return False
        doubted = self._doubted
        position = extend(message.first_sample, doubted[0]), extend(message.device_time_us, doubted[1])
        if not self._follows(doubted, *position):
            return False
        self._doubted = None
        self._advance(*doubted)
        return True

    def _advance(self, samples_produced: int, device_time_us: int) -> None:
        """Count as lost what the device has sent and the host has not seen; an older message changes nothing."""
        self._tally["samples_lost"] += max(0, samples_produced - self._next_sample)
        self._next_sample = max(self._next_sample, samples_produced)
        self._device_time_us = max(self._device_time_us, device_time_us)

    def _on_samples(self, message: SamplesPayload, n_axes: int) -> list[DecoderEvent]:
        if message.samples.shape[1] != n_axes:
            self._tally["malformed"] += 1
            return []
        first = extend(message.first_sample, self._next_sample)
        is_near = 0 <= first - self._next_sample <= self._samples_in(_AHEAD_S)
        if not is_near and self._bears_out(message):
            first, is_near = extend(message.first_sample, self._next_sample), True
        if first + len(message.samples) >= COUNTER_END:
            self._tally["malformed"] += 1
            return []
        if first < self._next_sample:
            return self._on_samples_behind(message, n_axes, self._next_sample - first)
        if not is_near:
            self._tally["malformed"] += self._doubted is not None
            self._doubted = first + len(message.samples), extend(message.device_time_us, self._device_time_us)
            return []
        self._tally["malformed"] += self._doubted is not None
        self._behind = self._doubted = None
        if message.overrun:
            self._count_overruns(self._overruns + 1)
        self._device_time_us = min(max(extend(message.device_time_us, self._device_time_us), 0), COUNTER_END - 1)
        lost = first - self._last_end
        block = SampleBlock(first, self._device_time_us / 1e6, message.samples, lost, message.overrun)
        self._tally["samples_lost"] += first - self._next_sample
        self._tally["samples_received"] += len(message.samples)
        self._next_sample = self._last_end = first + len(message.samples)
        return [block]

    def _on_samples_behind(self, message: SamplesPayload, n_axes: int, by: int) -> list[DecoderEvent]:
        """A repeated block, or the first of a device that began anew in the same session."""
        if self._behind is not None:
            hello, _ = self._behind
            first = extend(message.first_sample, hello.samples_produced)
            if hello.samples_produced <= first < self._next_sample:
                return [*self._begin(self._hello, hello, is_restart=True), *self._on_samples(message, n_axes)]
        self._tally["duplicates"] += 1
        self._tally["samples_duplicate"] += len(message.samples)
        if by > _BEHIND_S * self._rate_hz:
            self._needs_hello = True
        return []
