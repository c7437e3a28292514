"""The MQTT output of one machine, for a broker that may be unreachable for a while or lose its memory.

Topics, under PREFIX/GATEWAY/MACHINE (`drsn_edge.monitor.sinks.topics` has the names, docs/reference/mqtt.md contents);
all are retained and sent with QoS 1:

    status         online or offline; the broker publishes offline when the connection is lost (last will)
    state          present state: decision, time of the last measurement, alarms, severity, failing outputs
    decision       the JSON of `monitor --json`, with `sequence` and `time_s`: each change, in order
    alarm/NAME     one for each alarm: each change, in order; CLEARED from the start and afterwards
    severity       vibration severity, with --severity; at most every 10 s, and when its zone changes
    summary        at the end
    acknowledge    subscribed: an empty message acknowledges all alarms, the name of an alarm only that one

On every connection all of them are published again, with Home Assistant topics also the discovery messages.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from contextlib import suppress

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks.broker import PLAIN, Broker, MqttOptions, base_topic, gateway_of
from drsn_edge.monitor.sinks.delivery import Delivery
from drsn_edge.monitor.sinks.discovery import BIRTH
from drsn_edge.monitor.sinks.mqtt_connection import Connection, Identity
from drsn_edge.monitor.sinks.mqtt_report import Report
from drsn_edge.monitor.sinks.names import HOME_ASSISTANT
from drsn_edge.monitor.sinks.present import NOTHING_KNOWN, About
from drsn_edge.monitor.sinks.topics import topic_part
from drsn_edge.monitor.stages.results import Alarm, Coverage, Result, Severity, WindowResult

_STATE_EVERY_S = 10.0
_LAST_WORDS_S = 5.0


class MqttSink:
    """Publishes the present state, and each decision and alarm in order."""

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
        """Begin to connect, and retry in the background.

        Args:
            broker: See `parse_url`.
            machine: Name of the machine.
            options: Options of the connection.
            about: Facts about the station.
            now_s: Clock in seconds since 1970.
            tell: Called with a message when the broker refuses, is lost, or is reachable again.
            acknowledge: Called in another thread to acknowledge alarms: with the name of one, or without arguments for
                all.

        Raises:
            OutputError, SettingsError: If a certificate file cannot be used.
        """
        self._now_s, self._about, self._acknowledge = now_s, about, acknowledge
        self._state_due_s, self._severity_due_s, self._is_closed = -math.inf, -math.inf, False
        self._untold_s: float | None = None
        """Time of the last result that the published state does not have; None without one."""
        self._zone: str | None = None
        gateway = gateway_of(options, tell)
        base, discovered = base_topic(broker, machine, gateway), options.topics == HOME_ASSISTANT
        self._report = Report(base, gateway, machine, about, discovered=discovered)
        self._delivery = Delivery()
        listens_to = {self._report.topic("acknowledge"): self._take_acknowledgement}
        if discovered:
            listens_to[BIRTH] = self._take_birth
        who = Identity(machine, options.client_id or _client_id(base), self._report.topic("status"))
        self._connection = Connection(broker, options, who, self._delivery, listens_to, tell)
        self._delivery.put(self._report.at_start(now_s()))
        self._refresh(now_s())
        self._connection.begin()

    @property
    def trouble(self) -> str | None:
        """Why messages wait; None while they are delivered."""
        return self._connection.trouble.words

    @property
    def dropped(self) -> int:
        """Number of decisions and alarms that were dropped, the oldest first, because too many waited."""
        return self._delivery.dropped

    def take(self, result: Result) -> None:
        """Take one result; of a window, only the time of the last measurement is published, by `flush`."""
        now_s = self._untold_s = self._now_s()
        if isinstance(result, WindowResult):
            self._report.take(result, now_s)
            return
        if isinstance(result, Alarm):
            self._learn_alarms(now_s)  # it may belong to a bundle that was just loaded
        self._report.take(result, now_s)
        event = self._report.event(result, now_s)
        if event is not None:
            self._delivery.add(*event)
        if event is not None or isinstance(result, Coverage):
            self._state_due_s = -math.inf
        elif isinstance(result, Severity):
            self._take_severity(result, now_s)

    def flush(self) -> None:
        """Publish the whole state after a change of decision or alarms, and every 10 s while results come."""
        now_s = self._untold_s
        if now_s is not None and time.monotonic() >= self._state_due_s:
            self._untold_s = None
            self._refresh(now_s)

    def close(self) -> None:
        """Wait some seconds for undelivered messages, then disconnect; further calls do nothing.

        Raises:
            OutputError: If decisions or alarms are left that the broker has not confirmed.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self.flush()
        self._delivery.put({self._report.topic("status"): "offline"})
        self._delivery.is_done.wait(_LAST_WORDS_S)
        left = self._delivery.end()
        self._connection.close()
        if left:
            where, what = self._connection.where, "message was" if left == 1 else "messages were"
            words = f"{left} {what} not delivered to the MQTT broker {where}, which was not reachable at the end."
            raise OutputError(words, "not_delivered", broker=where, got=left)

    def _take_severity(self, severity: Severity, now_s: float) -> None:
        self._delivery.put_once(self._report.severity_discovered(severity))
        if time.monotonic() >= self._severity_due_s or severity.zone != self._zone:
            self._severity_due_s, self._zone = time.monotonic() + _STATE_EVERY_S, severity.zone
            self._delivery.put(self._report.severity(severity, now_s))

    def _refresh(self, now_s: float) -> None:
        """Publish the whole state, and alarms that a new bundle added or removed."""
        self._state_due_s = time.monotonic() + _STATE_EVERY_S
        self._learn_alarms(now_s)
        self._delivery.put(self._report.state(self.dropped, now_s))

    def _learn_alarms(self, now_s: float) -> None:
        new, topics_that_go = self._report.alarms_changed(now_s)
        self._delivery.forget(*topics_that_go)
        self._delivery.put(new)

    # --- received messages, one at a time in paho's thread ---------------------------------------------------------

    def _take_birth(self, payload: bytes) -> None:
        if payload == b"online":
            self._delivery.renew()

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
        what = (
            f", or the name of one: {', '.join(names)}" if names else "; there are none without [alarms] in --settings"
        )
        self._connection.trouble.aside(
            f"{self._report.machine}: the message {shown} at {self._report.topic('acknowledge')} is not the name of an "
            f"alarm. Publish an empty message to acknowledge all alarms{what}."
        )


def _client_id(base: str) -> str:
    """Return a client id of at most 23 letters and digits, which every broker accepts; it is the same at each start."""
    return f"drsnedge{hashlib.sha256(base.encode()).hexdigest()[:12]}"
