from __future__ import annotations

import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from refusals import expect, refused

pytest.importorskip("serial")

import serial

from firmware_bridge.errors import (
    DescriptionError,
    PortAbsentError,
    PortBusyError,
    PortError,
    PortPermissionError,
    ProtocolError,
)
from firmware_bridge.sources import ports, serial_port
from firmware_bridge.sources.serial_port import SerialSource
from firmware_bridge.virtual.accelerometer import VirtualAccelerometer
from firmware_bridge.wire.events import (
    DeviceRestarted,
    HelloRejected,
    Idle,
    LinkLost,
    LinkRestored,
    SampleBlock,
    Status,
)
from firmware_bridge.wire.frames import FrameSplitter, decode_frame
from firmware_bridge.wire.messages import (
    PROTOCOL_VERSION,
    DeviceState,
    Hello,
    MessageType,
    Opcode,
    decode_command,
    encode_hello,
)


def samples_of(events) -> np.ndarray:
    return np.concatenate([event.samples for event in events if isinstance(event, SampleBlock)])


def only(events, *kinds: type) -> list[Any]:
    return [event for event in events if isinstance(event, kinds)]


@pytest.fixture
def hello(new_device) -> Hello:
    return new_device().description


@pytest.fixture
def plain_pty() -> Iterator[tuple[int, str]]:
    """A port with somebody else behind it: the master's descriptor and the path."""
    master, slave = os.openpty()
    yield master, os.ttyname(slave)
    os.close(master)
    os.close(slave)


# --- a whole stream --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [None, 200.0])
def test_every_bit_arrives_at_high_speed(running, hello, new_device, tmp_path: Path, speed: float | None) -> None:
    counts = new_device.counts(0, 200_000)
    device = VirtualAccelerometer(hello, [counts], link=tmp_path / "port", speed=speed)
    with running(device) as summaries:
        source = SerialSource(device.port)
        events = list(source)
    assert np.array_equal(samples_of(events), counts)
    assert all(event.lost_before == 0 for event in only(events, SampleBlock, Status))
    counters = source.counters
    assert (counters.samples_received, counters.samples_lost, counters.frames_lost) == (200_000, 0, 0)
    assert (counters.garbage_bytes, counters.malformed, counters.duplicates) == (0, 0, 0)
    assert len(only(events, Hello)) == 1 and source.hello is events[0]
    assert events[-1].state is DeviceState.ENDED
    assert summaries[0].samples_sent == 200_000


def test_a_quiet_device_gives_idle_and_stop_is_clean(running, hello, new_device) -> None:
    device = VirtualAccelerometer(replace(hello, sample_rate_hz=100.0), [new_device.counts(0, 100)], block_samples=20)
    with running(device) as summaries:
        seen: list[Any] = []
        for event in SerialSource(device.port, idle_s=0.06, stop=lambda: len(only(seen, Idle)) >= 2):
            seen.append(event)
        # Told to stop, the device waits: the next reader gets the rest.
        time.sleep(0.3)
        rest = list(SerialSource(device.port))
    assert only(seen, LinkLost) == []
    assert np.array_equal(samples_of(seen + rest), new_device.counts(0, 100))
    assert summaries[0].samples_sent == 100


def test_leaving_the_loop_closes_the_port(running, hello, new_device) -> None:
    device = VirtualAccelerometer(hello, [new_device.counts(0, 2000)], speed=2.0)
    with running(device):
        source = SerialSource(device.port)
        for event in source:
            if isinstance(event, SampleBlock):
                break
        source.close()
        rest = list(source)
    assert len(only(rest, DeviceRestarted)) == 1, "a device that was stopped begins another session"
    assert rest[-1].state is DeviceState.ENDED
    assert source.counters.restarts == 1


@contextmanager
def answering(answer: Callable[[Opcode], bytes | None]) -> Iterator[tuple[str, list[Opcode]]]:
    """Serve a device that answers each command as told, and ends the link after an answer of None."""
    heard: list[Opcode] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            splitter = FrameSplitter()
            with link:
                while data := link.recv(4096):
                    for piece in filter(None, splitter.feed(data)):
                        heard.append(decode_command(decode_frame(piece).payload).opcode)
                        said = answer(heard[-1])
                        if said is None:
                            return
                        link.sendall(said)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"socket://127.0.0.1:{server.getsockname()[1]}", heard
        thread.join(5.0)


