"""The check of MQTT settings of one monitor's sensors, before any of them starts."""

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
    """Return the MQTT options of a sensor's configuration."""
    return MqttOptions(**{each.name: getattr(config, f"mqtt_{each.name}") for each in fields(MqttOptions)})


def check_mqtt(configs: Sequence[SensorConfig], part: Callable[[str], str] = topic_part) -> None:
    """Check the MQTT settings of one monitor's sensors, before any of them starts.

    Args:
        configs: Configurations of the sensors.
        part: Returns the topic level of a name.

    Raises:
        OutputError: If a URL or a certificate file cannot be used.
        SettingsError: If options contradict each other, or two sensors would share topics or a client id.
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
                f"The machines {other.machine!r} and {each.machine!r} would use the same MQTT topics, those of "
                f"{part(each.machine)}. Give one another name: machine in the sensors file, or --machine.",
                "shared_topics",
                machines=(other.machine, each.machine),
            )
        other = seen.setdefault(client, each)
        if other is not each and each.mqtt_client_id is not None:
            raise SettingsError(
                f"The machines {other.machine!r} and {each.machine!r} have the same MQTT client id "
                f"{each.mqtt_client_id!r}, so the broker would disconnect one for the other. Leave --mqtt-client-id "
                "out with several --port, or give each sensor its own mqtt_client_id in the sensors file.",
                "shared_client_id",
                machines=(other.machine, each.machine),
                client_id=each.mqtt_client_id,
            )


def _check_one(config: SensorConfig) -> None:
    options = options_of(config)
    if config.mqtt is None:
        given = [name for name, value in vars(options).items() if value not in (None, "plain")]
        if given:
            option = given[0].replace("_", "-")
            words = f"--mqtt-{option} changes nothing without --mqtt. Add --mqtt {URL_FORM}, or leave it out."
            raise SettingsError(words, "without_mqtt", option=f"--mqtt-{option}")
        return
    broker = parse_url(config.mqtt)
    if options.topics not in TOPICS:
        words = f"mqtt_topics must be one of {', '.join(TOPICS)}, got {options.topics!r}."
        raise SettingsError(words, "invalid_choice", key="mqtt_topics", got=options.topics)
    for name, value in {"gateway": options.gateway, "client-id": options.client_id}.items():
        if value is not None and not (value and value.isprintable() and len(value) <= _MOST_NAME):
            words = f"--mqtt-{name} must have 1 to {_MOST_NAME} printable characters, got {value!r}."
            raise SettingsError(words, "invalid_name", option=f"--mqtt-{name}", got=value)
    tls_context(broker, options)
