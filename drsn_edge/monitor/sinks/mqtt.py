"""Decisions to an MQTT broker, which may be away for a while: they wait, and go out in their order.

Topics, under the prefix of the URL (`drsn-edge` unless it names another):

    PREFIX/MACHINE/status     online or offline; the broker says offline by itself when the line is cut (last will)
    PREFIX/MACHINE/decision   the JSON of `monitor --json`, with `sequence` and `time_s`; retained, QoS 1
    PREFIX/MACHINE/alarm      likewise, each change of an alarm
    PREFIX/MACHINE/summary    likewise, at the end
    PREFIX/MACHINE/acknowledge    listened to: any message there acknowledges the alarms

With topics of Home Assistant, discovery messages are published as well, so that the machine appears there by itself.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from drsn_edge.errors import OutputError
from drsn_edge.monitor.results import Alarm, Decision, Result, Summary, to_json
from drsn_edge.notice import Notice

PASSWORD = "DRSN_EDGE_MQTT_PASSWORD"  # the name of a variable, not a password
TOPICS = ("plain", "homeassistant")
_NO_LEVEL = re.compile("[/+#\0]")
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_MOST_WAITING = 100_000
_LAST_WORDS_S = 5.0
_RETRY_S = (1, 30)


@dataclass(frozen=True)
class Broker:
    """Where to publish.

    Attributes:
        host: Name or address.
        port: TCP port.
        tls: Whether the line is encrypted; the broker's certificate is then checked.
        user: None: anonymous.
        prefix: Of every topic, without a slash at its ends.
    """

    host: str
    port: int
    tls: bool
    user: str | None
    prefix: str


def parse_url(url: str) -> Broker:
    """Read `mqtt://[USER@]HOST[:PORT][/PREFIX]`, or mqtts:// for TLS.

    Raises:
        OutputError: If it is none, or holds a password, which other users of the machine could see.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as exc:
        raise OutputError(f"Expected mqtt://[USER@]HOST[:PORT][/PREFIX], got {url!r}: {exc}.") from exc
    if parts.password is not None:
        raise OutputError(f"Expected no password in the URL, where others can see it: put it into {PASSWORD}.")
    prefix = unquote(parts.path).strip("/") or "drsn-edge"
    allowed = parts.scheme in _PORTS and not {"?", "#"} & set(url) and not {"+", "#", "\0"} & set(prefix)
    if not (parts.hostname and allowed):
        raise OutputError(f"Expected mqtt://[USER@]HOST[:PORT][/PREFIX] or mqtts://..., got {url!r}.")
    return Broker(parts.hostname, port, parts.scheme == "mqtts", parts.username and unquote(parts.username), prefix)


