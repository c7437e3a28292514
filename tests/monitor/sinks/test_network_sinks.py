"""MQTT without a broker, and with one that means no good; see tests/integration/test_mqtt.py for a real one."""

from __future__ import annotations

import json
import math
import re
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from fake_broker import FakeBroker, length_of
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

pytest.importorskip("paho.mqtt", reason="needs the extra `mqtt`")

import paho.mqtt.client as paho

from drsn_edge.errors import OutputError
from drsn_edge.monitor.result_clock import ResultClock
from drsn_edge.monitor.sinks import delivery, mqtt, mqtt_connection, mqtt_trouble
from drsn_edge.monitor.sinks.bounded_mqtt import BoundedClient, Incoming, TooMuchError
from drsn_edge.monitor.sinks.broker import Broker, MqttOptions, parse_url
from drsn_edge.monitor.sinks.mqtt import MqttSink
from drsn_edge.monitor.sinks.mqtt_trouble import Trouble
from drsn_edge.monitor.sinks.present import About
from drsn_edge.monitor.sinks.topics import topic_part
from drsn_edge.monitor.stages.results import Alarm, AlarmState, Coverage, Decision, Severity, Summary, WindowResult
from drsn_edge.support.notice import Notice
from drsn_edge.verdicts import Verdict
from firmware_bridge.sources.arrivals import Arrival
from firmware_bridge.wire.events import Idle

WORN = WindowResult(0, 0.0, Verdict.CLASS, "worn", {"worn": 1.0}, None, 0, 0.25)
SEVERITY = Severity(0, 0.0, 1.25, 0.1, 0.4, 4.0, 3.0, "A", "g")
SUMMARY = Summary(0, 0, 0, {}, {}, None)
RAISED = Alarm("worn", AlarmState.RAISED, 0, 0.0, 0.0, 1.0)
GATEWAY = MqttOptions(gateway="g")
ALARMS = About(
    lambda: ("worn", "UNKNOWN"), lambda: {"history": "The disk is full.", "lines": None}, lambda: ("fans", "1.2")
)


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_connection, "_RETRY_S", (0.01, 0.02))
    monkeypatch.setattr(mqtt, "_LAST_WORDS_S", 0.2)


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
    "url",
    [
        "",
        "broker",
        "http://broker",
        "mqtt://",
        "mqtt://b:99999",
        "mqtt://b/#",
        "mqtt://b/a?x=1",
        "mqtt://[::1",
        "mqtt://b/$SYS/a",
        "mqtt://b/a%0Ab",
        "mqtt://b/%80",
        "mqtt://b/" + 201 * "a",
        "mqtt://" + 64 * "a",
    ],
)
def test_what_is_no_url(url: str) -> None:
    with refused(OutputError, "invalid_url", got=url):
        parse_url(url)


def test_a_password_in_the_url_is_refused_without_repeating_it() -> None:
    with refused(OutputError, "password_in_url") as caught:
        parse_url("mqtt://me:secret@broker")
    assert "secret" not in str(caught.value) and "DRSN_EDGE_MQTT_PASSWORD" in str(caught.value)


def test_memory_has_an_end(monkeypatch) -> None:
    monkeypatch.setattr(delivery, "MOST_EVENTS", 10)
    sink = MqttSink(Broker("127.0.0.1", 1, False, None, "x"), "fan", MqttOptions(gateway="g"))
    for _ in range(25):
        sink.take(Decision(WORN, 0.0))
        sink.take(WORN)
        sink.take(SEVERITY)
    assert sink.dropped == 15 and sink._delivery._outbox.events == 10 and len(sink._delivery._outbox) < 15
    with refused(OutputError, "not_delivered", got=10):
        sink.close()


# --- with a broker that forgets, or means no good --------------------------------------------------------------------


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    made = FakeBroker()
    yield made
    made.close()


@pytest.fixture
def sink_at(broker: FakeBroker) -> Iterator[Callable[..., MqttSink]]:
    made: list[MqttSink] = []

    def make(machine: str = "fan", options: MqttOptions = GATEWAY, **more: Any) -> MqttSink:
        where = Broker("127.0.0.1", broker.port, False, None, "plant")
        made.append(MqttSink(where, machine, options, more.pop("about", ALARMS), **more))
        return made[-1]

    yield make
    for each in made:
        with suppress(OutputError):
            each.close()


