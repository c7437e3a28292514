"""A real Mosquitto: stopped for a while, without memory, refused, with TLS and client certificates, gone for good."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.enums import CallbackAPIVersion
from refusals import refused

pytest.importorskip("paho.mqtt", reason="MQTT needs the extra `mqtt`")

import paho.mqtt.client as paho
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drsn_edge.errors import OutputError
from drsn_edge.monitor.mqtt_check import check_mqtt
from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.sinks import mqtt
from drsn_edge.monitor.sinks.broker import Broker, MqttOptions
from drsn_edge.monitor.sinks.mqtt import MqttSink
from drsn_edge.monitor.sinks.present import About
from drsn_edge.monitor.sinks.topics import topic_part
from drsn_edge.monitor.stages.results import Alarm, AlarmState, Decision, Severity, Summary, WindowResult
from drsn_edge.verdicts import Verdict

pytestmark = pytest.mark.integration

WINDOW = WindowResult(0, 0.0, Verdict.CLASS, "worn", {"worn": 1.0}, None, 0)
GATEWAY = MqttOptions(gateway="g")
ALARMS = About(lambda: ("worn", "UNKNOWN"))


class Mosquitto:
    def __init__(self, folder: Path, more: str, remembers: bool) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        memory = f"persistence true\npersistence_location {folder}/\n" if remembers else "persistence false\n"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nuser {getpass.getuser()}\n{memory}{more}\n")
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


@pytest.fixture(autouse=True)
def few_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "_LAST_WORDS_S", 0.5)


@pytest.fixture
def mosquitto(tmp_path: Path, need: Callable[..., None]) -> Iterator[Callable[..., Mosquitto]]:
    if not Path("/usr/sbin/mosquitto").exists():  # where Debian has it, which is not on everybody's PATH
        need("mosquitto")
    started: list[Mosquitto] = []

    def make(more: str = "allow_anonymous true", remembers: bool = True) -> Mosquitto:
        started.append(Mosquitto(tmp_path, more, remembers))
        return started[-1]

    yield make
    for each in started:
        each.stop()


class Listener:
    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, str]] = []
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "listener", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _, __, message: self.heard.append((message.topic, message.payload.decode()))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def wait_until(self, true: Callable[[], object], timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline, self.heard
            time.sleep(0.05)

    def wait_for(self, n: int, topic: str, timeout_s: float = 30.0) -> list[Any]:
        deadline = time.monotonic() + timeout_s
        while len(self.of(topic)) < n and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.of(topic)

    def of(self, topic: str) -> list[Any]:
        return [text if topic.endswith("status") else json.loads(text) for at, text in self.heard if at == topic]

    @property
    def kept(self) -> dict[str, str]:
        return {topic: text for topic, text in self.heard if text}

    def publish(self, topic: str, payload: str, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_a_broker_that_goes_away_gets_every_decision_in_order(mosquitto: Any) -> None:
    told: list[Any] = []
    running = mosquitto()
    listener = Listener(running.port)
    sink = MqttSink(running.broker, "pump/3", GATEWAY, tell=told.append)
    base = f"plant/1/g/{topic_part('pump/3')}"
    for number in range(60):
        if number == 20:
            running.stop()
        if number == 40:
            running.start()
        sink.take(Decision(WINDOW, float(number)))
        sink.take(WINDOW)
        time.sleep(0.02)
    listener.wait_until(lambda: any(each["since"] == 59 for each in listener.of(f"{base}/decision")))
    decisions = listener.of(f"{base}/decision")
    assert list(dict.fromkeys(each["since"] for each in decisions)) == list(map(float, range(60)))
    assert [each["sequence"] for each in decisions] == sorted(each["sequence"] for each in decisions)
    sink.take(Summary(0, 0, 0, {}, {}, None))
    sink.close()
    sink.close()
    assert listener.wait_for(1, f"{base}/summary")[0]["sequence"] == 61
    deadline = time.monotonic() + 10
    while listener.of(f"{base}/status")[-1] != "offline" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert listener.of(f"{base}/status")[-1] == "offline" and "online" in listener.of(f"{base}/status")
    assert sink.dropped == 0 and any("is lost" in words or "reached" in words for words in told)
    assert any("reachable again" in words for words in told)
    listener.close()


def test_the_broker_says_offline_for_a_monitor_that_is_cut_off(mosquitto: Any) -> None:
    running = mosquitto()
    listener = Listener(running.port)
    sink = MqttSink(running.broker, "fan", GATEWAY)
    assert listener.wait_for(1, "plant/1/g/fan/status") == ["online"]
    sink._connection._client.socket().shutdown(socket.SHUT_RDWR)
    assert listener.wait_for(3, "plant/1/g/fan/status")[:3] == ["online", "offline", "online"]
    sink.close()
    listener.close()


def test_home_assistant_is_told_what_there_is(mosquitto: Any) -> None:
    running = mosquitto()
    sink = MqttSink(running.broker, "pump 3", replace(GATEWAY, topics="homeassistant"), ALARMS)
    sink.take(Decision(WINDOW, 0.0))
    sink.close()
    listener = Listener(running.port)  # comes later: what is retained is there
    base = f"plant/1/g/{topic_part('pump 3')}"
    (config,) = listener.wait_for(1, f"homeassistant/sensor/{topic_part(base)}/condition/config")
    (state,) = listener.wait_for(1, config["state_topic"])
    assert state["label"] == "worn" and config["availability_topic"] == f"{base}/status"
    (alarm,) = listener.wait_for(1, f"homeassistant/binary_sensor/{topic_part(base)}/alarm_worn/config")
    assert listener.wait_for(1, alarm["state_topic"])[0]["state"] == "CLEARED"
    configs = [topic for topic in listener.kept if topic.startswith("homeassistant/")]
    assert len({json.loads(listener.kept[topic])["unique_id"] for topic in configs}) == len(configs) == 7
    listener.close()


def test_a_broker_that_refuses_is_named_once(mosquitto: Any) -> None:
    told: list[Any] = []
    running = mosquitto("allow_anonymous false")
    sink = MqttSink(running.broker, "fan", GATEWAY, tell=told.append)
    sink.take(Decision(WINDOW, 0.0))
    time.sleep(4)
    assert len(told) == 1 and "refuses the connection: Not authorized" in told[0]
    with refused(OutputError, "not_delivered", got=1):
        sink.close()


def test_a_broker_that_is_not_there_holds_nothing_up() -> None:
    told: list[str] = []
    began = time.monotonic()
    sink = MqttSink(Broker("127.0.0.1", 1, False, None, "x"), "fan", GATEWAY, tell=told.append)
    for _ in range(1000):
        sink.take(Decision(WINDOW, 0.0))
    assert time.monotonic() - began < 1
    with refused(OutputError, "not_delivered", broker="127.0.0.1:1", got=1000):
        sink.close()
    assert len(told) == 1 and "cannot be reached" in told[0]


def test_a_broker_that_lost_its_memory_knows_everything_again(mosquitto: Any) -> None:
    running = mosquitto(remembers=False)
    options = replace(GATEWAY, topics="homeassistant")
    sink = MqttSink(running.broker, "fan", options, ALARMS)
    for result in (
        WINDOW,
        Decision(WINDOW, 0.0),
        Alarm("worn", AlarmState.RAISED, 0, 0.0, 0.0, 1.0),
        Severity(0, 0.0, 1.25, 0.1, 0.4, 4.0, 3.0, "A", "g"),
    ):
        sink.take(result)
    before = Listener(running.port)
    before.wait_until(lambda: len(before.kept) == 14)
    before.close()
    running.stop()
    running.start()
    after = Listener(running.port)
    after.wait_until(lambda: after.kept.keys() == before.kept.keys())
    assert after.kept == before.kept
    assert json.loads(after.kept["plant/1/g/fan/alarm/worn"])["state"] == "RAISED"
    after.close()
    sink.close()


def test_acknowledging_through_a_broker(mosquitto: Any) -> None:
    done: list[Any] = []
    told: list[Any] = []
    running = mosquitto()
    listener = Listener(running.port)
    topic = "plant/1/g/fan/acknowledge"
    listener.publish(topic, "worn", retain=True)
    sink = MqttSink(running.broker, "fan", GATEWAY, ALARMS, acknowledge=lambda *a: done.append(a), tell=told.append)
    while not done:  # from when on it listens only the broker knows
        listener.publish(topic, "")
    for payload in ("worn", "nothing"):
        listener.publish(topic, payload)
    listener.wait_until(lambda: told)
    assert set(done[:-1]) == {()} and done[-1] == ("worn",) and "'nothing'" in told[0]
    sink.close()
    listener.close()


def test_a_large_message_to_acknowledge_is_not_read_and_decisions_go_on(mosquitto: Any) -> None:
    told: list[Any] = []
    running = mosquitto()
    listener = Listener(running.port)
    sink = MqttSink(running.broker, "fan", GATEWAY, ALARMS, tell=told.append)
    listener.publish("plant/1/g/fan/acknowledge", "x" * 20_000_000, retain=True)
    listener.wait_until(lambda: told)
    assert "message of more than" in told[0]
    sink.take(Decision(WINDOW, 7.0))
    listener.wait_until(lambda: any(each["since"] == 7 for each in listener.of("plant/1/g/fan/decision")))
    sink.close()
    listener.close()


# --- TLS -------------------------------------------------------------------------------------------------------------


class Authority:
    """Signs certificates for brokers and clients."""

    def __init__(self, folder: Path, name: str = "works") -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.path = self._write(name, self._certificate(name, self._key, None), None)[0]

    def signed(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        return self._write(name, self._certificate(name, key, "127.0.0.1"), key)

    def _certificate(self, name: str, key: Any, address: str | None) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=address is None, path_length=None), critical=True)
        )
        if address is not None:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate, key: Any) -> tuple[Path, Path]:
        paths = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        if key is not None:
            form = serialization.PrivateFormat.PKCS8
            none = serialization.NoEncryption()
            paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, none))
        return paths


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def with_tls(mosquitto: Any, authority: Authority) -> Mosquitto:
    cert, key = authority.signed("broker")
    running: Mosquitto = mosquitto(
        f"cafile {authority.path}\ncertfile {cert}\nkeyfile {key}\nrequire_certificate true\n"
        "use_identity_as_username true\nallow_anonymous false"
    )
    return running


def told_by(broker: Broker, options: MqttOptions, until: str) -> list[str]:
    told: list[str] = []
    sink = MqttSink(broker, "fan", options, tell=told.append)
    deadline = time.monotonic() + 15
    while not told and not sink._connection.listens and time.monotonic() < deadline:
        time.sleep(0.02)
    sink.close()
    assert (until == "") is not bool(told) and until in "".join(told), told
    return told


def test_a_client_certificate_opens_a_broker_that_wants_one(with_tls: Mosquitto, authority: Authority) -> None:
    broker = replace(with_tls.broker, tls=True)
    cert, key = authority.signed("gateway")
    known = MqttOptions("g", ca=authority.path, cert=cert, key=key)
    told_by(broker, known, "")
    (both := cert.with_name("both.pem")).write_bytes(cert.read_bytes() + key.read_bytes())
    told_by(broker, replace(known, cert=both, key=None), "")
    (without,) = told_by(broker, MqttOptions("g", ca=authority.path), "--mqtt-cert")
    assert "TLS failed" in without


def test_a_certificate_that_is_not_accepted_is_named(with_tls: Mosquitto, authority: Authority, tmp_path: Path) -> None:
    broker = replace(with_tls.broker, tls=True)
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger")
    cert, key = stranger.signed("gateway")
    told_by(broker, MqttOptions("g"), "--mqtt-ca")
    told_by(broker, MqttOptions("g", ca=stranger.path), "--mqtt-ca")
    told_by(broker, MqttOptions("g", ca=authority.path, cert=cert, key=key), "--mqtt-cert")
    told_by(replace(broker, host="localhost"), MqttOptions("g", ca=authority.path), "host name that it was issued for")


def test_tls_at_a_plain_port_and_the_other_way_round(mosquitto: Any, with_tls: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    plain = Mosquitto(tmp_path / "plain", "allow_anonymous true", True)
    (words,) = told_by(replace(plain.broker, tls=True), MqttOptions("g"), "TLS failed")
    assert "mqtt://" in words and "cannot be reached" not in words
    told_by(with_tls.broker, GATEWAY, "mqtts://")
    plain.stop()


def test_files_of_certificates_are_refused_at_the_start_in_one_sentence(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.signed("gateway")
    other = authority.signed("another")[1]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    encrypted = tmp_path / "encrypted"
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    form, secret = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    encrypted.write_bytes(loaded.private_bytes(serialization.Encoding.PEM, form, secret))
    absent = tmp_path / "absent"
    cases: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
        ({"mqtt_cert": absent}, "cannot_read", {"path": absent, "option": "--mqtt-cert"}),
        ({"mqtt_cert": tmp_path}, "not_a_file", {"path": tmp_path, "option": "--mqtt-cert"}),
        ({"mqtt_cert": pipe}, "not_a_file", {"path": pipe}),
        ({"mqtt_cert": cert, "mqtt_key": absent}, "cannot_read", {"path": absent, "option": "--mqtt-key"}),
        ({"mqtt_cert": cert, "mqtt_key": other}, "key_mismatch", {"cert": cert, "key": other}),
        ({"mqtt_cert": cert}, "invalid_pair", {"cert": cert, "key": None}),
        ({"mqtt_cert": key, "mqtt_key": key}, "invalid_pair", {"cert": key, "key": key}),
        ({"mqtt_cert": cert, "mqtt_key": encrypted}, "encrypted_key", {"path": encrypted}),
        ({"mqtt_ca": key}, "invalid_certificates", {"path": key, "option": "--mqtt-ca"}),
        ({"mqtt_ca": absent}, "cannot_read", {"path": absent, "option": "--mqtt-ca"}),
    ]
    for more, problem, facts in cases:
        with refused(OutputError, problem, **facts) as caught:
            check_mqtt([SensorConfig("p", "fan", mqtt="mqtts://b", **more)])
        assert "\n" not in str(caught.value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRSN_EDGE_MQTT_KEY_PASSPHRASE", "secret")
        check_mqtt([SensorConfig("p", "fan", mqtt="mqtts://b", mqtt_cert=cert, mqtt_key=encrypted)])
