"""What a machine shows to an MQTT broker, which may be away for a while or lose its memory.

Topics, under PREFIX/GATEWAY/MACHINE (see `drsn_edge.monitor.sinks.topics` for names, docs/mqtt.md for their content);
all are retained and sent with QoS 1:

    status         online or offline; the broker says offline by itself when the line is cut (last will)
    state          what holds: decision, when it was measured, alarms, severity, outputs that fail
    decision       the JSON of `monitor --json`, with `sequence` and `time_s`: each change, in order
    alarm/NAME     one for each alarm: each change, in order; CLEARED from the start and afterwards
    severity       how much it vibrates, with --severity; at most every 10 s, and when its zone changes
    summary        at the end
    acknowledge    listened to: an empty message acknowledges all alarms, the name of one that one

On every connection all of them are published anew. With topics of Home Assistant, discovery messages are as well.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import paho.mqtt.client as paho

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks.bounded_mqtt import BoundedClient, TooMuchError, words_of
from drsn_edge.monitor.sinks.broker import (
    PASSWORD,
    PLAIN,
    Broker,
    MqttOptions,
    base_topic,
    gateway_of,
    parse_url,
    tls_context,
)
from drsn_edge.monitor.sinks.discovery import BIRTH, Discovery
from drsn_edge.monitor.sinks.outbox import MOST_BYTES, MOST_EVENTS, Outbox
from drsn_edge.monitor.sinks.present import NOTHING_KNOWN, About, AlarmRecord, Present
from drsn_edge.monitor.sinks.topics import topic_part
from drsn_edge.monitor.stages.results import Alarm, Decision, Result, Severity, Summary, WindowResult, to_json
from drsn_edge.support.notice import Notice

__all__ = ["Broker", "MqttSink", "parse_url"]

MOST_ACKNOWLEDGE_BYTES = 256
_STATE_EVERY_S = 10.0
_LAST_WORDS_S = 5.0
_RETRY_S = (1, 30)
_DEAF_S = 60.0
"""How long a topic is not listened to after too much came from it."""
_SHORT_S, _TAKEN_OVER_AFTER = 5.0, 3
"""So many connections of so few seconds, one after the other, are those of two clients with one id."""
_QUIET_S = (60.0, 3600.0)
"""A trouble that comes again within the first is not said again; that time doubles up to the second."""


class MqttSink:
    """Publishes what holds, and each decision and alarm in order.

    One message is on its way at a time, so that none overtakes another when the line is cut. A message counts as
    delivered when the broker has confirmed it; one may come twice, with the same `sequence`.
    """

    def __init__(
        self,
        broker: Broker,
        machine: str,
        options: MqttOptions = PLAIN,
        about: About = NOTHING_KNOWN,
        *,
        now_s: Callable[[], float] = time.time,
        tell: Callable[[str], None] = lambda _: None,
        acknowledge: Callable[..., object] = lambda *_: None,
    ) -> None:
        """Begin to connect, and go on trying; nothing waits for it.

        Args:
            broker: See `parse_url`.
            machine: What the sensor watches.
            options: See there.
            about: What the station knows of itself.
            now_s: Seconds since 1970.
            tell: Given a sentence when the broker refuses, goes away, or is there again.
            acknowledge: Called, by another thread, when somebody has seen the alarms: with the name of one, or without
                one for all.

        Raises:
            OutputError, SettingsError: If a file of certificates cannot be used.
        """
        self._broker, self._machine, self._now_s, self._about = broker, machine, now_s, about
        self._acknowledge = acknowledge
        self._where = f"{broker.host}:{broker.port}"
        self._tell, self._says = tell, _Says(tell)
        self._gateway = gateway_of(options, tell)
        self._base = base_topic(broker, machine, self._gateway)
        self._sequence, self._state_due_s, self._severity_due_s = 0, -math.inf, -math.inf
        self._zone: str | None = None
        self._present = Present()
        self._discovery = Discovery(self._base, machine) if options.topics == "homeassistant" else None
        self._outbox = Outbox(MOST_EVENTS, MOST_BYTES)
        self._lock = threading.Lock()
        self._on_its_way: int | None = None
        self._connected, self._deaf_until_s = False, -math.inf
        self._listens = self._is_refused = False
        self._connected_s, self._short, self._lost_told = -math.inf, 0, 0
        self._empty = threading.Event()
        self._client: BoundedClient | None = self._make_client(options)
        self._begin()
        self._client.connect_async(broker.host, broker.port, keepalive=30)
        self._client.loop_start()

    @property
    def trouble(self) -> str | None:
        """Why messages wait, None while they are delivered."""
        return self._says.trouble

    @property
    def dropped(self) -> int:
        """Decisions and alarms that were thrown away, the oldest first, because too many waited."""
        return self._outbox.dropped

    def take(self, result: Result) -> None:
        """Take in one result; windows are published only as the time of the last measurement."""
        now_s = self._now_s()
        if isinstance(result, Alarm):
            self._learn_alarms(now_s)  # it may be one of a bundle that was read a moment ago
        self._present.take(result, now_s)
        if isinstance(result, Decision):
            self._event("decision", self._decision(), now_s)
        elif isinstance(result, Alarm):
            record = self._present.alarms[result.name]
            self._event(f"alarm/{topic_part(result.name)}", {**to_json(result), **_times(record)}, now_s)
        elif isinstance(result, Summary):
            self._event("summary", to_json(result), now_s)
        elif isinstance(result, Severity):
            self._take_severity(result, now_s)
        self._refresh(now_s, at_once=not isinstance(result, WindowResult | Severity))

    def close(self) -> None:
        """Wait a little for what is not delivered yet, say goodbye and disconnect; harmless when repeated.

        Raises:
            OutputError: If decisions or alarms were left that the broker has not confirmed.
        """
        if self._client is None:
            return
        self._put({f"{self._base}/status": "offline"})
        self._empty.wait(_LAST_WORDS_S)
        with self._lock:
            client, self._client = self._client, None
            left = self._outbox.events
        client.disconnect()
        client.loop_stop()
        if left:
            what = "message was" if left == 1 else "messages were"
            raise OutputError(f"{left} {what} not delivered to {self._where}, which was away at the end.")

    def _make_client(self, options: MqttOptions) -> BoundedClient:
        self._client_id = options.client_id or f"drsnedge{hashlib.sha256(self._base.encode()).hexdigest()[:12]}"
        most_bytes = MOST_ACKNOWLEDGE_BYTES + 4 + max(len(self._acknowledge_topic), len(BIRTH))
        client = BoundedClient(self._client_id, most_bytes, tls_context(self._broker, options), self._tick)
        if self._broker.user is not None:
            client.username_pw_set(self._broker.user, os.environ.get(PASSWORD))
        client.will_set(f"{self._base}/status", "offline", qos=1, retain=True)
        client.reconnect_delay_set(*_RETRY_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    @property
    def _acknowledge_topic(self) -> str:
        return f"{self._base}/acknowledge"

    # --- what is published: by the station's thread ----------------------------------------------------------------

    def _begin(self) -> None:
        """Say what holds at first: what a broker keeps of an earlier run is of another day."""
        now_s = self._now_s()
        first = {f"{self._base}/status": "online"}
        if self._discovery is not None:
            first |= self._discovery.fixed()
        self._put(first)
        self._put({f"{self._base}/decision": self._json(self._decision(), now_s)})
        self._refresh(now_s, at_once=True)

    def _event(self, topic: str, values: Mapping[str, Any], now_s: float) -> None:
        self._sequence += 1
        with self._lock:
            self._outbox.add(f"{self._base}/{topic}", self._json(values, now_s))
            self._send_next()

    def _put(self, payloads: Mapping[str, str]) -> None:
        with self._lock:
            for topic, payload in payloads.items():
                self._outbox.put(topic, payload)
            self._send_next()

    def _take_severity(self, severity: Severity, now_s: float) -> None:
        if self._discovery is not None and severity.velocity_rms_mm_s is not None:
            self._put_once(self._discovery.severity())
        if time.monotonic() >= self._severity_due_s or severity.zone != self._zone:
            self._severity_due_s, self._zone = time.monotonic() + _STATE_EVERY_S, severity.zone
            self._put({f"{self._base}/severity": self._json(to_json(severity), now_s)})

    def _put_once(self, payloads: Mapping[str, str]) -> None:
        if not self._outbox.has(*payloads):
            self._put(payloads)

    def _refresh(self, now_s: float, *, at_once: bool) -> None:
        """Publish the whole state, and what the alarms are that came or went with another bundle."""
        if not at_once and time.monotonic() < self._state_due_s:
            return
        self._state_due_s = time.monotonic() + _STATE_EVERY_S
        self._learn_alarms(now_s)
        self._put({f"{self._base}/state": self._json(self._state(), now_s)})

    def _learn_alarms(self, now_s: float) -> None:
        new, gone = self._present.know(self._about.alarms())
        for name in gone:
            with self._lock:
                self._outbox.forget(f"{self._base}/alarm/{topic_part(name)}")
                if self._discovery is not None:
                    self._outbox.forget(self._discovery.alarm(name)[0])
                self._send_next()
        for name in new:
            record = self._present.alarms[name]
            values = {"schema": 1, "type": "alarm", "name": name, "state": record.state, **_times(record)}
            payloads = {f"{self._base}/alarm/{topic_part(name)}": self._json(values, now_s)}
            self._put(payloads | (dict([self._discovery.alarm(name)]) if self._discovery else {}))

    def _decision(self) -> dict[str, Any]:
        return {**to_json(self._present.decision), "measured_s": _rounded(self._present.measured_s)}

    def _state(self) -> dict[str, Any]:
        present, bundle = self._present, self._about.bundle()
        return {
            "schema": 1,
            "type": "state",
            "machine": self._machine,
            "gateway": self._gateway,
            "bundle": bundle and {"name": bundle[0], "version": bundle[1]},
            "decision": {**self._decision(), "decided_s": _rounded(present.decided_s)},
            "measured_s": _rounded(present.measured_s),
            "measured": _iso(present.measured_s),
            "alarms": {
                name: {"state": record.state, **_times(record)} for name, record in present.alarms.items()
            },
            "severity": present.severity and to_json(present.severity),
            "dropped": self.dropped,
            "failing": {name: why for name, why in self._about.failing().items() if why is not None},
        }  # fmt: skip

    def _json(self, values: Mapping[str, Any], now_s: float) -> str:
        more = {"sequence": self._sequence, "time_s": round(now_s, 3), "time": _iso(now_s)}
        try:
            return json.dumps({**values, **more}, allow_nan=False)
        except ValueError:  # NaN is none of JSON's numbers
            return json.dumps(_finite({**values, **more}))

    # --- sending: the lock is held, and paho's own queue never holds more than one message -------------------------

    def _send_next(self) -> None:
        if not len(self._outbox):
            self._empty.set()
            return
        self._empty.clear()
        head = self._outbox.head
        if self._client is None or not self._connected or self._on_its_way is not None or head is None:
            return
        self._outbox.sending = True
        self._on_its_way = self._client.publish(head.topic, head.payload, qos=1, retain=True).mid

    def _on_publish(self, client: Any, data: Any, mid: int, reason: Any, properties: Any) -> None:
        with self._lock:
            if mid == self._on_its_way:
                self._on_its_way = None
                self._outbox.sent()
                self._send_next()

    # --- what comes: by paho's thread, which takes one packet at a time --------------------------------------------

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._is_refused = True
            self._says.trouble_is(f"The MQTT broker {self._where} refuses: {reason}. Check user, password and topic.")
            return
        if not client.is_bounded:
            self._says.trouble_is("This version of paho-mqtt cannot be kept from reading too much. Install 2.1 or 2.2.")
            client.disconnect()
            return
        self._says.well(f"The MQTT broker {self._where} is there again.")
        lost, self._lost_told = self.dropped - self._lost_told, self.dropped
        if lost:
            self._tell(
                f"{lost} decisions and alarms of {self._machine} never reached the MQTT broker {self._where}: "
                f"more waited than the {MOST_EVENTS} or {MOST_BYTES / 1e6:g} MB that memory has room for."
            )
        with self._lock:
            self._listens = False
            self._connected, self._connected_s = True, time.monotonic()
            self._outbox.renew()
            # paho repeats by itself what was on its way when the line was cut.
            if self._on_its_way is None:
                self._send_next()
        self._tick()

    def _tick(self) -> None:
        """Listen, unless too much came from there a while ago."""
        client = self._client
        if client is None or not self._connected or self._listens or time.monotonic() < self._deaf_until_s:
            return
        self._listens = True
        client.subscribe(self._acknowledge_topic, qos=1)
        if self._discovery is not None:
            client.subscribe(BIRTH, qos=1)

    def _on_subscribe(self, client: Any, data: Any, mid: int, reasons: Sequence[Any], properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._says.aside(
                f"The MQTT broker {self._where} does not let {self._machine} listen to {self._acknowledge_topic}: "
                "alarms cannot be acknowledged there. Allow its user to subscribe to it."
            )

    def _on_message(self, client: Any, data: Any, message: paho.MQTTMessage) -> None:
        if message.retain:  # what the broker kept was meant for alarms of another day
            return
        topic = None
        with suppress(UnicodeDecodeError):
            topic = message.topic
        if topic == self._acknowledge_topic:
            self._take_acknowledgement(bytes(message.payload))
        elif topic == BIRTH and message.payload == b"online":
            with self._lock:
                self._outbox.renew()
                self._send_next()

    def _take_acknowledgement(self, payload: bytes) -> None:
        names = self._about.alarms()
        with suppress(UnicodeDecodeError):
            text = payload.decode().strip()
            if not text:
                self._acknowledge()
                return
            name = next((each for each in names if text in (each, topic_part(each))), None)
            if name is not None:
                self._acknowledge(name)
                return
        shown = repr(payload[:40].decode("utf-8", "backslashreplace"))
        what = f"the name of one: {', '.join(names)}" if names else "there are none: see [alarms] in --settings"
        self._says.aside(
            f"{self._machine}: {shown} at {self._acknowledge_topic} is no alarm. Publish an empty message to "
            f"acknowledge all alarms, or {what}."
        )

    def _on_connect_fail(self, client: Any, data: Any) -> None:
        self._says.trouble_is(words_of(self._where, self._broker, client.trouble, client.began_tls))

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        with self._lock:
            answered, self._connected = self._connected, False
        self._short = self._short + 1 if answered and time.monotonic() - self._connected_s < _SHORT_S else 0
        was_refused, self._is_refused = self._is_refused, False
        if was_refused or not reason.is_failure:
            return
        self._says.trouble_is(self._why_it_ended(client.trouble, answered, reason))
        if isinstance(client.trouble, TooMuchError) and client.trouble.is_message:
            self._deaf_until_s = time.monotonic() + _DEAF_S

    def _why_it_ended(self, trouble: Exception | None, answered: bool, reason: Any) -> str:
        if isinstance(trouble, TooMuchError):
            words = f"The MQTT broker {self._where} {trouble}: the connection was ended."
            if trouble.is_message:
                words += f" Acknowledgements are not listened to for {_DEAF_S:g} s."
            return words
        if self._broker.tls and not answered and trouble is not None:
            return words_of(self._where, self._broker, trouble, True)
        if "alive" in str(reason).lower():  # the keep-alive's time is over
            how = "it does not answer"
        elif not answered:
            how = "it closed the connection before it answered; type mqtts:// if that is its port for TLS"
        elif self._short >= _TAKEN_OVER_AFTER:
            how = (
                f"it closes every connection soon; another client may have the client id {self._client_id}, so give "
                "this one another with --mqtt-client-id"
            )
        else:
            how = "it closed the connection"
        return f"The MQTT broker {self._where} is away: {how}. Decisions wait for it."


class _Says:
    """Says once that a trouble is there and once that it is over; less and less of one that comes and goes."""

    def __init__(self, tell: Callable[[str], None], now_s: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._now_s = tell, now_s
        self._next_s, self._quiet_s = -math.inf, _QUIET_S[0]
        self._aside_s = -math.inf
        self._is_said = False
        self.trouble: str | None = None

    def trouble_is(self, words: str) -> None:
        """A trouble is there, or still there."""
        self.trouble = words
        now_s = self._now_s()
        if self._is_said or now_s < self._next_s:
            return
        again = now_s < self._next_s + self._quiet_s
        self._quiet_s = min(2 * self._quiet_s, _QUIET_S[1]) if again else _QUIET_S[0]
        self._next_s, self._is_said = now_s + self._quiet_s, True
        self._tell(words)

    def well(self, words: str) -> None:
        """It is over, if there was one."""
        self.trouble = None
        if self._is_said:
            self._is_said = False
            self._tell(Notice(words))

    def aside(self, words: str) -> None:
        """Something that is no trouble of ours; at most once a minute."""
        if self._now_s() >= self._aside_s + _QUIET_S[0]:
            self._aside_s = self._now_s()
            self._tell(words)


def _times(record: AlarmRecord) -> dict[str, float | None]:
    names = ("raised_s", "acknowledged_s", "cleared_s")
    return {name: _rounded(getattr(record, name)) for name in names}


def _rounded(time_s: float | None) -> float | None:
    return None if time_s is None else round(time_s, 3)


def _iso(time_s: float | None) -> str | None:
    """Return local time with its zone, None where a clock shows what no calendar has."""
    with suppress(OverflowError, OSError, ValueError):
        return (
            None if time_s is None else datetime.fromtimestamp(time_s).astimezone().isoformat(timespec="milliseconds")
        )
    return None


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
