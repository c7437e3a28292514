from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from refusals import refused

pytest.importorskip("serial")

from firmware_bridge.errors import PortAbsentError, PortError
from firmware_bridge.sources import ports
from firmware_bridge.sources.ports import Port, find_port, holders_of, list_ports

UNO = Port("/dev/ttyACM0", "Arduino Uno", "2341:0043", "A1B2")
CLONE = Port("/dev/ttyUSB0", "USB2.0-Serial", "1A86:7523", None)
SECOND = replace(CLONE, path="/dev/ttyUSB1")
ALL = [UNO, CLONE, SECOND]


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/dev/ttyUSB1", "/dev/ttyUSB1"),
        ("/tmp/a-link", "/tmp/a-link"),
        ("COM7", "COM7"),
        ("socket://10.0.0.2:5555", "socket://10.0.0.2:5555"),
        ("/dev/ttyACM*", "/dev/ttyACM0"),
        ("/dev/tty[AB]CM0", "/dev/ttyACM0"),
        ("2341:0043", "/dev/ttyACM0"),
        ("A1B2", "/dev/ttyACM0"),
    ],
)
def test_a_port_is_found_by_what_a_user_knows(wanted: str, path: str) -> None:
    assert find_port(wanted, ALL) == path


@pytest.mark.parametrize("wanted", ["/dev/ttyUSB*", "1a86:7523"])
def test_several_are_listed(wanted: str) -> None:
    with refused(PortError, "several_match", port=wanted, ports=["/dev/ttyUSB0", "/dev/ttyUSB1"]):
        find_port(wanted, ALL)


@pytest.mark.parametrize("wanted", ["/dev/ttyS*", "ffff:0001"])
def test_none_says_what_there_is(wanted: str) -> None:
    with refused(PortAbsentError, "no_match", port=wanted, ports=[port.path for port in ALL]) as caught:
        find_port(wanted, ALL)
    assert "/dev/ttyACM0 (Arduino Uno)" in str(caught.value)
    with refused(PortAbsentError, "no_match", port=wanted, ports=[]):
        find_port(wanted, [])


def test_what_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    class Info:
        device, description, vid, pid, serial_number = "/dev/ttyACM0", "Arduino Uno", 0x2341, 0x43, "A1B2"

    monkeypatch.setattr(ports, "comports", lambda: [Info])
    assert list_ports() == list_ports(holders=True) == [UNO]


def test_what_a_usb_device_calls_itself_cannot_write_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Info:
        device, description, vid, pid, serial_number = "/dev/ttyACM0", "Uno\x1b[2J", 0x2341, 0x43, "A\x9b\udc80B"

    monkeypatch.setattr(ports, "comports", lambda: [Info])
    (port,) = list_ports()
    assert port.description == "Uno\\x1b[2J" and (port.serial_number or "").isprintable()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc here")
def test_who_holds_a_port() -> None:
    master, slave = os.openpty()
    path = os.ttyname(slave)
    try:
        ((number, name),) = holders_of([path, "/dev/absent", "/"])[path]
        assert number == os.getpid() and name
    finally:
        os.close(master)
        os.close(slave)
    assert holders_of([path]) == {}