def test_each_part_of_the_state_has_a_retained_topic_of_its_own(broker: FakeBroker, sink_at: Any) -> None:
    sink = sink_at(now_s=lambda: 1000.0)
    broker.wait_for(lambda: broker.published)
    for result in (WORN, Decision(WORN, 0.0), RAISED, SEVERITY, SUMMARY):
        sink.take(result)
    sink.close()
    kept = broker.retained
    names = ("status", "state", "decision", "alarm/worn", "alarm/UNKNOWN", "severity", "summary")
    assert set(kept) == {f"plant/g/fan/{name}" for name in names}
    assert broker.of("plant/g/fan/status") == ["online", "offline"]
    state = json.loads(kept["plant/g/fan/state"])
    assert state["decision"]["label"] == "worn" and state["decision"]["decided_s"] == state["measured_s"] == 1000
    assert datetime.fromisoformat(state["measured"]).timestamp() == 1000
    assert json.loads(kept["plant/g/fan/decision"])["measured_s"] == 1000
    assert state["alarms"]["worn"]["state"] == "RAISED" and state["alarms"]["UNKNOWN"]["state"] == "CLEARED"
    assert state["severity"]["velocity_rms_mm_s"] == 1.25 and state["failing"] == {"history": "The disk is full."}
    assert (state["gateway"], state["machine"], state["bundle"]) == ("g", "fan", {"name": "fans", "version": "1.2"})
    assert json.loads(kept["plant/g/fan/severity"])["zone"] == "A"


def test_coverage_that_is_off_is_in_the_state_at_once_and_discovered(broker: FakeBroker, sink_at: Any) -> None:
    sink = sink_at(now_s=lambda: 1000.0, options=replace(GATEWAY, topics="homeassistant"))
    broker.wait_for(lambda: "plant/g/fan/state" in broker.retained)
    assert json.loads(broker.retained["plant/g/fan/state"])["coverage_off"] is False
    sink.take(Coverage(0, 0.0, True, 0.5, 0.8, 0.9, 500))
    sink.flush()
    broker.wait_for(lambda: json.loads(broker.retained["plant/g/fan/state"])["coverage_off"])
    assert any("/coverage_off/config" in topic for topic in broker.retained)


def test_a_slice_publishes_its_events_in_order_with_their_times_and_the_state_once(
    broker: FakeBroker, sink_at: Any
) -> None:
    clock = ResultClock(lambda: 2000.0)
    sink = sink_at(now_s=clock.time_s)
    broker.wait_for(lambda: sink._delivery.is_done.is_set() and "plant/g/fan/state" in broker.retained)
    broker.published.clear()
    for number in range(5):
        clock.at = Arrival(Idle(), 0.0, 1000.0 + number)
        for result in (WORN, Decision(WORN, float(number)), replace(RAISED, state=list(AlarmState)[number % 3])):
            sink.take(result)
    clock.at = None
    sink.flush()
    for _ in range(3):
        sink.take(WORN)
        sink.flush()
    broker.wait_for(sink._delivery.is_done.is_set)
    assert [topic.rpartition("/")[2] for topic, _ in broker.published] == [*5 * ["decision", "worn"], "state"]
    values = [json.loads(payload) for _, payload in broker.published]
    assert [each["time_s"] for each in values] == [1000, 1000, 1001, 1001, 1002, 1002, 1003, 1003, 1004, 1004, 1004]
    assert values[-1]["measured_s"] == values[-1]["decision"]["decided_s"] == 1004


def test_before_there_is_a_decision_the_one_of_an_earlier_run_is_replaced(broker: FakeBroker, sink_at: Any) -> None:
    sink_at()
    broker.wait_for(lambda: "plant/g/fan/state" in broker.retained)
    decision, alarm = (json.loads(broker.retained[f"plant/g/fan/{name}"]) for name in ("decision", "alarm/worn"))
    assert (decision["verdict"], decision["label"]) == ("NO_VERDICT", None) and alarm["state"] == "CLEARED"


