"""A real Mosquitto: stopped for a while and started again, refused, and gone for good."""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("paho.mqtt", reason="MQTT needs the extra `mqtt`")

import paho.mqtt.client as paho

from drsn_edge.errors import OutputError
from drsn_edge.monitor.results import Decision, Summary, Verdict, WindowResult
from drsn_edge.monitor.sinks.mqtt import Broker, MqttSink

pytestmark = pytest.mark.integration

WINDOW = WindowResult(0, 0.0, Verdict.CLASS, "worn", {"worn": 1.0}, None, 0)


class Mosquitto:
    def __init__(self, folder: Path, more: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nuser {getpass.getuser()}\npersistence true\n"
            f"persistence_location {folder}/\n{more}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._process = subprocess.Popen([program, "-c", self._config], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("mosquitto does not listen")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    @property
    def broker(self) -> Broker:
        return Broker("127.0.0.1", self.port, False, None, "plant/1")


@pytest.fixture
def mosquitto(tmp_path: Path, need: Callable[..., None]) -> Iterator[Callable[..., Mosquitto]]:
    if not Path("/usr/sbin/mosquitto").exists():  # where Debian has it, which is not on everybody's PATH
        need("mosquitto")
    started: list[Mosquitto] = []

    def make(more: str = "allow_anonymous true") -> Mosquitto:
        started.append(Mosquitto(tmp_path, more))
        return started[-1]

    yield make
    for each in started:
        each.stop()


class Listener:
    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, str]] = []
        self._subscribed = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, "listener", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _, __, message: self.heard.append((message.topic, message.payload.decode()))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def wait_for(self, n: int, topic: str, timeout_s: float = 30.0) -> list[Any]:
        deadline = time.monotonic() + timeout_s
        while len(self.of(topic)) < n and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.of(topic)

    def of(self, topic: str) -> list[Any]:
        return [text if topic.endswith("status") else json.loads(text) for at, text in self.heard if at == topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_a_broker_that_goes_away_gets_every_decision_in_order(mosquitto: Any) -> None:
    running, told = mosquitto(), []
    listener = Listener(running.port)
    sink = MqttSink(running.broker, "pump/3", tell=told.append)
    for number in range(60):
        if number == 20:
            running.stop()
        if number == 40:
            running.start()
        sink.take(Decision(WINDOW, float(number)))
        sink.take(WINDOW)
        time.sleep(0.02)
    decisions = listener.wait_for(60, "plant/1/pump_3/decision")
    assert list(dict.fromkeys(each["since"] for each in decisions)) == list(map(float, range(60)))
    assert [each["sequence"] for each in decisions] == sorted(each["sequence"] for each in decisions)
    sink.take(Summary(0, 0, 0, {}, {}, None))
    sink.close()
    sink.close()
    assert listener.wait_for(1, "plant/1/pump_3/summary")[0]["sequence"] == 61
    assert listener.of("plant/1/pump_3/status")[-1] == "offline" and "online" in listener.of("plant/1/pump_3/status")
    assert sink.dropped == 0 and any("away" in words or "reached" in words for words in told)
    assert any("there again" in words for words in told)
    listener.close()


def test_the_broker_says_offline_for_a_monitor_that_is_cut_off(mosquitto: Any) -> None:
    running = mosquitto()
    listener = Listener(running.port)
    sink = MqttSink(running.broker, "fan")
    assert listener.wait_for(1, "plant/1/fan/status") == ["online"]
    sink._client.socket().shutdown(socket.SHUT_RDWR)
    assert listener.wait_for(3, "plant/1/fan/status")[:3] == ["online", "offline", "online"]
    sink.close()
    listener.close()


def test_home_assistant_is_told_what_there_is(mosquitto: Any) -> None:
    running = mosquitto()
    sink = MqttSink(running.broker, "pump 3", topics="homeassistant")
    sink.take(Decision(WINDOW, 0.0))
    sink.close()
    listener = Listener(running.port)  # comes later: what is retained is there
    topic = "homeassistant/sensor/plant_1_pump_3/condition/config"
    (config,) = listener.wait_for(1, topic)
    (state,) = listener.wait_for(1, config["state_topic"])
    assert state["label"] == "worn" and config["availability_topic"] == "plant/1/pump 3/status"
    listener.close()


def test_a_broker_that_refuses_is_named_once(mosquitto: Any) -> None:
    running, told = mosquitto("allow_anonymous false"), []
    sink = MqttSink(running.broker, "fan", tell=told.append)
    sink.take(Decision(WINDOW, 0.0))
    time.sleep(4)
    assert len(told) == 1 and "refuses: Not authorized" in told[0]
    with pytest.raises(OutputError, match="1 messages were not delivered"):
        sink.close()


def test_a_broker_that_is_not_there_holds_nothing_up() -> None:
    told: list[str] = []
    began = time.monotonic()
    sink = MqttSink(Broker("127.0.0.1", 1, False, None, "x"), "fan", tell=told.append)
    for _ in range(1000):
        sink.take(Decision(WINDOW, 0.0))
    assert time.monotonic() - began < 1
    with pytest.raises(OutputError, match=r"1000 messages were not delivered to 127\.0\.0\.1:1"):
        sink.close()
    assert len(told) == 1 and "cannot be reached" in told[0]