def test_a_device_that_contradicts_itself_is_asked_again(new_device) -> None:
    device = new_device()
    changed = encode_hello(replace(device.description, scale=1.0, samples_produced=10))
    asked = {Opcode.IDENTIFY: 0, Opcode.START: 0, Opcode.STOP: 0}

    def answer(opcode: Opcode) -> bytes | None:
        asked[opcode] += 1
        again = device.writer.encode(MessageType.HELLO, changed)
        if opcode is Opcode.IDENTIFY:
            return device.hello() if asked[opcode] == 1 else again
        if opcode is Opcode.START and asked[opcode] == 1:
            return device.block(0) + again + device.block(10)
        return device.block(20) + device.status(30, DeviceState.ENDED)

    with answering(answer) as (port, _):
        source = SerialSource(port)
        events = list(source)
    assert [type(each) for each in only(events, Hello, HelloRejected, DeviceRestarted, SampleBlock)] == [
        Hello, SampleBlock, HelloRejected, DeviceRestarted, Hello, SampleBlock,
    ]  # fmt: skip
    assert (source.counters.samples_received, source.counters.samples_before_hello) == (20, 10)


def test_a_device_that_describes_itself_absurdly_at_first_may_do_better(new_device) -> None:
    device = new_device()
    absurd = encode_hello(device.description).replace(struct.pack("<d", 8.0), struct.pack("<d", 1e40))

    def answer(opcode: Opcode) -> bytes | None:
        if opcode is Opcode.IDENTIFY:
            return device.writer.encode(MessageType.HELLO, absurd)
        return device.hello() + device.block(0) + device.status(10, DeviceState.ENDED)

    with answering(answer) as (port, heard):
        events = list(SerialSource(port))
    assert heard[:3] == [Opcode.IDENTIFY, Opcode.IDENTIFY, Opcode.START]
    assert isinstance(events[0], HelloRejected)
    expect(events[0].error, DescriptionError, "out_of_bounds", field="full_scale", got=1e40)
    assert len(samples_of(events)) == 10


def test_a_device_that_never_describes_itself_as_it_should_is_refused_with_the_reason(new_device) -> None:
    device = new_device()
    absurd = encode_hello(device.description).replace(struct.pack("<d", 8.0), struct.pack("<d", 1e40))
    with (
        answering(lambda _: device.writer.encode(MessageType.HELLO, absurd)) as (port, _),
        refused(DescriptionError, "out_of_bounds", field="full_scale", got=1e40),
    ):
        list(SerialSource(port, hello_timeout_s=0.3))


def test_another_version_ends_it_at_the_start_only(new_device) -> None:
    device = new_device()
    newer = encode_hello(replace(device.description, session=9, protocol_version=2))
    with (
        answering(lambda _: device.writer.encode(MessageType.HELLO, newer)) as (port, _),
        refused(ProtocolError, "protocol_version", got=2),
    ):
        list(SerialSource(port))
    starts = [
        device.block(0) + device.writer.encode(MessageType.HELLO, newer) + device.block(10),
        device.block(20) + device.status(30, DeviceState.ENDED),
    ]

    def answer(opcode: Opcode) -> bytes:
        return device.hello(20) if opcode is Opcode.IDENTIFY and len(starts) < 2 else (
            device.hello() if opcode is Opcode.IDENTIFY else starts.pop(0) if starts else b""
        )  # fmt: skip

    with answering(answer) as (port, _):
        source = SerialSource(port)
        events = list(source)
    assert len(only(events, HelloRejected)) == 1 and len(samples_of(events)) == 20
    assert source.counters.samples_lost == 10


