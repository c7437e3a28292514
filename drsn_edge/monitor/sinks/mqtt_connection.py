"""The connection to an MQTT broker: it reconnects by itself, and reports problems in words."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho

from drsn_edge.monitor.sinks.bounded_mqtt import BoundedClient, TooMuchError
from drsn_edge.monitor.sinks.broker import PASSWORD, Broker, MqttOptions, tls_context
from drsn_edge.monitor.sinks.delivery import MOST_BYTES, MOST_EVENTS, Delivery
from drsn_edge.monitor.sinks.mqtt_trouble import Trouble, why_not_reached

MOST_MESSAGE_BYTES = 256
"""Limit of a received message in bytes, without the topic."""
_RETRY_S = (1, 30)
_DEAF_S = 60.0
"""Time in seconds without subscriptions after too many messages arrived."""
_SHORT_S, _TAKEN_OVER_AFTER = 5.0, 3
"""This many consecutive connections, each shorter than this many seconds, mean two clients with the same id."""


@dataclass(frozen=True)
class Identity:
    """Identity of the client.

    Attributes:
        machine: Name of the machine.
        client_id: Client id at the broker.
        status: Topic to which the broker publishes `offline` when the connection is lost (last will).
    """

    machine: str
    client_id: str
    status: str


class Connection:
    """Keeps a connection to a broker, runs the delivery while it is connected, and passes on received messages.

    paho calls the methods named `_on...`, one after the other, in a thread of its own.
    """

    def __init__(
        self,
        broker: Broker,
        options: MqttOptions,
        who: Identity,
        delivery: Delivery,
        listens_to: Mapping[str, Callable[[bytes], None]],
        tell: Callable[[str], None],
    ) -> None:
        """Prepare; see `begin`.

        Args:
            broker: See `parse_url`.
            options: Options of the connection.
            who: Identity of the client.
            delivery: Messages to send.
            listens_to: Handlers of messages by topic, called in paho's thread, except for retained messages. The
                first topic is named if the broker refuses a subscription.
            tell: Called with a message when the broker refuses, is lost, or is reachable again.

        Raises:
            OutputError, SettingsError: If a certificate file cannot be used.
        """
        self._broker, self._who, self._delivery, self._listens_to = broker, who, delivery, listens_to
        self.where = f"{broker.host}:{broker.port}"
        self.trouble, self._tell, self._lost_told = Trouble(tell), tell, 0
        self.listens = self._is_refused = False
        self._is_connected, self._deaf_until_s = False, -math.inf
        self._connected_s, self._short = -math.inf, 0
        self._client = self._made(options)

    def begin(self) -> None:
        """Begin to connect, and retry in the background."""
        self._client.connect_async(self._broker.host, self._broker.port, keepalive=30)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnect, and end the thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def _made(self, options: MqttOptions) -> BoundedClient:
        most_bytes = MOST_MESSAGE_BYTES + 4 + max(map(len, self._listens_to))
        client = BoundedClient(self._who.client_id, most_bytes, tls_context(self._broker, options), self._tick)
        if self._broker.user is not None:
            client.username_pw_set(self._broker.user, os.environ.get(PASSWORD))
        client.will_set(self._who.status, "offline", qos=1, retain=True)
        client.reconnect_delay_set(*_RETRY_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = lambda client, data, number, *_: self._delivery.confirmed(number)
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _publish(self, topic: str, payload: str) -> int:
        return self._client.publish(topic, payload, qos=1, retain=True).mid

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._is_refused = True
            self.trouble.begin(
                f"The MQTT broker {self.where} refuses the connection: {reason}. Check user and password."
            )
            return
        if not client.is_bounded:
            self.trouble.begin(
                f"Not connected to the MQTT broker {self.where}: this version of paho-mqtt cannot limit what it reads. "
                "Install paho-mqtt 2.1 or 2.2."
            )
            client.disconnect()
            return
        self.trouble.end(f"The MQTT broker {self.where} is reachable again.")
        self._tell_lost()
        self.listens, self._is_connected, self._connected_s = False, True, time.monotonic()
        self._delivery.resume(self._publish)
        self._tick()

    def _tell_lost(self) -> None:
        dropped = self._delivery.dropped
        lost, self._lost_told = dropped - self._lost_told, dropped
        if lost:
            self._tell(
                f"{lost} decisions and alarms of {self._who.machine} were lost before they reached the MQTT broker "
                f"{self.where}: memory keeps at most {MOST_EVENTS} of them, or {MOST_BYTES / 1e6:g} MB."
            )

    def _tick(self) -> None:
        """Subscribe, unless too many messages arrived a short while ago."""
        if not self._is_connected or self.listens or time.monotonic() < self._deaf_until_s:
            return
        self.listens = True
        for topic in self._listens_to:
            self._client.subscribe(topic, qos=1)

    def _on_subscribe(self, client: Any, data: Any, mid: int, reasons: Sequence[Any], properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            topic = next(iter(self._listens_to))
            self.trouble.aside(
                f"The MQTT broker {self.where} refuses the subscription of {self._who.machine} to {topic}, so alarms "
                "cannot be acknowledged by MQTT. Allow its user to subscribe to that topic."
            )

    def _on_message(self, client: Any, data: Any, message: paho.MQTTMessage) -> None:
        if message.retain:  # a retained message was meant for earlier alarms
            return
        take = None
        with suppress(UnicodeDecodeError):
            take = self._listens_to.get(message.topic)
        if take is not None:
            take(bytes(message.payload))

    def _on_connect_fail(self, client: Any, data: Any) -> None:
        self.trouble.begin(why_not_reached(self.where, client.trouble, client.began_tls))

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        answered, self._is_connected = self._is_connected, False
        self._delivery.pause()
        self._short = self._short + 1 if answered and time.monotonic() - self._connected_s < _SHORT_S else 0
        was_refused, self._is_refused = self._is_refused, False
        if was_refused or not reason.is_failure:
            return
        self.trouble.begin(self._why_it_ended(client.trouble, answered, reason))
        if isinstance(client.trouble, TooMuchError) and client.trouble.is_message:
            self._deaf_until_s = time.monotonic() + _DEAF_S

    def _why_it_ended(self, trouble: Exception | None, answered: bool, reason: Any) -> str:
        if isinstance(trouble, TooMuchError):
            words = f"The MQTT broker {self.where} {trouble}. The connection was closed."
            if trouble.is_message:
                words += f" Acknowledgements are ignored for {_DEAF_S:g} s."
            return words
        if self._broker.tls and not answered and trouble is not None:
            return why_not_reached(self.where, trouble, True)
        if "alive" in str(reason).lower():  # the keep-alive time is over
            how = "it does not answer"
        elif not answered:
            how = "it closed the connection before it answered; if that port is for TLS, use mqtts://"
        elif self._short >= _TAKEN_OVER_AFTER:
            how = (
                f"it closes every connection after a short time; another client may use the client id "
                f"{self._who.client_id}, so choose another with --mqtt-client-id"
            )
        else:
            how = "it closed the connection"
        return f"The MQTT broker {self.where} is lost: {how}. Decisions wait in memory."