class MqttSink:
    """Publishes decisions and the summary.

    One message is on its way at a time, so that none overtakes another when the line is cut. A message counts as
    delivered when the broker has confirmed it; one that was confirmed just as the line was cut comes twice, with the
    same `sequence`.
    """

    def __init__(
        self,
        broker: Broker,
        machine: str,
        *,
        topics: str = "plain",
        ca: Path | None = None,
        now_s: Callable[[], float] = time.time,
        tell: Callable[[str], None] = lambda _: None,
        acknowledge: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin to connect, and go on trying; nothing waits for it.

        Args:
            broker: See `parse_url`.
            machine: What the sensor watches.
            topics: One of `TOPICS`.
            ca: File of certificates to check the broker by; None: those of the system.
            now_s: Seconds since 1970.
            acknowledge: Called, by another thread, when somebody has seen the alarms.
            tell: Given a sentence when the broker refuses, goes away, or is there again.

        Raises:
            OutputError: If the file of certificates cannot be used.
        """
        self._machine, self._now_s, self._tell = machine, now_s, tell
        self._acknowledge = acknowledge
        self._where = f"{broker.host}:{broker.port}"
        self._base = f"{broker.prefix}/{_NO_LEVEL.sub('_', machine)}"
        self._sequence = 0
        self._waiting: deque[tuple[str, str, bool]] = deque()
        self._lock = threading.Lock()
        self._on_its_way: int | None = None
        self._connected = self._troubled = False
        self._empty = threading.Event()
        self._empty.set()
        self.dropped = 0
        """Messages that were thrown away, the oldest first, because too many waited."""
        self._client = self._make_client(broker, ca)
        if topics == "homeassistant":
            self._discover(broker.prefix)
        self._client.connect_async(broker.host, broker.port, keepalive=30)
        self._client.loop_start()

    def take(self, result: Result) -> None:
        """Take in one result; windows are not published."""
        if isinstance(result, Decision | Alarm | Summary):
            self._sequence += 1
            values = {**to_json(result), "sequence": self._sequence, "time_s": round(self._now_s(), 3)}
            self._publish(f"{self._base}/{type(result).__name__.lower()}", json.dumps(values), retain=True)

    def close(self) -> None:
        """Wait a little for what is not delivered yet, say goodbye and disconnect; harmless when repeated.

        Raises:
            OutputError: If messages were left that the broker has not confirmed.
        """
        if self._client is None:
            return
        self._publish(f"{self._base}/status", "offline", retain=True)
        delivered = self._empty.wait(_LAST_WORDS_S)
        client, self._client = self._client, None
        client.disconnect()
        client.loop_stop()
        if not delivered:
            left = len(self._waiting) - 1  # without the goodbye
            raise OutputError(f"{left} messages were not delivered to {self._where}, which was away at the end.")

    def _make_client(self, broker: Broker, ca: Path | None) -> Any:
        client = paho.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=True)
        if broker.user is not None:
            client.username_pw_set(broker.user, os.environ.get(PASSWORD))
        if broker.tls:
            try:
                client.tls_set(None if ca is None else str(ca))
            except (OSError, ValueError) as exc:
                raise OutputError(f"Expected a file of certificates at {ca}, could not use it: {exc}.") from exc
        client.will_set(f"{self._base}/status", "offline", qos=1, retain=True)
        client.reconnect_delay_set(*_RETRY_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    # --- sending: the lock is held, and paho's own queue never holds more than one message -------------------------

    def _publish(self, topic: str, payload: str, *, retain: bool) -> None:
        with self._lock:
            if len(self._waiting) >= _MOST_WAITING:
                # The first may be on its way: the one behind it goes.
                del self._waiting[1]
                self.dropped += 1
            self._waiting.append((topic, payload, retain))
            self._empty.clear()
            self._send_next()

    def _send_next(self) -> None:
        if self._client is None or not self._connected or self._on_its_way is not None:
            return
        if not self._waiting:
            self._empty.set()
            return
        topic, payload, retain = self._waiting[0]
        self._on_its_way = self._client.publish(topic, payload, qos=1, retain=retain).mid

    def _on_publish(self, client: Any, data: Any, mid: int, reason: Any, properties: Any) -> None:
        with self._lock:
            if mid == self._on_its_way:
                self._on_its_way = None
                self._waiting.popleft()
                self._send_next()

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._announce(False, f"The MQTT broker {self._where} refuses: {reason}. Check user, password and topic.")
            return
        self._announce(True, Notice(f"The MQTT broker {self._where} is there again."))
        client.publish(f"{self._base}/status", "online", qos=1, retain=True)
        client.subscribe(f"{self._base}/acknowledge", qos=1)
        with self._lock:
            self._connected = True
            # paho repeats by itself what was on its way when the line was cut.
            if self._on_its_way is None:
                self._send_next()

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        if not message.retain:  # what the broker kept was meant for alarms of another day
            self._acknowledge()

    def _on_connect_fail(self, client: Any, data: Any) -> None:
        self._announce(False, f"The MQTT broker {self._where} cannot be reached. Decisions wait for it.")

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        with self._lock:
            self._connected = False
        if reason.is_failure:
            self._announce(False, f"The MQTT broker {self._where} is away: {reason}. Decisions wait for it.")

    def _announce(self, well: bool, words: str) -> None:
        """Say that something went wrong once, and that it is well again only after that."""
        if well == self._troubled:
            self._troubled = not well
            self._tell(words)

    def _discover(self, prefix: str) -> None:
        name = re.sub(r"[^a-zA-Z0-9_-]", "_", f"{prefix}_{self._machine}")
        device = {"identifiers": [name], "name": self._machine, "manufacturer": "drsn-edge"}
        fields = {
            "condition": "{{ value_json.label or value_json.verdict }}",
            "reason": "{{ value_json.reason or '' }}",
        }
        for field, template in fields.items():
            config = {
                "name": field,
                "unique_id": f"{name}_{field}",
                "state_topic": f"{self._base}/decision",
                "value_template": template,
                "json_attributes_topic": f"{self._base}/decision",
                "availability_topic": f"{self._base}/status",
                "device": device,
            }
            self._publish(f"homeassistant/sensor/{name}/{field}/config", json.dumps(config), retain=True)
