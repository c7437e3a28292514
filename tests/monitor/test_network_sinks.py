"""Sinks that speak to others: without a broker, see tests/integration/test_mqtt.py for one."""

from __future__ import annotations

import pytest

pytest.importorskip("paho.mqtt", reason="needs the extra `mqtt`")

from drsn_edge.errors import OutputError
from drsn_edge.monitor.results import Decision, Verdict, WindowResult
from drsn_edge.monitor.sinks import mqtt
from drsn_edge.monitor.sinks.mqtt import Broker, MqttSink, parse_url

WORN = WindowResult(0, 0.0, Verdict.CLASS, "worn", {"worn": 1.0}, None, 0, 0.25)


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("mqtt://broker", Broker("broker", 1883, False, None, "drsn-edge")),
        ("mqtts://me%40x@10.0.0.1:99/plant/hall%201/", Broker("10.0.0.1", 99, True, "me@x", "plant/hall 1")),
        ("mqtts://[::1]", Broker("::1", 8883, True, None, "drsn-edge")),
    ],
)
def test_urls(url: str, broker: Broker) -> None:
    assert parse_url(url) == broker


@pytest.mark.parametrize(
    "url", ["", "broker", "http://broker", "mqtt://", "mqtt://b:99999", "mqtt://b/#", "mqtt://b/a?x=1", "mqtt://[::1"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(OutputError, match="Expected mqtt://"):
        parse_url(url)


def test_a_password_in_the_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(OutputError, match="DRSN_EDGE_MQTT_PASSWORD") as refused:
        parse_url("mqtt://me:secret@broker")
    assert "secret" not in str(refused.value)


def test_certificates_that_cannot_be_used(tmp_path) -> None:
    with pytest.raises(OutputError, match="certificates"):
        MqttSink(Broker("b", 1, True, None, "x"), "fan", ca=tmp_path / "absent")


def test_memory_has_an_end(monkeypatch) -> None:
    monkeypatch.setattr(mqtt, "_MOST_WAITING", 10)
    monkeypatch.setattr(mqtt, "_LAST_WORDS_S", 0.05)
    sink = MqttSink(Broker("127.0.0.1", 1, False, None, "x"), "fan")
    for _ in range(25):
        sink.take(Decision(WORN, 0.0))
    assert sink.dropped == 15 and len(sink._waiting) == 10
    with pytest.raises(OutputError, match="not delivered"):
        sink.close()
