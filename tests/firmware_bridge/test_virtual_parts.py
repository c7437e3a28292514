"""The parts of a virtual accelerometer, without a port."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.virtual.device import VirtualDevice
from firmware_bridge.virtual.fault_script import parse_script
from firmware_bridge.virtual.faults import FaultInjector
from firmware_bridge.virtual.sample_feed import SampleFeed
from firmware_bridge.virtual.wire_end import WireEnd
from firmware_bridge.wire.frames import DELIMITER, Frame, encode_frame
from firmware_bridge.wire.messages import Command, DeviceState, Hello, Opcode, Result

HELLO = Hello(
    1, "bench-1", "0.1.0", "ADXL355", ("x", "y"), "g", 0.001, 2.0, 100.0,
    sample_rates_hz=(100.0, 200.0), full_scales=(2.0, 4.0),
)  # fmt: skip


def numbered(n_samples: int) -> NDArray[np.int16]:
    return np.arange(2 * n_samples, dtype=np.int16).reshape(-1, 2)


def device(*faults: str) -> VirtualDevice:
    return VirtualDevice(HELLO, 100.0, FaultInjector(parse_script(faults), 0).sensor)


def test_a_feed_cuts_chunks_of_any_length_into_blocks_and_takes_none_before_it_is_asked() -> None:
    taken = []

    def chunks() -> Iterator[NDArray[np.int16]]:
        for n_samples in (3, 10, 0, 4):
            taken.append(n_samples)
            yield numbered(n_samples)

    feed = SampleFeed(chunks(), 2, 0.001, 5)
    assert feed.pending is None and not taken
    lengths: list[int] = []
    feed.go_on()
    while feed.pending is not None:
        lengths.append(len(feed.pending))
        feed.go_on()
    assert lengths == [5, 5, 5, 2]


def test_what_is_skipped_is_the_rest_of_a_block_at_most() -> None:
    feed = SampleFeed([numbered(8)], 2, 0.001, 5)
    assert feed.skip(3) == 0  # nothing is pending
    feed.go_on()
    assert feed.skip(2) == 2 and feed.pending is not None and feed.pending[0].tolist() == [4, 5]
    assert feed.skip(9) == 3 and feed.pending is not None and feed.pending[0].tolist() == [10, 11]
    assert feed.skip(9) == 3 and feed.pending is None


def test_time_passes_with_samples_and_begins_anew_with_a_session() -> None:
    sensor = device("rate 1 at 0.5")
    sensor.pass_by(50)
    assert sensor.time_s == 0.5
    sensor.pass_by(50)
    assert sensor.time_s == 0.75 and sensor.hello().device_time_us == 750_000
    before = sensor.session
    sensor.begin_session()
    assert sensor.session != before and sensor.hello().samples_produced == 0 and sensor.samples_produced == 100


def test_an_overrun_is_told_in_one_block_and_counted_in_status() -> None:
    sensor = device()
    sensor.has_overrun = True
    assert [sensor.block(numbered(1)).overrun for _ in range(2)] == [True, False]
    assert sensor.status().overruns == 1


@pytest.mark.parametrize(
    ("command", "state", "result"),
    [
        (Command(Opcode.SET_RATE, 200_000), DeviceState.IDLE, Result.DONE),
        (Command(Opcode.SET_RATE, 300_000), DeviceState.IDLE, Result.IMPOSSIBLE_VALUE),
        (Command(Opcode.SET_RANGE, 4_000), DeviceState.STREAMING, Result.STREAMING),
        (Command(Opcode.RESET), DeviceState.STREAMING, Result.DONE),
    ],
)
def test_a_change_begins_a_session_or_changes_nothing(command: Command, state: DeviceState, result: Result) -> None:
    sensor = device()
    sensor.state, before = state, sensor.session
    assert sensor.change(command)[0] is result
    assert (sensor.session != before) == (result is Result.DONE)


class Wire:
    """An endpoint whose reader comes and goes."""

    address = "nowhere"
    there = True

    def __init__(self, *came: bytes) -> None:
        self.came, self.written = list(came), b""

    def present(self) -> bool:
        return self.there

    def read(self, timeout_s: float) -> bytes:
        return self.came.pop(0)

    def write(self, data: bytes, stop: Callable[[], bool]) -> bool:
        self.written += data
        return True

    def unplug(self) -> None:
        self.there = False

    def replug(self) -> None:
        self.there = True

    def close(self) -> None:
        pass


def test_a_frame_for_a_new_reader_has_a_delimiter_before_it_and_none_is_written_for_nobody() -> None:
    wire = Wire()
    end = WireEnd(wire, FaultInjector((), 0).link, lambda: False)
    assert end.send(3, b"a", 0.0, spared=False) and end.send(3, b"b", 0.0, spared=False)
    assert wire.written == DELIMITER + encode_frame(Frame(3, 0, b"a")) + encode_frame(Frame(3, 1, b"b"))
    end.plug(True)
    assert not end.send(3, b"c", 0.0, spared=False)


def test_damaged_frames_are_passed_over() -> None:
    whole = encode_frame(Frame(3, 0, b"a"))
    end = WireEnd(Wire(b"\x05junk\0" + whole[:3], whole[3:]), FaultInjector((), 0).link, lambda: False)
    taken: list[Frame] = []
    end.listen(0.0, taken.append)
    end.listen(0.0, taken.append)
    assert taken == [Frame(3, 0, b"a")]
