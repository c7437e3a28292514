from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from refusals import expect, failure_of

pytest.importorskip("serial")

from firmware_bridge.errors import ProtocolError
from firmware_bridge.sources import asking
from firmware_bridge.virtual.accelerometer import VirtualAccelerometer
from firmware_bridge.wire.messages import Hello

HELLO = Hello(
    1, "bench", "0.1.0", "ADXL345", ("x", "y"), "g", 2**-8, 16.0, 800.0,
    signs=(1, -1), sample_rates_hz=(800.0, 1600.0, 3200.0), full_scales=(2.0, 16.0),
)  # fmt: skip


@pytest.fixture
def port(tmp_path: Path) -> Iterator[str]:
    done = False
    device = VirtualAccelerometer(HELLO, [], link=tmp_path / "sensor")
    thread = Thread(target=device.run, args=[lambda: done])
    thread.start()
    yield device.port
    done = True
    thread.join()


def test_it_shows_and_sets(port: str, run: Callable[..., Any]) -> None:
    shown = run("sensor", "--port", port)
    assert shown.code == 0
    assert "bench, ADXL345, firmware 0.1.0" in shown.out and "x,-y" in shown.out
    assert "800 Hz (of 800, 1600, 3200)" in shown.out and "±16 g (of 2, 16), 0.003906 g" in shown.out
    done = run("sensor", "--port", port, "--set-rate", "3200", "--set-range", "2", "--self-test", "--json")
    assert done.code == 0
    said = json.loads(done.out)
    assert (said["hello"]["sample_rate_hz"], said["hello"]["full_scale"]) == (3200, 2)
    assert [answer["result"] for answer in said["answers"]] == ["DONE"] * 3


def test_what_is_refused_is_said(port: str, run: Callable[..., Any]) -> None:
    done = run("sensor", "--port", port, "--set-rate", "1000", "--reset")
    assert done.code == 1
    assert "reset     done" in done.out and "set-rate  impossible value (" in done.out


def test_a_device_that_does_not_answer(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(asking, "_REPEAT_S", 0.05)
    monkeypatch.setattr(VirtualAccelerometer, "_reply", lambda *_: None)
    done = False
    device = VirtualAccelerometer(replace(HELLO, session=2), [], link=tmp_path / "mute")
    thread = Thread(target=device.run, args=[lambda: done])
    thread.start()
    failure = failure_of("sensor", "--port", device.port, "--set-rate", "1000")
    done = True
    thread.join()
    expect(failure, ProtocolError, "no_reply", port=device.port, command="SET_RATE", attempts=3)
