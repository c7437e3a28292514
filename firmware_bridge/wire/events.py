"""The events of a stream: frozen values that a consumer tells apart with isinstance.

`StreamDecoder` yields Hello, SampleBlock, Status, Reply, DeviceLog, DeviceRestarted and HelloRejected. A source yields
these and LinkLost, LinkRestored, Idle and Note; it raises the error of a HelloRejected while the device is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware_bridge.errors import ProtocolError
from firmware_bridge.wire.messages import Counts, DeviceState, Hello, LogLevel, Result


@dataclass(frozen=True, slots=True, eq=False)
class SampleBlock:
    """The samples of one frame.

    Attributes:
        first_sample: Index of the first sample in its session, 64 bit.
        device_time_s: Device time of the first sample.
        samples: Counts, shape (n, axes), read-only; multiplied by `Hello.scales` they are in `Hello.unit`.
        lost_before: Samples missing between the previous block (at first: the host's start) and this one.
        overrun: Whether the sensor discarded samples right before this block; their number is an estimate, may be 0.
    """

    first_sample: int
    device_time_s: float
    samples: Counts
    lost_before: int
    overrun: bool = False

    @property
    def continues(self) -> bool:
        """Whether the block follows the previous one without a gap; otherwise no window may span both."""
        return not (self.lost_before or self.overrun)


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the device.

    Attributes:
        state: Whether the device is idle, streams, or has ended.
        samples_produced: Samples that the device has produced in this session.
        device_time_s: Device time.
        lost_before: Samples missing between the last block and this status. They are lost for good and already counted;
            the next block, if one comes, includes them in its own `lost_before`.
        overruns: Number of times that the sensor discarded samples in this session.
        samples_dropped: Samples that the device dropped in this session because the wire was too slow.
        buffered: Bytes waiting in the device's send buffer.
        buffer_size: Size of the send buffer in bytes; 0 if there is none.
        temperature_c: Temperature of the sensor in degrees Celsius; None if it has no thermometer.
    """

    state: DeviceState
    samples_produced: int
    device_time_s: float
    lost_before: int
    overruns: int = 0
    samples_dropped: int = 0
    buffered: int = 0
    buffer_size: int = 0
    temperature_c: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of a command.

    Attributes:
        sequence: Sequence number of the host's frame with the command.
        opcode: Opcode of the command.
        result: Whether the command was carried out, or why not.
        text: Explanation by the device; may be empty.
    """

    sequence: int
    opcode: int
    result: Result
    text: str


@dataclass(frozen=True, slots=True)
class DeviceLog:
    """A message of the device for people."""

    level: LogLevel
    text: str


@dataclass(frozen=True, slots=True)
class DeviceRestarted:
    """A new session: sample index and device time restart. The new Hello follows."""

    previous_session: int
    session: int


@dataclass(frozen=True, slots=True)
class HelloRejected:
    """A complete HELLO was refused: another protocol version, missing fields, impossible values, or a contradiction.

    No samples follow until a valid HELLO comes.
    """

    error: ProtocolError


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The port is gone (unplugged, powered off). This event comes once; the source keeps trying to reopen the port."""

    reason: str


@dataclass(frozen=True, slots=True)
class LinkRestored:
    """The port is open again. Samples follow as soon as the device has identified itself."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing happened for a while; a consumer with timeouts can act now."""


@dataclass(frozen=True, slots=True)
class Note:
    """An action on the consumer at this point of the stream, such as "acknowledge".

    No device sends a Note. It is inserted between events, so that a raw log records it and a replay repeats it.
    """

    text: str


DecoderEvent = Hello | SampleBlock | Status | Reply | DeviceLog | DeviceRestarted | HelloRejected
SourceEvent = DecoderEvent | LinkLost | LinkRestored | Idle | Note