def test_a_broker_that_lost_its_memory_is_told_everything_anew(broker: FakeBroker, sink_at: Any) -> None:
    sink = sink_at(options=replace(GATEWAY, topics="homeassistant"))
    for result in (WORN, Decision(WORN, 0.0), RAISED, SEVERITY):
        sink.take(result)
    broker.wait_for(sink._delivery.is_done.is_set)
    before = broker.retained
    assert len(before) > 10
    broker.published.clear()
    broker.drop()
    broker.wait_for(lambda: len(broker.connections) == 2 and set(broker.retained) == set(before))
    assert broker.retained == before


def test_home_assistant_that_begins_anew_is_told_everything_anew(broker: FakeBroker, sink_at: Any) -> None:
    sink = sink_at(options=replace(GATEWAY, topics="homeassistant"))
    broker.wait_for(lambda: sink._delivery.is_done.is_set() and (1, "homeassistant/status") in broker.subscribed)
    before = broker.retained
    broker.published.clear()
    broker.publish("homeassistant/status", b"online")
    broker.wait_for(lambda: broker.retained == before)


def test_an_alarm_that_is_raised_is_not_hidden_by_another_that_is_cleared(broker: FakeBroker, sink_at: Any) -> None:
    times = iter(range(1000, 2000))
    sink = sink_at(now_s=lambda: float(next(times)))
    for result in (RAISED, replace(RAISED, name="UNKNOWN"), replace(RAISED, name="UNKNOWN", state=AlarmState.CLEARED)):
        sink.take(result)
    broker.wait_for(sink._delivery.is_done.is_set)
    worn, unknown = (json.loads(broker.retained[f"plant/g/fan/alarm/{name}"]) for name in ("worn", "UNKNOWN"))
    assert worn["state"] == "RAISED" and worn["raised_s"] and worn["cleared_s"] is None
    assert unknown["state"] == "CLEARED" and unknown["raised_s"] < unknown["cleared_s"]


def test_alarms_that_another_bundle_does_not_know_are_taken_back(broker: FakeBroker, sink_at: Any) -> None:
    names = ["worn", "UNKNOWN"]
    sink = sink_at(about=About(lambda: tuple(names)), options=replace(GATEWAY, topics="homeassistant"))
    broker.wait_for(lambda: "plant/g/fan/alarm/worn" in broker.retained)
    names[0] = "torn/off"
    sink.take(Decision(WORN, 0.0))
    sink.flush()
    broker.wait_for(sink._delivery.is_done.is_set)
    part = topic_part("torn/off")
    assert broker.of("plant/g/fan/alarm/worn")[-1] == "" and f"plant/g/fan/alarm/{part}" in broker.retained
    configs = [topic for topic, payload in broker.published if "binary_sensor" in topic and "alarm_worn" in topic]
    assert len(configs) == 2 and broker.of(configs[0])[-1] == ""


def test_numbers_that_json_has_not_are_null(broker: FakeBroker, sink_at: Any) -> None:
    sink = sink_at()
    sink.take(replace(SEVERITY, kurtosis=math.nan, crest_factor=math.inf))
    broker.wait_for(lambda: "plant/g/fan/severity" in broker.retained)
    values = json.loads(broker.retained["plant/g/fan/severity"], parse_constant=pytest.fail)
    assert values["kurtosis"] is None and values["acceleration_rms"] == 0.1


def test_gateways_and_machines_have_client_ids_of_their_own_the_same_at_each_start(
    broker: FakeBroker, sink_at: Any
) -> None:
    for gateway, machine in (("g", "a"), ("g", "b"), ("h", "a"), ("g", "a")):
        sink_at(machine, MqttOptions(gateway)).close()
    sink_at("a", MqttOptions("g", client_id="mine")).close()
    assert len(set(broker.client_ids)) == 4 and broker.client_ids[0] == broker.client_ids[3]
    assert broker.client_ids[4] == "mine" and re.fullmatch("[0-9a-z]{1,23}", broker.client_ids[0])


