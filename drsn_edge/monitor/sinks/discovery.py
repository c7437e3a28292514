"""Home Assistant discovery: the messages by which a machine appears there by itself."""

from __future__ import annotations

import json
from typing import Any

from drsn_edge import __version__
from drsn_edge.monitor.sinks.topics import topic_part
from drsn_edge.verdicts import COVERAGE_OFF, LAST_MEASURED

BIRTH = "homeassistant/status"
"""Topic to which Home Assistant publishes `online` after its start."""


class Discovery:
    """The discovery messages of one machine; its id comes from the whole base topic and is unique."""

    def __init__(self, base: str, machine: str) -> None:
        """Prepare.

        Args:
            base: PREFIX/GATEWAY/MACHINE.
            machine: Name of the machine.
        """
        self._base, self._id = base, topic_part(base)
        self._device = {"identifiers": [self._id], "name": machine, "manufacturer": "drsn-edge"}

    def fixed(self) -> dict[str, str]:
        """Return the messages of every machine: topic to payload."""
        decision, state = f"{self._base}/decision", f"{self._base}/state"
        off = {"value_template": "{{ 'ON' if value_json.coverage_off else 'OFF' }}", "device_class": "problem"}
        measured = {"value_template": "{{ value_json.measured }}", "device_class": "timestamp"}
        return dict(
            (
                self._entity(
                    "sensor", "condition", decision, value_template=_CONDITION, json_attributes_topic=decision
                ),
                self._entity("sensor", "reason", decision, value_template="{{ value_json.reason or '' }}"),
                self._entity("sensor", LAST_MEASURED, state, **measured),
                self._entity("binary_sensor", COVERAGE_OFF, state, **off),
                self._entity(
                    "button", "acknowledge", None, command_topic=f"{self._base}/acknowledge", payload_press=""
                ),
            )
        )

    def severity(self) -> dict[str, str]:
        """Return the messages of a machine whose severity is measured: topic to payload."""
        more = {"unit_of_measurement": "mm/s", "state_class": "measurement"}
        value = "{{ value_json.velocity_rms_mm_s }}"
        return dict([self._entity("sensor", "velocity", f"{self._base}/severity", value_template=value, **more)])

    def alarm(self, name: str) -> tuple[str, str]:
        """Return topic and payload of an alarm's discovery message."""
        value = "{{ 'OFF' if value_json.state == 'CLEARED' else 'ON' }}"
        at = f"{self._base}/alarm/{topic_part(name)}"
        more = {"value_template": value, "device_class": "problem", "json_attributes_topic": at}
        return self._entity("binary_sensor", f"alarm {name}", at, f"alarm_{topic_part(name)}", **more)

    def _entity(
        self, kind: str, name: str, state_topic: str | None, part: str | None = None, **more: Any
    ) -> tuple[str, str]:
        part = part or topic_part(name.replace(" ", "_"))
        config = {
            "name": name,
            "unique_id": f"{self._id}_{part}",
            "object_id": f"{self._id}_{part}",
            **({} if state_topic is None else {"state_topic": state_topic}),
            "availability_topic": f"{self._base}/status",
            "device": self._device,
            "origin": {"name": "drsn-edge", "sw_version": __version__},
            **more,
        }
        return f"homeassistant/{kind}/{self._id}/{part}/config", json.dumps(config)


_CONDITION = "{{ value_json.label or value_json.verdict }}"
