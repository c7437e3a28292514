"""A device made of frames, for tests that need no port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from threading import Thread

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.virtual.accelerometer import VirtualAccelerometer, VirtualSummary
from firmware_bridge.wire.frames import FrameWriter
from firmware_bridge.wire.messages import (
    DeviceState,
    Hello,
    MessageType,
    SamplesPayload,
    StatusPayload,
    encode_hello,
    encode_samples,
    encode_status,
)

RATE_HZ = 4000.0


@dataclass
class FrameDevice:
    """Each method returns the next frame as bytes on the wire."""

    session: int = 0xC0FFEE
    writer: FrameWriter = field(default_factory=FrameWriter)

    @property
    def description(self) -> Hello:
        return Hello(
            self.session, "bench-1", "0.1.0", "ADXL355", ("x", "y", "z"), "g", 8 / 2**15, 8.0, RATE_HZ
        )  # fmt: skip

    @staticmethod
    def counts(first: int, n: int) -> NDArray[np.int16]:
        """Small values with many zeros, different for each index."""
        index = np.arange(first, first + n)[:, None] * [1, 7, 31] + [0, 1, 2]
        return (index % 500 - 250).astype(np.int16)

    @staticmethod
    def time_us(first: int) -> int:
        return round(first / RATE_HZ * 1e6)

    def hello(self, produced: int = 0) -> bytes:
        hello = replace(self.description, samples_produced=produced, device_time_us=self.time_us(produced))
        return self.writer.encode(MessageType.HELLO, encode_hello(hello))

    def block(self, first: int, n: int = 10) -> bytes:
        message = SamplesPayload(self.session, first, self.time_us(first), self.counts(first, n))
        return self.writer.encode(MessageType.SAMPLES, encode_samples(message))

    def status(self, produced: int, state: DeviceState = DeviceState.STREAMING) -> bytes:
        message = StatusPayload(self.session, produced, self.time_us(produced), state)
        return self.writer.encode(MessageType.STATUS, encode_status(message))


@pytest.fixture(scope="session")
def new_device() -> type[FrameDevice]:
    return FrameDevice


@contextmanager
def _running(device: VirtualAccelerometer) -> Iterator[list[VirtualSummary]]:
    summaries: list[VirtualSummary] = []
    stopped = False
    thread = Thread(target=lambda: summaries.append(device.run(lambda: stopped)))
    thread.start()
    try:
        yield summaries
        thread.join(5.0)
    finally:
        stopped = True
        thread.join()


@pytest.fixture
def running() -> Callable[[VirtualAccelerometer], AbstractContextManager[list[VirtualSummary]]]:
    """Run a device in a thread while the block lasts; its summary is in the list afterwards."""
    return _running
