"""The MQTT messages of one machine: topics, and the JSON of its present state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drsn_edge.monitor.sinks.discovery import Discovery
from drsn_edge.monitor.sinks.present import About, AlarmRecord, Present
from drsn_edge.monitor.sinks.topics import topic_part
from drsn_edge.monitor.stages.results import SCHEMA, Alarm, Decision, Result, Severity, Summary, to_json
from drsn_edge.support.json_text import json_text
from drsn_edge.support.wall_time import iso_time

Payloads = dict[str, str]
"""Payloads to publish, by topic."""


class Report:
    """Gathers the results of one machine, and returns the messages to publish."""

    def __init__(self, base: str, gateway: str, machine: str, about: About, *, discovered: bool) -> None:
        """Begin before there is a decision.

        Args:
            base: PREFIX/GATEWAY/MACHINE.
            gateway: Name of the gateway.
            machine: Name of the machine.
            about: Facts about the station.
            discovered: Whether to publish Home Assistant discovery messages.
        """
        self._base, self._gateway, self.machine, self._about = base, gateway, machine, about
        self._present, self._sequence = Present(), 0
        self._discovery = Discovery(base, machine) if discovered else None

    def topic(self, *levels: str) -> str:
        """Return a topic of this machine."""
        return "/".join((self._base, *levels))

    def alarm_topic(self, name: str) -> str:
        """Return the topic of an alarm."""
        return self.topic("alarm", topic_part(name))

    def at_start(self, now_s: float) -> Payloads:
        """Return the state before the first result, which replaces the retained messages of an earlier run."""
        fixed = {} if self._discovery is None else self._discovery.fixed()
        decision = self._json(self._decision(), now_s)
        return {self.topic("status"): "online", **fixed, self.topic("decision"): decision}

    def take(self, result: Result, now_s: float) -> None:
        """Take one result of the time `now_s`, in seconds since 1970."""
        self._present.take(result, now_s)

    def event(self, result: Result, now_s: float) -> tuple[str, str] | None:
        """Return topic and payload of a result that must arrive in order; None for any other result."""
        if isinstance(result, Decision):
            topic, values = self.topic("decision"), self._decision()
        elif isinstance(result, Alarm):
            record = self._present.alarms[result.name]
            topic, values = self.alarm_topic(result.name), {**to_json(result), **_times(record)}
        elif isinstance(result, Summary):
            topic, values = self.topic("summary"), to_json(result)
        else:
            return None
        self._sequence += 1
        return topic, self._json(values, now_s)

    def severity(self, severity: Severity, now_s: float) -> Payloads:
        """Return the message of a severity."""
        return {self.topic("severity"): self._json(to_json(severity), now_s)}

    def severity_discovered(self, severity: Severity) -> Payloads:
        """Return the discovery messages of a machine whose severity is measured."""
        if self._discovery is None or severity.velocity_rms_mm_s is None:
            return {}
        return self._discovery.severity()

    def alarms_changed(self, now_s: float) -> tuple[Payloads, list[str]]:
        """Update the possible alarms, after the start or a new bundle; return new messages, and topics to delete."""
        new, gone = self._present.know(self._about.alarms())
        found: Payloads = {}
        for name in new:
            record = self._present.alarms[name]
            values = {"schema": SCHEMA, "type": "alarm", "name": name, "state": record.state, **_times(record)}
            found[self.alarm_topic(name)] = self._json(values, now_s)
            if self._discovery is not None:
                found |= [self._discovery.alarm(name)]
        topics = [self.alarm_topic(name) for name in gone]
        if self._discovery is not None:
            topics += [self._discovery.alarm(name)[0] for name in gone]
        return found, topics

    def state(self, dropped: int, now_s: float) -> Payloads:
        """Return the whole state in one message; `dropped` is the number of lost events."""
        present, bundle = self._present, self._about.bundle()
        values = {
            "schema": SCHEMA,
            "type": "state",
            "machine": self.machine,
            "gateway": self._gateway,
            "bundle": bundle and {"name": bundle[0], "version": bundle[1]},
            "decision": {**self._decision(), "decided_s": _rounded(present.decided_s)},
            "measured_s": _rounded(present.measured_s),
            "measured": None if present.measured_s is None else iso_time(present.measured_s),
            "alarms": {
                name: {"state": record.state, **_times(record)} for name, record in present.alarms.items()
            },
            "coverage_off": present.coverage_off,
            "severity": present.severity and to_json(present.severity),
            "dropped": dropped,
            "failing": {name: why for name, why in self._about.failing().items() if why is not None},
        }  # fmt: skip
        return {self.topic("state"): self._json(values, now_s)}

    def _decision(self) -> dict[str, Any]:
        return {**to_json(self._present.decision), "measured_s": _rounded(self._present.measured_s)}

    def _json(self, values: Mapping[str, Any], now_s: float) -> str:
        more = {"sequence": self._sequence, "time_s": round(now_s, 3), "time": iso_time(now_s)}
        return json_text({**values, **more})


def _times(record: AlarmRecord) -> dict[str, float | None]:
    names = ("raised_s", "acknowledged_s", "cleared_s")
    return {name: _rounded(getattr(record, name)) for name in names}


def _rounded(time_s: float | None) -> float | None:
    return None if time_s is None else round(time_s, 3)
