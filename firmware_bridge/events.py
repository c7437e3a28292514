"""What comes out of a stream: frozen values that a consumer can tell apart with isinstance.

From `StreamDecoder`: Hello, SampleBlock, Status, DeviceRestarted, HelloRejected.
From a source, in addition: LinkLost, LinkRestored, Idle; a source raises what HelloRejected holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import ProtocolError
from firmware_bridge.messages import DeviceState, Hello


@dataclass(frozen=True, slots=True, eq=False)
class SampleBlock:
    """The samples of one frame.

    Attributes:
        first_sample: Index of the first sample in its session, 64 bit.
        device_time_s: Device time of the first sample.
        samples: Counts, int16, shape (n, axes), read-only; times `Hello.scale` they are in `Hello.unit`.
        lost_before: Samples missing between the block delivered before (at first: where the host joined) and this
            one. If it is not 0, nothing may be computed across the seam.
    """

    first_sample: int
    device_time_s: float
    samples: NDArray[np.int16]
    lost_before: int


@dataclass(frozen=True, slots=True)
class Status:
    """What the device does.

    Attributes:
        samples_produced: Samples that the device has produced in this session.
        lost_before: Samples missing between the last block delivered and this status. They are lost for good and
            already counted; the next block, if one comes, has them in its own `lost_before` again.
    """

    state: DeviceState
    samples_produced: int
    device_time_s: float
    lost_before: int


@dataclass(frozen=True, slots=True)
class DeviceRestarted:
    """Another session: index and device time begin again. The new Hello follows."""

    previous_session: int
    session: int


@dataclass(frozen=True, slots=True)
class HelloRejected:
    """A HELLO came in whole, but is from another protocol version, incomplete, or contradicts its own session."""

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


DecoderEvent = Hello | SampleBlock | Status | DeviceRestarted | HelloRejected
SourceEvent = Hello | SampleBlock | Status | DeviceRestarted | LinkLost | LinkRestored | Idle
