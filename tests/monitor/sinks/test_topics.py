"""Names as topic parts, and what a gateway is called."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.errors import OutputError, SettingsError
from drsn_edge.gateway.name import ID_FILE, gateway_name
from drsn_edge.monitor.mqtt_check import check_mqtt
from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.sinks.broker import Broker, base_topic
from drsn_edge.monitor.sinks.discovery import Discovery
from drsn_edge.monitor.sinks.topics import topic_part

ANY = st.text(st.characters())  # lone surrogates and NUL included
BROKER = Broker("b", 1883, False, None, "plant")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("pump3", "pump3"),
        ("ttyUSB0", "ttyUSB0"),
        ("usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0", "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"),
        ("hall/1", r"hall_1-x[0-9a-f]{8}"),
        ("pump 3", r"pump_3-x[0-9a-f]{8}"),
        ("Pümpe", r"Pumpe-x[0-9a-f]{8}"),
        ("насос", r"x[0-9a-f]{8}"),
        ("", r"x[0-9a-f]{8}"),
        ("a" * 65, r"a{40}-x[0-9a-f]{8}"),
    ],
)
def test_a_part_is_readable(name: str, part: str) -> None:
    assert re.fullmatch(part, topic_part(name))


def test_names_that_were_alike_are_not_any_more() -> None:
    alike = [
        "hall/1",
        "hall_1",
        "hall 1",
        "hall+1",
        "hall#1",
        "зал1",
        "зал2",
        "大厅一",
        "大厅二",
        "é",
        "e\u0301",
        "\udc80",
    ]
    parts = {topic_part(name) for name in [*alike, *map(topic_part, alike)]}
    assert len(parts) == 2 * len(alike) - 1  # hall_1 is its own part


@given(st.lists(ANY, unique=True, max_size=20))
def test_every_name_has_a_part_of_its_own_that_fits_topics_and_ids(names: list[str]) -> None:
    parts = [topic_part(name) for name in names]
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", part) for part in parts)
    assert len(set(parts)) == len(names) and parts == [topic_part(name) for name in names]
    ids = {next(iter(Discovery(base_topic(BROKER, name, "g"), name).fixed())) for name in names}
    assert len(ids) == len(names)


@given(ANY, ANY)
def test_a_part_is_never_the_part_of_another_part(name: str, other: str) -> None:
    if name != other:
        assert topic_part(topic_part(name)) != topic_part(other) or topic_part(name) == other


def test_ids_of_home_assistant_tell_alarms_and_levels_apart() -> None:
    one, other = Discovery("a/b/c_d", "c_d"), Discovery("a/b_c/d", "d")
    topics = [*one.fixed(), *other.fixed(), *(each.alarm(name)[0] for each in (one, other) for name in ("x/1", "x_1"))]
    assert len(set(topics)) == len(topics) == 14
    assert all(re.fullmatch(r"homeassistant/[a-z_]+/[A-Za-z0-9_-]+/[A-Za-z0-9_-]+/config", topic) for topic in topics)


def sensors(*machines: str, **more: Any) -> list[SensorConfig]:
    return [SensorConfig(port=name, machine=name, mqtt="mqtt://b/plant", **more) for name in machines]


def test_machines_that_would_share_topics_are_refused_with_both_names() -> None:
    check_mqtt(sensors("hall/1", "hall_1", "hall 1"))
    with refused(SettingsError, "shared_topics", machines=("hall/1", "hall_1")):
        check_mqtt(sensors("hall/1", "hall_1"), part=lambda name: name.replace("/", "_"))
    with refused(SettingsError, "shared_topics", machines=("ttyUSB0", "ttyUSB0")):
        check_mqtt(sensors("ttyUSB0", "ttyUSB0"))


def test_machines_that_would_share_a_client_id_are_refused_with_both_names() -> None:
    with refused(SettingsError, "shared_client_id", machines=("a", "b"), client_id="me"):
        check_mqtt(sensors("a", "b", mqtt_client_id="me"))


@pytest.mark.parametrize(
    ("more", "error", "problem", "facts"),
    [
        ({"mqtt": None, "mqtt_gateway": "g"}, SettingsError, "without_mqtt", {"option": "--mqtt-gateway"}),
        ({"mqtt": None, "mqtt_cert": Path("c")}, SettingsError, "without_mqtt", {"option": "--mqtt-cert"}),
        ({"mqtt": None, "mqtt_topics": "homeassistant"}, SettingsError, "without_mqtt", {"option": "--mqtt-topics"}),
        ({"mqtt_ca": Path("c")}, SettingsError, "without_tls", {"option": "--mqtt-ca"}),
        ({"mqtt_cert": Path("c"), "mqtt_key": Path("k")}, SettingsError, "without_tls", {"option": "--mqtt-cert"}),
        ({"mqtt_topics": "hass"}, SettingsError, "invalid_choice", {"key": "mqtt_topics", "got": "hass"}),
        ({"mqtt_gateway": ""}, SettingsError, "invalid_name", {"option": "--mqtt-gateway"}),
        ({"mqtt_client_id": "a\nb"}, SettingsError, "invalid_name", {"option": "--mqtt-client-id"}),
        ({"mqtt_client_id": 129 * "a"}, SettingsError, "invalid_name", {"option": "--mqtt-client-id"}),
        ({"mqtt": "mqtts://b", "mqtt_key": Path("k")}, SettingsError, "no_certificate", {"option": "--mqtt-key"}),
        ({"mqtt": "http://b"}, OutputError, "invalid_url", {"got": "http://b"}),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    more: dict[str, object], error: type[SettingsError], problem: str, facts: dict[str, object]
) -> None:
    values = {"port": "p", "machine": "m", "mqtt": "mqtt://b", **more}
    with refused(error, problem, **facts):
        check_mqtt([SensorConfig(**values)])  # type: ignore[arg-type]


def test_gateways_of_one_host_name_have_names_of_their_own(tmp_path: Path) -> None:
    ids = [tmp_path / "a", tmp_path / "b"]
    for number, path in enumerate(ids):
        path.write_text(f"{number:032x}\n")
    names = [gateway_name([path], tmp_path, "raspberrypi") for path in ids]
    assert len(set(names)) == 2 and all(re.fullmatch("raspberrypi-[0-9a-f]{4}", name) for name in names)
    assert names[0] == gateway_name(ids[:1], tmp_path, "raspberrypi.plant.example")
    assert names[0] == gateway_name(ids[:1], tmp_path, "raspberrypi") and not (tmp_path / ID_FILE).exists()


@pytest.mark.parametrize("content", [None, "", "uninitialized\n", "\xff", "x" * 1000])
def test_without_an_id_of_the_machine_one_is_made_and_kept(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "machine-id"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    told: list[str] = []
    first, second = (gateway_name([path], tmp_path / state, "pi", told.append) for state in ("state/a", "state/b"))
    assert first != second and not told
    assert first == gateway_name([path], tmp_path / "state/a", "pi")
    assert [each.name for each in (tmp_path / "state/a").iterdir()] == [ID_FILE]


def test_where_no_id_can_be_kept_the_host_name_does_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told: list[str] = []
    name = gateway_name([tmp_path / "absent"], tmp_path / "file", "pi", told.append)
    assert name == gateway_name([tmp_path / "absent"], tmp_path / "file", "pi") and name.startswith("pi-")
    assert len(told) == 1 and "--mqtt-gateway" in told[0]