def test_acknowledging_takes_an_empty_message_or_a_name_and_nothing_that_was_retained(
    broker: FakeBroker, sink_at: Any
) -> None:
    done: list[tuple[str, ...]] = []
    told: list[str] = []
    about = About(lambda: ("inner race", "UNKNOWN"))
    sink_at(about=about, acknowledge=lambda *names: done.append(names), tell=told.append)
    topic = "plant/g/fan/acknowledge"
    broker.wait_for(lambda: (1, topic) in broker.subscribed)
    broker.publish(topic, b"UNKNOWN", flags=1)  # retained: of another day
    for payload in (b"", b" \n", b"UNKNOWN", b"inner race", topic_part("inner race").encode()):
        broker.publish(topic, payload)
    for nonsense in (b"ON", b"\xff\xfe", b"\x1b[2J", b"x" * mqtt_connection.MOST_MESSAGE_BYTES):
        broker.publish(topic, nonsense)
    broker.publish(b"\xff\xfe", b"")
    broker.publish(topic, b"", flags=2)
    broker.wait_for(lambda: len(done) >= 6)
    assert done == [(), (), ("UNKNOWN",), ("inner race",), ("inner race",), ()]
    assert len(broker.connections) == 1 and len(told) == 1
    assert "'ON'" in told[0] and "inner race, UNKNOWN" in told[0] and "empty message" in told[0]


@pytest.mark.parametrize(
    ("data", "words", "deaf"),
    [
        (b"\x30" + length_of(200 << 20) + b"\0\x17plant/g/fan/acknowledge", "message of more than", True),
        (b"\x30" + length_of(400), "message of more than", True),
        (b"\x32\xff\xff\xff\xff\xff\xff", "message of more than", True),
        (101 * b"\x30\x19\0\x17plant/g/fan/acknowledge", "more than 100 messages in a second", True),
        (b"\x34\x05\0\1a\0\1", "packet of kind 3", False),
        (b"\x62\x02\0\1", "packet of kind 6", False),
        (b"\xc0\0", "packet of kind 12", False),
        (b"\xd0\x80\x80\x80\x01", "answer of more than 8 bytes", False),
        (200 * b"\xd0\0", "answers without a request", False),
        (200 * b"\x40\x02\0\x09", "answers without a request", False),
    ],
)
def test_what_nobody_asked_for_ends_the_connection_before_it_is_read_and_decisions_go_on(
    broker: FakeBroker, sink_at: Any, data: bytes, words: str, deaf: bool
) -> None:
    told: list[str] = []
    sink = sink_at(tell=told.append)
    broker.wait_for(lambda: broker.subscribed and sink._delivery.is_done.is_set())
    broker.send(data)
    broker.wait_for(lambda: len(broker.connections) == 2)
    broker.published.clear()
    sink.take(Decision(WORN, 0.0))
    broker.wait_for(lambda: broker.of("plant/g/fan/decision") and sink._delivery.is_done.is_set())
    assert words in told[0] and len(told) == 2 and "reachable again" in told[1] and isinstance(told[1], Notice)
    assert json.loads(broker.retained["plant/g/fan/decision"])["label"] == "worn"
    assert ((2, "plant/g/fan/acknowledge") in broker.subscribed) is not deaf  # or it would begin again at once
    assert sink.trouble is None


