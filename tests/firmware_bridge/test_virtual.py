from __future__ import annotations

import itertools
import os
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from refusals import refused

from firmware_bridge.errors import PortError, VirtualDeviceError
from firmware_bridge.sources.link import open_port
from firmware_bridge.sources.serial_port import SerialSource
from firmware_bridge.virtual.accelerometer import VirtualAccelerometer, VirtualSummary
from firmware_bridge.virtual.endpoints import PtyEndpoint, TcpEndpoint
from firmware_bridge.virtual.fault_script import parse_script
from firmware_bridge.virtual.faults import FaultInjector
from firmware_bridge.virtual.sample_feed import quantise
from firmware_bridge.wire.clock import ClockFit
from firmware_bridge.wire.events import LinkLost, LinkRestored, Reply, SampleBlock, Status
from firmware_bridge.wire.frames import FrameWriter
from firmware_bridge.wire.messages import Command, DeviceState, MessageType, Opcode, Result, encode_command
from firmware_bridge.wire.stream import StreamDecoder


class Reader:
    """Somebody who holds the port open, without pyserial."""

    def __init__(self, port: str, decoder: StreamDecoder | None = None) -> None:
        self.fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
        self.decoder = decoder or StreamDecoder()
        self.events: list[Any] = []
        self.writer = FrameWriter()

    def command(self, opcode: Opcode, value: int = 0) -> None:
        self.send(encode_command(Command(opcode, value)))

    def send(self, payload: bytes) -> None:
        os.write(self.fd, b"\0" + self.writer.encode(MessageType.COMMAND, payload))

    def reply(self) -> Reply:
        self.read_until(lambda event: isinstance(event, Reply))
        return next(event for event in reversed(self.events) if isinstance(event, Reply))

    def read_until(self, wanted: Callable[[Any], bool], timeout_s: float = 5.0) -> None:
        """Read on until an event is wanted."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if select.select([self.fd], [], [], 0.05)[0]:
                new = self.decoder.feed(os.read(self.fd, 4096))
                self.events += new
                if any(map(wanted, new)):
                    return
        raise AssertionError(f"nothing wanted among {self.events}")

    def close(self) -> None:
        os.close(self.fd)


def is_ended(event: object) -> bool:
    return isinstance(event, Status) and event.state is DeviceState.ENDED


def is_block(event: object) -> bool:
    return isinstance(event, SampleBlock)


def is_status(event: object) -> bool:
    return isinstance(event, Status)


@pytest.fixture
def hello(new_device):
    return new_device().description


# --- samples ---------------------------------------------------------------------------------------------------------


def test_quantise_rounds_and_saturates() -> None:
    values = np.array([[0.0, 0.0024, 0.0026], [-0.0026, 1e9, -np.inf], [32767 * 0.005, 32768 * 0.005, -32768 * 0.005]])
    counts, clipped = quantise(values, 0.005)
    assert counts.dtype == np.int16
    assert counts.tolist() == [[0, 0, 1], [-1, 32767, -32768], [32767, 32767, -32768]]
    assert clipped == 3


def test_quantise_refuses_nan() -> None:
    with refused(VirtualDeviceError, "nan"):
        quantise(np.array([0.0, np.nan]), 1.0)


@pytest.mark.parametrize(
    ("bad", "problem", "got"),
    [
        (np.zeros((4, 2)), "shape", (4, 2)),
        (np.zeros(3), "shape", (3,)),
        (np.zeros((4, 3), np.int32), "dtype", "int32"),
    ],
    ids=["axes", "ndim", "dtype"],
)
def test_samples_that_cannot_be_sent(hello, bad, problem, got) -> None:
    device = VirtualAccelerometer(hello, [bad], speed=None)
    reader = Reader(device.port)
    reader.command(Opcode.START)
    with refused(VirtualDeviceError, problem, got=got):
        device.run()
    reader.close()


@pytest.mark.parametrize("arguments", [{"block_samples": 0}, {"block_samples": 339}, {"speed": 0.0}, {"speed": -1.0}])
def test_arguments_that_cannot_be(hello, arguments) -> None:
    ((name, value),) = arguments.items()
    with refused(VirtualDeviceError, name, got=value):
        VirtualAccelerometer(hello, [], **arguments)


# --- behaviour -------------------------------------------------------------------------------------------------------


def test_nothing_before_start_then_everything_in_blocks_of_one_size(running, hello, new_device) -> None:
    chunks = [new_device.counts(0, 7), new_device.counts(7, 200), new_device.counts(207, 18)]
    device = VirtualAccelerometer(hello, iter(chunks), speed=None, block_samples=50)
    with running(device) as summaries:
        reader = Reader(device.port)
        reader.command(Opcode.IDENTIFY)
        with pytest.raises(AssertionError):
            reader.read_until(is_block, timeout_s=0.2)
        reader.command(Opcode.START)
        reader.read_until(is_ended)
        reader.close()
    blocks = [event for event in reader.events if is_block(event)]
    assert [len(block.samples) for block in blocks] == [50, 50, 50, 50, 25]
    assert np.array_equal(np.concatenate([block.samples for block in blocks]), new_device.counts(0, 225))
    assert summaries == [VirtualSummary(225, 225, 0, values_clipped=0, ended=True)]


def test_float_values_are_quantised_and_clipping_is_reported(running, hello) -> None:
    values = np.array([[0.0, hello.scale, -hello.scale], [99.0, -99.0, 2 * hello.scale]])
    device = VirtualAccelerometer(hello, [values], speed=None)
    with running(device) as summaries:
        reader = Reader(device.port)
        reader.command(Opcode.START)
        reader.read_until(is_ended)
        reader.close()
    (block,) = [event for event in reader.events if is_block(event)]
    assert block.samples.tolist() == [[0, 1, -1], [32767, -32768, 2]]
    assert summaries[0].values_clipped == 2


def test_it_plays_in_time_and_tells_its_own_clock(running, hello, new_device) -> None:
    device = VirtualAccelerometer(hello, [new_device.counts(0, 8000)], speed=10.0, true_sample_rate_hz=3880.0)
    with running(device):
        reader = Reader(device.port)
        started = time.monotonic()
        reader.command(Opcode.START)
        reader.read_until(is_ended)
        elapsed = time.monotonic() - started
        reader.close()
    assert 8000 / 38800 <= elapsed < 8000 / 38800 + 0.5
    fit = ClockFit()
    for event in reader.events:
        if is_block(event):
            fit.add(event.first_sample, event.device_time_s)
    assert fit.sample_rate_hz == pytest.approx(3880.0, rel=1e-6)


def test_what_is_produced_while_nobody_listens_is_missing_and_accounted_for(running, hello, new_device) -> None:
    device = VirtualAccelerometer(hello, [new_device.counts(0, 4000)], speed=4.0)
    with running(device) as summaries:
        reader = Reader(device.port)
        reader.command(Opcode.START)
        reader.read_until(is_block)
        reader.close()
        time.sleep(0.1)
        reader.decoder.reset_link()
        again = Reader(device.port, reader.decoder)
        again.command(Opcode.IDENTIFY)
        again.read_until(is_ended)
        again.close()
    counters = reader.decoder.counters
    (summary,) = summaries
    assert summary.samples_produced == 4000 == counters.samples_received + counters.samples_lost
    assert summary.samples_dropped >= 4000 * 4 * 0.05
    assert counters.samples_lost >= summary.samples_dropped
    assert summary.samples_sent + summary.samples_dropped == 4000
    for block in (event for event in reader.events + again.events if is_block(event)):
        assert np.array_equal(block.samples, new_device.counts(block.first_sample, len(block.samples)))


def test_stop_ends_the_session_and_start_goes_on_in_another(running, hello, new_device) -> None:
    device = VirtualAccelerometer(hello, [new_device.counts(0, 2000)], speed=1.0, block_samples=40)
    with running(device) as summaries:
        reader = Reader(device.port)
        reader.command(Opcode.START)
        reader.read_until(is_block)
        reader.command(Opcode.STOP)
        reader.read_until(lambda event: is_status(event) and event.state is DeviceState.IDLE)
        idle = reader.events[-1]
        first = [event for event in reader.events if is_block(event)]
        reader.events.clear()
        reader.command(Opcode.START)
        reader.read_until(is_ended)
        reader.close()
    second = [event for event in reader.events if is_block(event)]
    assert idle.samples_produced == first[-1].first_sample + 40
    assert second[0].first_sample == 0 and second[0].device_time_s == 0.0
    assert np.array_equal(np.concatenate([block.samples for block in first + second]), new_device.counts(0, 2000))
    assert reader.decoder.counters.restarts == 1
    assert summaries[0].samples_sent == 2000


def test_rate_and_range_are_changed_while_idle_only(running, hello, new_device) -> None:
    hello = replace(hello, sample_rates_hz=(2000.0, 4000.0), full_scales=(8.0, 16.0))
    device = VirtualAccelerometer(hello, [new_device.counts(0, 4000)], speed=1.0)
    with running(device):
        reader = Reader(device.port)
        reader.command(Opcode.SET_RATE, 2_000_000)
        assert reader.reply().result is Result.DONE
        reader.command(Opcode.SET_RANGE, 16_000)
        assert reader.reply().result is Result.DONE
        assert reader.decoder.hello.sample_rate_hz == 2000.0 and reader.decoder.hello.full_scale == 16.0
        assert reader.decoder.counters.restarts == 1  # each change begins a session, the first HELLO was the first
        for opcode, value in ((Opcode.SET_RATE, 3_000_000), (Opcode.SET_RANGE, 4_000)):
            reader.command(opcode, value)
            assert reader.reply().result is Result.IMPOSSIBLE_VALUE
        reader.command(Opcode.START)
        reader.read_until(lambda event: is_block(event) and event.first_sample > 0)
        reader.command(Opcode.SET_RATE, 4_000_000)
        assert reader.reply().result is Result.STREAMING
        reader.close()
    first, second = [event for event in reader.events if is_block(event)][:2]
    assert (second.device_time_s - first.device_time_s) == pytest.approx(len(first.samples) / 2000.0, abs=1e-6)


def test_reset_begins_anew_and_every_command_is_answered(running, hello, new_device) -> None:
    device = VirtualAccelerometer(hello, [new_device.counts(0, 4000)], speed=1.0)
    with running(device):
        reader = Reader(device.port)
        reader.command(Opcode.START)
        reader.read_until(is_block)
        session = reader.decoder.hello.session
        reader.command(Opcode.RESET)
        assert reader.reply().result is Result.DONE
        assert reader.decoder.hello.session != session
        reader.command(Opcode.SELF_TEST)
        assert reader.reply().result is Result.DONE
        reader.send(b"\x63")
        reply = reader.reply()
        assert (reply.opcode, reply.result) == (0x63, Result.UNKNOWN_COMMAND)
        assert reply.sequence == 3  # the fourth frame that was sent
        reader.close()


def test_each_reader_gets_a_delimiter_first(hello) -> None:
    device = VirtualAccelerometer(hello, [])
    stopped: list[bool] = []
    received: list[bytes] = []
    thread = Thread(target=device.run, args=[lambda: bool(stopped)])
    thread.start()
    for _ in range(2):
        reader = Reader(device.port)
        reader.command(Opcode.IDENTIFY)
        time.sleep(0.1)
        received.append(os.read(reader.fd, 4096))
        reader.close()
        time.sleep(0.1)
    stopped.append(True)
    thread.join()
    assert [data[:1] + data[-1:] for data in received] == [b"\0\0", b"\0\0"]


def test_damaged_and_unknown_commands_are_ignored(running, hello) -> None:
    device = VirtualAccelerometer(hello, [], linger_s=0.1)
    with running(device):
        reader = Reader(device.port)
        os.write(reader.fd, b"rubbish\0" + reader.writer.encode(MessageType.COMMAND, b"\x63"))
        os.write(reader.fd, reader.writer.encode(0x99, b"?"))
        reader.command(Opcode.IDENTIFY)
        reader.read_until(lambda event: event == replace(hello, session=getattr(event, "session", 0)))
        reader.command(Opcode.START)
        reader.read_until(is_ended)
        reader.close()


def test_a_reader_that_never_leaves_is_not_waited_for_forever(hello) -> None:
    device = VirtualAccelerometer(hello, [], speed=None, linger_s=0.2)
    reader = Reader(device.port)
    reader.command(Opcode.START)
    started = time.monotonic()
    assert device.run().ended
    assert time.monotonic() - started < 1.0
    reader.close()


def test_played_as_fast_as_it_is_read_it_returns_after_it_was_unplugged(hello, tmp_path: Path) -> None:
    faults = FaultInjector(parse_script(["unplug at 0.2 for 0.1"]), 1)
    counts = (np.zeros((1000, len(hello.axes)), np.float32) for _ in range(4))
    device = VirtualAccelerometer(hello, counts, link=tmp_path / "port", speed=None, faults=faults)
    deadline = time.monotonic() + 20
    thread = Thread(target=device.run, args=(lambda: time.monotonic() > deadline,))
    thread.start()
    source = SerialSource(device.port, reopen_after_s=0.02, stop=lambda: time.monotonic() > deadline)
    kinds = {type(event) for event in source}
    thread.join()
    assert {LinkLost, LinkRestored} <= kinds and time.monotonic() < deadline


def test_a_reader_that_stops_reading_does_not_keep_it_from_stopping(hello, new_device) -> None:
    endless = (new_device.counts(0, 1000) for _ in iter(int, 1))
    device = VirtualAccelerometer(hello, endless, speed=None)
    reader = Reader(device.port)
    reader.command(Opcode.START)
    deadline = time.monotonic() + 0.3
    summary = device.run(lambda: time.monotonic() > deadline)
    assert not summary.ended and summary.samples_sent > 0
    assert time.monotonic() - deadline < 0.5
    reader.close()


# --- the link --------------------------------------------------------------------------------------------------------


def test_the_link_leads_to_the_port_and_goes_with_it(hello, tmp_path: Path) -> None:
    link = tmp_path / "accelerometer"
    device = VirtualAccelerometer(hello, [], link=link)
    assert device.port == str(link) and link.is_symlink() and link.is_char_device()
    device.close()
    device.close()
    assert not link.is_symlink() and list(tmp_path.iterdir()) == []


def test_a_dangling_link_is_replaced(hello, tmp_path: Path) -> None:
    link = tmp_path / "accelerometer"
    link.symlink_to("/dev/pts/99999")
    device = VirtualAccelerometer(hello, [], link=link)
    assert link.is_char_device()
    device.close()


def test_what_is_not_ours_is_left_alone(hello, tmp_path: Path) -> None:
    precious = tmp_path / "notes.txt"
    precious.write_text("precious")
    with refused(VirtualDeviceError, "link_in_use", path=precious):
        VirtualAccelerometer(hello, [], link=precious)
    assert precious.read_text() == "precious"
    link = tmp_path / "accelerometer"
    device = VirtualAccelerometer(hello, [], link=link)
    with refused(VirtualDeviceError, "link_in_use", path=link):
        VirtualAccelerometer(hello, [], link=link)
    link.unlink()
    link.symlink_to(precious)
    device.close()
    assert link.resolve() == precious
    with refused(VirtualDeviceError, "no_link", path=tmp_path / "absent" / "accelerometer"):
        VirtualAccelerometer(hello, [], link=tmp_path / "absent" / "accelerometer")


def test_without_pseudo_terminals_it_says_so(hello, monkeypatch) -> None:
    monkeypatch.delattr(os, "openpty")
    with refused(VirtualDeviceError, "no_pseudo_terminals"):
        VirtualAccelerometer(hello, [])


# --- TCP -------------------------------------------------------------------------------------------------------------


def test_it_listens_on_tcp_for_one_reader_after_the_other(running, hello, new_device) -> None:
    enough = Event()

    def samples() -> Iterator[np.ndarray]:
        for first in itertools.takewhile(lambda _: not enough.is_set(), itertools.count(0, 400)):
            yield new_device.counts(first, 400)

    device = VirtualAccelerometer(hello, samples(), listen=("127.0.0.1", 0), speed=4.0)
    with running(device) as summaries:
        assert device.port.startswith("socket://127.0.0.1:")
        first = SerialSource(device.port)
        next(filter(is_block, first))
        first.close()
        second = SerialSource(device.port)
        blocks = []
        for block in filter(is_block, second):
            blocks.append(block)
            if len(blocks) == 5:
                enough.set()
    assert summaries[0].ended and second.counters.samples_lost == 0
    counts = np.concatenate([block.samples for block in blocks]).astype(int)
    assert (np.diff(counts, axis=0) % 500 == [1, 7, 31]).all()  # as `counts` makes them, none left out


def test_a_tcp_port_that_is_taken(hello) -> None:
    device = VirtualAccelerometer(hello, [], listen=("127.0.0.1", 0))
    port = int(device.port.rpartition(":")[2])
    with refused(VirtualDeviceError, "cannot_listen", address=f"127.0.0.1:{port}"):
        VirtualAccelerometer(hello, [], listen=("127.0.0.1", port))
    device.close()
    device.close()


@pytest.mark.parametrize("tcp", [False, True])
def test_unplugging_takes_the_port_away_and_replugging_brings_it_back(tcp: bool, tmp_path: Path) -> None:
    endpoint = TcpEndpoint("127.0.0.1", 0) if tcp else PtyEndpoint(tmp_path / "port")
    address = endpoint.address
    assert endpoint.present() is False
    link = open_port(address, 115200)
    link.write(b"hello")
    assert endpoint.read(1.0) == b"hello" and endpoint.present()
    assert endpoint.write(b"answer", lambda: False) and link.read(6) == b"answer"
    endpoint.unplug()
    assert not endpoint.present() and not endpoint.write(b"x", lambda: False)
    with pytest.raises(PortError):
        open_port(address, 115200)
    endpoint.replug()
    assert endpoint.address == address
    again = open_port(address, 115200)
    again.write(b"again")
    assert endpoint.read(1.0) == b"again"
    link.close()
    again.close()
    endpoint.close()
