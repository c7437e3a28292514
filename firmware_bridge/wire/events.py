"""What comes out of a stream: frozen values that a consumer can tell apart with isinstance.

From `StreamDecoder`: Hello, SampleBlock, Status, Reply, DeviceLog, DeviceRestarted, HelloRejected.
From a source, in addition: LinkLost, LinkRestored, Idle, Note. A source raises what HelloRejected holds as long as it
knows no device.
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
        samples: Counts, shape (n, axes), read-only; times `Hello.scales` they are in `Hello.unit`.
        lost_before: Samples missing between the block delivered before (at first: where the host joined) and this
            one.
        overrun: Whether the sensor itself threw samples away right before: how many is then an estimate, and may be 0.
    """

    first_sample: int
    device_time_s: float
    samples: Counts
    lost_before: int
    overrun: bool = False

    @property
    def continues(self) -> bool:
        """Whether it follows on the block before; if not, nothing may be computed across the seam."""
        return not (self.lost_before or self.overrun)


@dataclass(frozen=True, slots=True)
class Status:
    """What the device does.

    Attributes:
        samples_produced: Samples that the device has produced in this session.
        lost_before: Samples missing between the last block delivered and this status. They are lost for good and
            already counted; the next block, if one comes, has them in its own `lost_before` again.
        overruns: How many times the sensor threw samples away in this session.
        samples_dropped: Samples that the device dropped in this session because the wire was too slow.
        buffered: Bytes that wait to be sent.
        buffer_size: Bytes that there is room for, 0 if there is no such buffer.
        temperature_c: Of the sensor, None if it has no thermometer.
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
    """How a command went.

    Attributes:
        sequence: Of the host's frame that had the command.
        opcode: Of the command.
        result: Whether it was done, or why not.
        text: What the device says of it, may be empty.
    """

    sequence: int
    opcode: int
    result: Result
    text: str


@dataclass(frozen=True, slots=True)
class DeviceLog:
    """What the device says to people."""

    level: LogLevel
    text: str


@dataclass(frozen=True, slots=True)
class DeviceRestarted:
    """Another session: index and device time begin again. The new Hello follows."""

    previous_session: int
    session: int


@dataclass(frozen=True, slots=True)
class HelloRejected:
    """A HELLO came in whole, but is from another protocol version, incomplete, impossible, or contradicts its session.

    No sample follows before a HELLO that can be used.
    """

    error: ProtocolError


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The port is gone (unplugged, powered off). Comes once; the source goes on trying to open it."""

    reason: str


@dataclass(frozen=True, slots=True)
class LinkRestored:
    """The port is open again. Samples follow as soon as the device has identified itself."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing happened for a while; a consumer that watches the time can act now."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was done to whoever follows the stream, at this point of it, such as "acknowledge".

    No device sends it: it is put between events, so that a raw log has it and a replay repeats it.
    """

    text: str


DecoderEvent = Hello | SampleBlock | Status | Reply | DeviceLog | DeviceRestarted | HelloRejected
SourceEvent = DecoderEvent | LinkLost | LinkRestored | Idle | Note
