"""What the sensors of one monitor publish to brokers, checked before any of them starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

from drsn_edge.errors import SettingsError
from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.sinks.broker import URL_FORM, MqttOptions, parse_url, tls_context
from drsn_edge.monitor.sinks.names import TOPICS
from drsn_edge.monitor.sinks.topics import topic_part

_MOST_NAME = 128


def options_of(config: SensorConfig) -> MqttOptions:
    """Return what a sensor's configuration says of MQTT."""
    return MqttOptions(**{each.name: getattr(config, f"mqtt_{each.name}") for each in fields(MqttOptions)})


def check_mqtt(configs: Sequence[SensorConfig], part: Callable[[str], str] = topic_part) -> None:
    """Check what sensors of one monitor publish, before any of them starts.

    Args:
        configs: The sensors.
        part: From a name to its part of a topic.

    Raises:
        OutputError: If a URL or a file of certificates cannot be used.
        SettingsError: If options do not go together, or two sensors would share topics or a client id.
    """
    for each in configs:
        _check_one(each)
    publishing = [each for each in configs if each.mqtt is not None]
    seen: dict[tuple[object, ...], SensorConfig] = {}
    for each in publishing:
        broker = parse_url(str(each.mqtt))
        at = broker.host, broker.port
        topic = (*at, "topics", broker.prefix, each.mqtt_gateway, part(each.machine))
        client = (*at, "client", each.mqtt_client_id)
        other = seen.setdefault(topic, each)
        if other is not each:
            raise SettingsError(
                f"The machines {other.machine!r} and {each.machine!r} would share the MQTT topics of "
                f"{part(each.machine)}. Give one of them another name: machine in the file of sensors, or --machine."
            )
        other = seen.setdefault(client, each)
        if other is not each and each.mqtt_client_id is not None:
            raise SettingsError(
                f"The machines {other.machine!r} and {each.machine!r} have the same MQTT client id "
                f"{each.mqtt_client_id!r}: the broker would cut off one for the other. Leave --mqtt-client-id out with "
                "several --port, or give each sensor its own mqtt_client_id in the file of --sensors."
            )


def _check_one(config: SensorConfig) -> None:
    options = options_of(config)
    if config.mqtt is None:
        given = [name for name, value in vars(options).items() if value not in (None, "plain")]
        if given:
            option = given[0].replace("_", "-")
            raise SettingsError(f"--mqtt-{option} is of no use without --mqtt. Add --mqtt {URL_FORM}, or leave it out.")
        return
    broker = parse_url(config.mqtt)
    if options.topics not in TOPICS:
        raise SettingsError(f"Expected mqtt_topics among {', '.join(TOPICS)}, got {options.topics!r}.")
    for name, value in {"gateway": options.gateway, "client-id": options.client_id}.items():
        if value is not None and not (value and value.isprintable() and len(value) <= _MOST_NAME):
            raise SettingsError(f"Expected --mqtt-{name} of 1 to {_MOST_NAME} printable characters, got {value!r}.")
    tls_context(broker, options)
