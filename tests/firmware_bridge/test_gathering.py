"""How long bytes accumulate in a port before a read."""

from __future__ import annotations

import os
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import PortLostError
from firmware_bridge.sources.link import (
    GATHER_S,
    MOST_GATHER_S,
    SERIAL_TAKES,
    SOCKET_TAKES,
    TERMINAL_TAKES,
    Gathering,
    LineRate,
    Link,
)

LATENCIES = st.floats(0.0, 3.0)
SAFE = st.floats(1e-4, 100.0)


@given(LATENCIES, SAFE, st.floats(0.0, 1e6))
def test_a_pause_is_short_enough_and_ends_at_the_end_of_the_slice_or_before(
    latency_s: float, safe_s: float, now_s: float
) -> None:
    pause_s = Gathering.for_slices(latency_s).pause_s(now_s, safe_s)
    assert 0 <= pause_s <= min(MOST_GATHER_S, max(latency_s, GATHER_S), safe_s) + 1e-9
    if latency_s >= GATHER_S:
        assert pause_s <= latency_s - now_s % latency_s + 1e-9


@given(st.floats(GATHER_S, 3.0), SAFE)
def test_reads_divide_a_slice_into_equal_parts(latency_s: float, safe_s: float) -> None:
    part_s = Gathering.for_slices(latency_s).pause_s(0.0, safe_s)
    assert latency_s / part_s == pytest.approx(round(latency_s / part_s))


@pytest.mark.parametrize(
    ("port", "baud_rate", "safe_s"),
    [
        ("/dev/absent", 2_000_000, SERIAL_TAKES / 200_000),
        ("/dev/absent", 115_200, SERIAL_TAKES / 11_520),
        ("socket://10.0.0.7:5555", 115_200, SOCKET_TAKES),
    ],
)
def test_a_port_is_read_before_it_is_full(port: str, baud_rate: int, safe_s: float) -> None:
    assert LineRate(port, baud_rate).safe_s == pytest.approx(safe_s)


def test_a_pseudo_terminal_has_no_baud_rate() -> None:
    master, slave = os.openpty()
    assert LineRate(os.ttyname(slave), 921_600).safe_s == TERMINAL_TAKES
    os.close(master)
    os.close(slave)


def test_a_port_that_is_faster_than_its_baud_rate_is_read_earlier_and_later_again() -> None:
    rate = LineRate("/dev/absent", 921_600)  # native USB ignores it
    usual_s = rate.safe_s
    rate.saw(8000, 0.02)
    assert rate.safe_s == pytest.approx(SERIAL_TAKES / 400_000)
    for _ in range(400):
        rate.saw(100, 0.02)
    assert rate.safe_s == usual_s


def test_no_byte_is_lost_while_bytes_accumulate() -> None:
    master, slave = os.openpty()
    link = Link(os.ttyname(slave), 921_600, gathering=Gathering.for_slices(0.2))
    link.open()
    sent, got, until_s = bytearray(), bytearray(), time.monotonic() + 0.6
    while time.monotonic() < until_s:
        piece = os.urandom(8000)
        os.write(master, piece)
        sent += piece
        got += link.read().data
    got += link.read().data
    assert got == sent
    link.close()
    os.close(master)
    os.close(slave)


def test_a_lost_port_is_noticed_by_a_terminal_and_by_a_socket() -> None:
    master, slave = os.openpty()
    with socket.create_server(("127.0.0.1", 0)) as server:
        ports = [os.ttyname(slave), f"socket://127.0.0.1:{server.getsockname()[1]}"]
        links = [Link(port, 921_600) for port in ports]
        for link in links:
            link.open()
        other, _ = server.accept()
        os.write(master, b"terminal")
        other.send(b"socket")
        time.sleep(0.02)
        assert [link.read().data for link in links] == [b"terminal", b"socket"]
        os.close(master)
        other.close()
        for link in links:
            with pytest.raises(PortLostError):
                for _ in range(3):
                    link.read()
    os.close(slave)