# --- lost links ------------------------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
import numpy as np
from firmware_bridge.wire.messages import Hello
from firmware_bridge.virtual.accelerometer import VirtualAccelerometer
link, n = Path(sys.argv[1]), int(sys.argv[2])
hello = Hello(0, "bench-1", "0.1.0", "ADXL355", ("x", "y", "z"), "g", 8 / 2**15, 8.0, 4000.0)
counts = (np.arange(n)[:, None] * [1, 7, 31] + [0, 1, 2]) % 500 - 250
VirtualAccelerometer(hello, [counts.astype(np.int16)], link=link, speed=2.0).run()
"""


def start_child(link: Path, n: int) -> subprocess.Popen[bytes]:
    root = Path(serial_port.__file__).parents[2]
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(link), str(n)], cwd=root)
    deadline = time.monotonic() + 10.0
    while not link.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return child


def test_a_device_that_is_pulled_out_and_put_in_again(new_device, tmp_path: Path) -> None:
    link = tmp_path / "port"
    child = start_child(link, 10**6)
    source = SerialSource(str(link), reopen_after_s=0.05)
    events = []
    try:
        for event in source:
            events.append(event)
            if isinstance(event, SampleBlock) and event.first_sample > 1000 and not source.counters.restarts:
                child.send_signal(signal.SIGKILL)
            if isinstance(event, LinkLost):
                child.wait()
                link.unlink()  # or it might lead to whatever pseudo-terminal gets the same number next
                child = start_child(link, 3000)
    finally:
        child.kill()
        child.wait()
    kinds = only(events, Hello, LinkLost, LinkRestored, DeviceRestarted)
    assert [type(event) for event in kinds] == [Hello, LinkLost, LinkRestored, DeviceRestarted, Hello]
    assert str(link) in kinds[1].reason
    second = only(events[events.index(kinds[-1]) :], SampleBlock)
    assert np.array_equal(samples_of(second), new_device.counts(0, 3000))
    first = samples_of(events[: events.index(kinds[1])])
    assert np.array_equal(first, new_device.counts(0, len(first)))
    counters = source.counters
    assert counters.samples_received == len(first) + 3000
    assert counters.samples_lost == sum(event.lost_before for event in only(events, SampleBlock)) == 0
    assert counters.restarts == 1


def test_a_cable_that_is_pulled_while_the_device_goes_on(running, hello, new_device) -> None:
    device = VirtualAccelerometer(hello, [new_device.counts(0, 16_000)], speed=4.0)
    with running(device) as summaries:
        source = SerialSource(device.port, reopen_after_s=0.1)
        events = []
        for event in source:
            events.append(event)
            if isinstance(event, SampleBlock) and event.first_sample == 800:
                source._link._serial.close()  # from now on reads fail, as with a port that is gone
    assert len(only(events, Hello)) == len(only(events, LinkLost)) == len(only(events, LinkRestored)) == 1
    for block in only(events, SampleBlock):
        assert np.array_equal(block.samples, new_device.counts(block.first_sample, len(block.samples)))
    counters = source.counters
    assert counters.samples_lost >= max(1, summaries[0].samples_dropped)
    assert counters.samples_lost == sum(event.lost_before for event in [*only(events, SampleBlock), events[-1]])
    assert counters.samples_received + counters.samples_lost == 16_000
    assert counters.restarts == 0


def test_a_port_that_stays_away_gives_idle_and_can_be_stopped(hello, new_device, tmp_path: Path) -> None:
    device = VirtualAccelerometer(hello, [new_device.counts(0, 8000)], link=tmp_path / "port")
    events: list[Any] = []
    source = SerialSource(device.port, reopen_after_s=0.05, idle_s=0.1, stop=lambda: len(only(events, Idle)) >= 3)
    thread = Thread(target=device.run, args=[lambda: source.counters.samples_received > 0])
    thread.start()
    for event in source:
        events.append(event)
    thread.join()
    assert len(only(events, LinkLost)) == 1 and only(events, LinkRestored) == []


def test_a_device_that_restarts_unseen_is_asked_who_it_is(new_device, plain_pty) -> None:
    master, path = plain_pty
    before, after = new_device(), new_device(session=2)
    commands: list[Opcode] = []

    def play() -> None:
        """Restart after the first START, without a word, and answer only the IDENTIFY after that."""
        splitter = FrameSplitter()
        while True:
            for piece in filter(None, splitter.feed(os.read(master, 100))):
                opcode, value = decode_command(decode_frame(piece).payload)
                assert value == (PROTOCOL_VERSION if opcode is Opcode.IDENTIFY else 0)
                restarted = Opcode.START in commands
                commands.append(opcode)
                if opcode is Opcode.IDENTIFY and not restarted:
                    os.write(master, b"\0" + before.hello())
                elif opcode is Opcode.START and not restarted:
                    os.write(master, before.block(0) + after.block(0) + after.block(10))
                elif opcode is Opcode.IDENTIFY:
                    os.write(master, after.hello(20) + after.block(20) + after.status(30, DeviceState.ENDED))
                    return

    thread = Thread(target=play, daemon=True)
    thread.start()
    started = time.monotonic()
    source = SerialSource(path, stop=lambda: time.monotonic() > started + 3.0)
    events = list(source)
    thread.join(1.0)
    assert time.monotonic() - started < 0.9, "asked at once, not when START would have been repeated"
    assert commands == [Opcode.IDENTIFY, Opcode.START, Opcode.IDENTIFY]
    assert [type(event) for event in events] == [Hello, SampleBlock, DeviceRestarted, Hello, SampleBlock, Status]
    assert source.counters.samples_before_hello == 20


# --- ports and peers that are not what they should be ----------------------------------------------------------------


def test_an_absent_port_lists_those_that_exist(monkeypatch) -> None:
    class Info:
        device, description, vid, pid, serial_number = "/dev/ttyACM7", "a board", None, None, None

    monkeypatch.setattr(ports, "comports", lambda: [Info])
    with refused(PortAbsentError, "no_device", port="/dev/absent", ports=["/dev/ttyACM7"]) as caught:
        list(SerialSource("/dev/absent"))
    assert "/dev/ttyACM7 (a board)" in str(caught.value)
    monkeypatch.setattr(ports, "comports", list)
    with refused(PortAbsentError, "no_device", port="/dev/absent", ports=[]):
        list(SerialSource("/dev/absent"))


def test_a_port_in_use_is_refused(plain_pty) -> None:
    _, path = plain_pty
    with serial.Serial(path, exclusive=True), refused(PortBusyError, port=path, holders=[]):
        list(SerialSource(path))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_a_forbidden_port_names_the_group(monkeypatch, code: int) -> None:
    def refuse(*_args, **_options):
        raise serial.SerialException(code, "could not open port")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with refused(PortPermissionError, port="/dev/ttyUSB0") as caught:
        list(SerialSource("/dev/ttyUSB0"))
    assert "usermod -aG dialout" in str(caught.value)  # the command to type


@pytest.mark.parametrize("port", [os.devnull, "nonsense://x", "socket://127.0.0.1:1"])
def test_what_is_no_port_is_a_port_error(port: str) -> None:
    with refused(PortError, "cannot_open", port=port):
        list(SerialSource(port))


def test_a_socket_without_its_port_is_told_the_form() -> None:
    with refused(PortError, "bad_url", port="socket://127.0.0.1:"):
        list(SerialSource("socket://127.0.0.1:"))


def test_foreign_bytes_are_shown(plain_pty) -> None:
    master, path = plain_pty
    os.set_blocking(master, False)
    done = False

    def talk() -> None:
        while not done:
            os.write(master, b"0.01,0.02,9.81\r\n")
            time.sleep(0.02)

    thread = Thread(target=talk)
    thread.start()
    try:
        facts = {"port": path, "baud_rates": (921_600,), "frames_ok": 0, "sender": "numbers"}
        with refused(ProtocolError, "no_hello", **facts) as caught:
            list(SerialSource(path, hello_timeout_s=0.4))
        assert int(str(caught.value.facts["bytes_received"])) > 0 and "\\r\\n" in str(caught.value)
    finally:
        done = True
        thread.join()


def test_a_silent_port_says_so(plain_pty) -> None:
    with refused(ProtocolError, "silent", port=plain_pty[1]):
        list(SerialSource(plain_pty[1], hello_timeout_s=0.3))


def test_a_newer_device_is_refused(running, hello) -> None:
    device = VirtualAccelerometer(replace(hello, protocol_version=2), [])
    with refused(ProtocolError, "protocol_version", got=2), running(device):
        list(SerialSource(device.port))


def test_a_device_behind_a_socket(new_device) -> None:
    device = new_device()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def play() -> None:
            peer, _ = server.accept()
            with peer:
                heard = b""
                while bytes([MessageType.COMMAND]) not in heard:
                    heard += peer.recv(100)
                peer.sendall(b"\0" + device.hello() + device.block(0) + device.status(10, DeviceState.ENDED))
                while peer.recv(100):
                    pass

        thread = Thread(target=play)
        thread.start()
        events = list(SerialSource(f"socket://127.0.0.1:{server.getsockname()[1]}"))
        thread.join()
    assert [type(event) for event in events] == [Hello, SampleBlock, Status]
