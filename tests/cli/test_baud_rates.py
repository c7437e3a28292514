"""A board that talks at another rate than the usual one is found, wherever nobody named a rate."""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
from refusals import refused

from firmware_bridge.boards import BAUD_RATES, BOARDS
from firmware_bridge.errors import ProtocolError
from firmware_bridge.sources import baud_probe, link
from firmware_bridge.sources.serial_port import DEFAULT_BAUD_RATE, SerialSource
from firmware_bridge.wire.foreign import is_readable
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.raw_log import read_log

Run = Callable[..., Any]
UNO = BOARDS["uno"].baud_rate


class Line(serial.Serial):  # type: ignore[misc]  # pyserial ships no types
    """A serial line with a device behind it that has a rate of its own: at another one each side hears noise."""

    rate = UNO
    noise = b""
    unknown: tuple[int, ...] = ()
    _baudrate: int

    def read(self, size: int = 1) -> bytes:
        data = super().read(size)
        if self.baudrate == Line.rate:
            return bytes(data)
        time.sleep(0.01)
        return Line.noise

    def fileno(self) -> int:
        raise io.UnsupportedOperation  # what it reads is not what the descriptor gives

    def write(self, data: Any) -> Any:
        return super().write(data) if self.baudrate == Line.rate else len(data)

    def _reconfigure_port(self, force_update: bool = False) -> None:
        if self.baudrate in Line.unknown:
            raise ValueError("no such rate")
        wanted, self._baudrate = self._baudrate, 115_200  # the pseudo-terminal behind it knows no odd ones
        super()._reconfigure_port(force_update)
        self._baudrate = wanted


@pytest.fixture(autouse=True)
def a_line(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Line, "rate", UNO)
    monkeypatch.setattr(Line, "noise", b"")
    monkeypatch.setattr(Line, "unknown", ())
    monkeypatch.setattr(serial, "serial_for_url", lambda port, **options: Line(port, **options))
    monkeypatch.setattr(baud_probe, "has_rate", lambda port: True)
    monkeypatch.setattr(baud_probe, "PROBE_S", 3.0)
    monkeypatch.setattr(baud_probe, "_PROBE_EACH_S", 0.5)
    monkeypatch.setitem(SerialSource.__init__.__kwdefaults__ or {}, "hello_timeout_s", 0.3)
    yield


@pytest.mark.parametrize("noise", [b"", bytes(random.Random(1).randbytes(40))], ids=["silence", "noise"])
def test_record_and_its_log_begin_at_the_right_rate(
    run: Run, playing: Any, tmp_path: Path, noise: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Line, "noise", noise)
    with playing() as (port, sent):
        done = run("record", "--port", port, "--out", tmp_path / "logs", "--name", "a", "--json")
    assert done.code == 0, done
    found = json.loads(done.out)
    assert f"Note: {port} sends at {UNO} baud" in done.err and "Warning" not in done.err
    assert found["link"]["crc_errors"] == 0 and found["link"]["samples_received"] == sent[0].samples_sent > 0
    (log,) = (tmp_path / "logs").iterdir()
    if noise:
        assert noise not in b"".join(item.data for item in read_log(log.read_bytes()) if hasattr(item, "data"))


def test_monitor_sensor_and_ports_find_it(
    run: Run, playing: Any, tiny_bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware_bridge.sources.ports.list_ports", lambda holders=False: [])  # of this machine
    with playing() as (port, _):
        done = run("ports", "--hello", "--port", port, "--timeout", "300ms", "--json")
        (answer,) = [each for each in json.loads(done.out)["ports"] if each["path"] == str(port)]
        assert answer["hello"] is not None and f"Note: {port} sends at {UNO} baud" in done.err
        done = run("sensor", "--port", port)
        assert done.code == 0 and f"Note: {port} sends at {UNO} baud" in done.err
        done = run("monitor", "--port", port, "--model", tiny_bundle_path)
        assert done.code == 0 and f"Note: {port} sends at {UNO} baud" in done.err and "0 damaged frames" in done.out


def test_a_rate_that_was_named_is_the_only_one(run: Run, playing: Any) -> None:
    with playing() as (port, _):
        done = run("sensor", "--port", port, "--baud", 115_200)
        assert done.code == 1 and "115200" in done.err and str(UNO) not in done.err
        assert run("sensor", "--port", port, "--baud", UNO).err == ""


def events_of(port: Any, **options: Any) -> tuple[list[Any], list[int]]:
    rates: list[int] = []
    source = SerialSource(str(port), start=False, on_baud_rate=rates.append, **options)
    for event in source:
        if isinstance(event, Hello):
            source.close()
            return [event], rates
    return [], rates


@pytest.mark.parametrize("rate", BAUD_RATES)
def test_each_rate_of_our_boards_is_found(playing: Any, rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Line, "rate", rate)
    with playing() as (port, _):
        assert events_of(port)[1] == [rate]
        monkeypatch.setattr(Line, "rate", DEFAULT_BAUD_RATE)
        assert events_of(port)[1] == []  # nothing to say of the usual one
        list(SerialSource(str(port)))


def test_a_rate_that_the_port_does_not_have_is_passed_over(playing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Line, "unknown", (BAUD_RATES[0],))
    monkeypatch.setattr(Line, "rate", BAUD_RATES[-1])
    with playing() as (port, _):
        assert events_of(port)[1] == [BAUD_RATES[-1]]
        list(SerialSource(str(port), baud_rate=BAUD_RATES[-1]))


def test_what_answers_at_no_rate_is_given_up_in_time(playing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baud_probe, "PROBE_S", 1.2)
    monkeypatch.setattr(Line, "rate", 1)
    with playing() as (port, _):
        began = time.monotonic()
        with refused(ProtocolError, "silent", port=port) as caught:
            events_of(port)
        assert time.monotonic() - began > 1.2
        rates = caught.value.facts["baud_rates"]
        assert isinstance(rates, tuple) and {DEFAULT_BAUD_RATE, *BAUD_RATES[:2]} <= set(rates)
        monkeypatch.setattr(Line, "rate", DEFAULT_BAUD_RATE)
        list(SerialSource(str(port)))


def test_a_line_that_carries_text_is_not_searched(playing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Line, "noise", b"$GPGGA,123519,4807.038,N,01131.000,E\r\n")
    with playing() as (port, _):
        with refused(ProtocolError, "no_hello", sender="gps", baud_rates=(DEFAULT_BAUD_RATE,)):
            events_of(port)
        monkeypatch.setattr(Line, "rate", DEFAULT_BAUD_RATE)
        list(SerialSource(str(port)))


def test_a_pseudo_terminal_and_a_socket_have_no_rate(playing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with playing() as (port, _):
        assert not link.has_rate(str(port))
        list(SerialSource(str(port), baud_rate=UNO))
    assert not link.has_rate("socket://localhost:5555") and link.has_rate("/dev/ttyUSB0")


def test_readable() -> None:
    assert is_readable(b"0.01,-0.02,9.81\r\n0.01,-0.02\r\n") and not is_readable(b"") and not is_readable(b"abc")
    assert not is_readable(random.Random(2).randbytes(400))
