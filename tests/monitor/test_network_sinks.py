"""Sinks that speak to others: without a broker, see tests/integration/test_mqtt.py for one."""

from __future__ import annotations

import socket
from urllib.request import urlopen

import pytest

pytest.importorskip("paho.mqtt", reason="needs the extra `mqtt`")
pytest.importorskip("prometheus_client", reason="needs the extra `metrics`")

from drsn_edge.errors import OutputError
from drsn_edge.monitor.results import Decision, Severity, Summary, Verdict, WindowResult
from drsn_edge.monitor.sinks import mqtt
from drsn_edge.monitor.sinks.metrics import MetricsServer
from drsn_edge.monitor.sinks.mqtt import Broker, MqttSink, parse_url
from firmware_bridge.stream import StreamCounters

WORN = WindowResult(0, 0.0, Verdict.CLASS, "worn", {"worn": 1.0}, None, 0, 0.25)
LOST = WindowResult(0, 0.0, Verdict.NO_VERDICT, None, None, "lost samples", 3)


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


def scrape(sink: MetricsServer) -> dict[str, float]:
    with urlopen(f"http://127.0.0.1:{sink.port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_metrics_say_what_windows_said_and_what_holds() -> None:
    counters = StreamCounters(samples_received=9, samples_lost=3)
    server = MetricsServer("127.0.0.1", 0, lambda: 1234.5)
    sink = server.sink("fan", lambda: counters, lambda: {"history": "The disk is full.", "lines": None})
    server.sink("pump", lambda: StreamCounters(samples_lost=4))
    sink.take(Severity(0, 0.0, 1.25, 0.1, 0.4, 4.0, 3.0, "A", "g"))
    for result in (WORN, WORN, LOST, Decision(WORN, 0.0), Decision(LOST, 0.0), Summary(0, 0, 0, {}, {}, None)):
        sink.take(result)
    found = scrape(server)
    assert found['drsn_edge_windows_total{detail="worn",machine="fan",verdict="CLASS"}'] == 2
    assert found['drsn_edge_windows_total{detail="lost samples",machine="fan",verdict="NO_VERDICT"}'] == 1
    decisions = {name: value for name, value in found.items() if name.startswith("drsn_edge_decision")}
    assert decisions == {'drsn_edge_decision{detail="lost samples",machine="fan",verdict="NO_VERDICT"}': 1}
    assert found['drsn_edge_link_samples_lost_total{machine="fan"}'] == 3
    assert found['drsn_edge_link_samples_lost_total{machine="pump"}'] == 4
    failing = {name: value for name, value in found.items() if name.startswith("drsn_edge_output_failing")}
    assert failing == {
        'drsn_edge_output_failing{machine="fan",output="history"}': 1,
        'drsn_edge_output_failing{machine="fan",output="lines"}': 0,
    }
    assert found['drsn_edge_novelty{machine="fan"}'] == 0.25
    assert found['drsn_edge_severity{machine="fan",measure="velocity_rms_mm_s"}'] == 1.25
    assert found['drsn_edge_last_window_timestamp_seconds{machine="fan"}'] == 1234.5
    counters = StreamCounters(samples_lost=5)
    assert scrape(server)['drsn_edge_link_samples_lost_total{machine="fan"}'] == 5
    server.close()
    server.close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), 0.5)


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OutputError, match="Choose another port"):
        MetricsServer("127.0.0.1", taken.getsockname()[1])