def test_a_message_of_200_megabytes_is_never_in_memory(broker: FakeBroker, sink_at: Any) -> None:
    sink_at()
    broker.wait_for(lambda: broker.subscribed)
    tracemalloc.start()
    with pytest.raises(OSError):
        broker.publish("plant/g/fan/acknowledge", b"x" * 1000, claimed=200 << 20)
        for _ in range(2000):
            broker.send(bytes(100_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_after_a_minute_it_listens_again(broker: FakeBroker, sink_at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_connection, "_DEAF_S", 0.2)
    sink_at()
    broker.wait_for(lambda: broker.subscribed)
    broker.send(b"\x30" + length_of(1 << 20))
    broker.wait_for(lambda: (2, "plant/g/fan/acknowledge") in broker.subscribed)


def test_a_broker_that_cuts_every_connection_is_told_of_once_a_minute_at_most(broker: FakeBroker, sink_at: Any) -> None:
    told: list[str] = []
    sink_at(tell=told.append)

    def connected(number: int) -> bool:
        return len(broker.connections) >= number and bool(broker.subscribed)

    for number in range(1, 6):
        broker.wait_for(partial(connected, number))
        broker.subscribed.clear()
        broker.drop()
    assert len(told) <= 2


def test_decisions_that_were_thrown_away_are_counted_and_said(
    broker: FakeBroker, sink_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "MOST_EVENTS", 3)
    told: list[str] = []
    broker.confirms = False
    sink = sink_at(tell=told.append)
    broker.wait_for(lambda: broker.published)
    for number in range(10):
        sink.take(Decision(WORN, float(number)))
    sink.flush()
    broker.confirms = True
    broker.drop()
    broker.wait_for(lambda: len(broker.connections) == 2 and sink._delivery.is_done.is_set())
    assert "7 decisions and alarms of fan were lost" in told[-1]
    assert json.loads(broker.retained["plant/g/fan/state"])["dropped"] == 7
    assert [json.loads(text)["since"] for text in broker.of("plant/g/fan/decision")][-3:] == [7, 8, 9]


def test_a_broker_that_does_not_let_it_listen_is_named(broker: FakeBroker, sink_at: Any) -> None:
    told: list[str] = []
    broker.granted = 0x80
    sink_at(tell=told.append)
    broker.wait_for(lambda: told)
    assert "plant/g/fan/acknowledge" in told[0] and "subscribe" in told[0]


def test_an_alarm_of_a_bundle_that_was_just_read_is_discovered_as_well(broker: FakeBroker, sink_at: Any) -> None:
    names = ["UNKNOWN"]
    sink = sink_at(about=About(lambda: tuple(names)), options=replace(GATEWAY, topics="homeassistant"))
    names.append("worn")
    sink.take(RAISED)
    broker.wait_for(sink._delivery.is_done.is_set)
    assert json.loads(broker.retained["plant/g/fan/alarm/worn"])["state"] == "RAISED"
    assert any(topic.endswith("/alarm_worn/config") for topic in broker.retained)


def test_two_clients_with_one_id_are_suspected(
    broker: FakeBroker, sink_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_trouble, "_QUIET_S", (0.0, 0.0))
    told: list[str] = []
    sink_at(tell=told.append)

    def listens(number: int) -> bool:
        return (number, "plant/g/fan/acknowledge") in broker.subscribed

    for number in range(1, 5):
        broker.wait_for(partial(listens, number))
        broker.drop()
    broker.wait_for(lambda: len(told) >= 7)
    assert "closed the connection." in told[0] and broker.client_ids[0] in told[6] and "--mqtt-client-id" in told[6]


def test_a_trouble_that_comes_and_goes_is_said_less_and_less() -> None:
    told: list[float] = []
    now = 0.0
    trouble = Trouble(lambda words: told.append(now), lambda: now)
    for now in map(float, range(86_400)):
        (trouble.begin if now % 10 < 5 else trouble.end)("words")
    assert told[:2] == [0, 5] and len(told) < 70


def test_another_paho_that_reads_elsewhere_is_not_used(
    broker: FakeBroker, sink_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedClient, "_sock_recv", paho.Client._sock_recv)
    told: list[str] = []
    sink_at(tell=told.append)
    broker.wait_for(lambda: told)
    assert "paho-mqtt" in told[0] and not broker.published


@pytest.mark.parametrize("connack", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x46"])
def test_what_is_no_broker_is_named(connack: bytes) -> None:
    told: list[Any] = []
    other = FakeBroker(connack)
    sink = MqttSink(Broker("127.0.0.1", other.port, False, None, "plant"), "fan", GATEWAY, tell=told.append)
    other.wait_for(lambda: len(other.connections) > 2)
    assert len(told) == 1 and "use mqtts://" in told[0]
    assert sink.trouble == told[0]
    sink.close()
    other.close()


def test_tls_at_a_port_without_it_is_named() -> None:
    told: list[Any] = []
    other = FakeBroker(4 * b"\x20\x02\0\0")
    sink = MqttSink(Broker("127.0.0.1", other.port, True, None, "plant"), "fan", GATEWAY, tell=told.append)
    other.wait_for(lambda: told)
    assert "TLS failed" in told[0] and "mqtt://" in told[0] and "8883" in told[0]
    sink.close()
    other.close()


@given(st.lists(st.binary(max_size=20), max_size=10), st.data())
def test_bounds_hold_however_bytes_are_cut(packets: list[bytes], data: st.DataObject) -> None:
    stream = b"\x20\x02\0\0" + b"".join(packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))

    def fate(pieces: list[bytes]) -> str:
        incoming = Incoming(30, lambda: 0.0)
        try:
            for piece in pieces:
                incoming.take(piece)
        except TooMuchError as exc:
            return str(exc)
        return f"{incoming._kind} {incoming._body}"

    whole = fate([stream])
    assert fate([stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]) == whole
    assert fate([bytes([byte]) for byte in stream]) == whole
