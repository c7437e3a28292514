"""What one sensor is watched with, and the TOML file that says so of several.

    model = "pump.drsn"            # here: of all sensors
    history = "plant.sqlite"

    [[sensor]]
    machine = "pump 3"
    port = "/dev/serial/by-id/usb-drsn-pump3"
    rpm = 1480.0

    [[sensor]]
    machine = "fan"
    port = "socket://10.0.0.7:5555"
    model = "fan.drsn"             # another one
    settings = "fan.toml"

The keys are those of `SensorConfig`. Paths are relative to the file's folder. A value in a sensor's table goes before
one that is typed beside `--sensors`, and that before one at the top of the file.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from drsn_edge.errors import ContractError, SettingsError
from drsn_edge.runtime.names import EDGETPU_LIBRARY, FALLBACKS, RUNTIMES, RuntimeChoice
from drsn_edge.signal.units import expect_known
from drsn_edge.support.toml_file import Document, read_document
from drsn_edge.support.typed_table import Reader
from drsn_edge.support.uses import SENSOR_USES, Uses, why_unused


@dataclass(frozen=True)
class SensorConfig:
    """One sensor and what is done with it; each as the option of `drsn-edge monitor` of that name.

    Attributes:
        port: Of the sensor.
        machine: What it watches.
        model: The bundle to judge with; None: the one that is active on this gateway.
    """

    port: str | None = None
    machine: str = ""
    model: Path | None = None
    baud: int | None = None
    text_unit: str | None = None
    text_range: float | None = None
    text_scale: float = 1.0
    text_axes: str | None = None
    settings: Path | None = None
    votes: str | None = None
    rpm: float | None = None
    runtime: str = "auto"
    threads: int = 1
    fallback: str = "none"
    edgetpu_library: str = EDGETPU_LIBRARY
    edgetpu_device: str | None = None
    unknown: bool = True
    severity: bool = False
    limits: Path | None = None
    record: Path | None = None
    lines: Path | None = None
    history: Path | None = None
    keep_days: float = 365.0
    mqtt: str | None = None
    mqtt_ca: Path | None = None
    mqtt_cert: Path | None = None
    mqtt_key: Path | None = None
    mqtt_client_id: str | None = None
    mqtt_gateway: str | None = None
    mqtt_topics: str = "plain"

    @property
    def runtime_choice(self) -> RuntimeChoice:
        """What shall run its model."""
        return RuntimeChoice(self.runtime, self.threads, self.fallback, self.edgetpu_library, self.edgetpu_device)


_OWN_READERS = {
    str | None: Reader(lambda value, _: value if isinstance(value, str) else None, "text"),
    int | None: Reader(lambda value, _: value if type(value) is int else None, "a whole number"),
    Path | None: Reader(lambda value, _: Path(value) if isinstance(value, str) else None, "a path"),
}


def read_sensors(path: Path, given: Mapping[str, Any] | None = None) -> list[SensorConfig]:
    """Read the file of several sensors.

    Args:
        path: Of the file.
        given: Values that were typed: they go before those at the file's top, and a sensor's own before them.

    Raises:
        SettingsError: If it cannot be read, or holds anything that it may not, or that changes nothing, with the line
            where that stands.
    """
    document = read_document(path, "sensors", SettingsError)
    tables = document.values.get("sensor")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables) or not tables:
        raise SettingsError(f"{path}: Expected a table [[sensor]] for each sensor, got none. Add them.")
    above = {name: value for name, value in document.values.items() if name != "sensor"}
    common = _values(document, above, path.parent)
    own = [_values(document, table, path.parent, "sensor", number) for number, table in enumerate(tables)]
    found = [_checked(SensorConfig(**{**common, **(given or {}), **values}), path) for values in own]
    for what in ("port", "machine"):
        _expect_different([getattr(each, what) for each in found], what, path)
    _expect_uses(common, found, document)
    for number, (values, each) in enumerate(zip(own, found, strict=True)):
        _expect_uses(values, [each], document, "sensor", number)
    return found


def why_no_name(text: str) -> str | None:
    """Return why a machine or a port may not have that name, as a sentence; None if it may."""
    if text and text.isprintable() and text == text.strip():
        return None
    return f"Expected a name that can be printed, without spaces around it, got {text!a}. Choose another."


def why_it_changes_nothing(config: SensorConfig, name: str) -> str | None:
    """Return why a value of a sensor does not count beside its others, as words behind the name; None if it does."""
    uses = SENSOR_USES.get(f"--{name.replace('_', '-')}", Uses())
    return why_unused(uses, lambda option: getattr(config, option.removeprefix("--").replace("-", "_"), None))


def _values(document: Document, table: dict[str, Any], folder: Path, *place: str | int) -> dict[str, Any]:
    """Return what a table says, which stands at `place`; its paths are relative to `folder`."""
    values = document.typed(SensorConfig, table, *place, own=_OWN_READERS)
    for name in ("port", "machine"):
        why = why_no_name(values[name]) if name in values else None
        if why is not None:
            raise SettingsError(f"{document.place(*place, name)}: {name}: {why}")
    return {name: folder / value if name in _PATHS else value for name, value in values.items()}


_PATHS = frozenset(each.name for each in fields(SensorConfig) if each.type == "Path | None")
"""Fields that are paths, which a file gives relative to its own folder."""


def _expect_uses(
    values: Mapping[str, Any], sensors: Sequence[SensorConfig], document: Document, *place: str | int
) -> None:
    """Refuse a value of the table at `place` that counts for none of the sensors that have it."""
    for name in values:
        reasons = [why_it_changes_nothing(each, name) for each in sensors]
        if all(reasons):
            raise SettingsError(f"{document.place(*place, name)}: {name} {str(reasons[0]).replace('--', '')}")


def _checked(config: SensorConfig, path: Path) -> SensorConfig:
    if config.port is None:
        raise SettingsError(f"{path}: Expected port of every sensor, got none of {config.machine or 'one'}.")
    if (config.text_unit is None) != (config.text_range is None):
        raise SettingsError(f"{path}: Expected text_unit and text_range together for {config.port}.")
    try:
        expect_known(config.text_unit or "g")
    except ContractError as exc:
        raise SettingsError(f"{path}: text_unit of {config.port}: {exc}") from exc
    for name, known in {"runtime": RUNTIMES, "fallback": FALLBACKS}.items():
        if getattr(config, name) not in known:
            raise SettingsError(
                f"{path}: Expected {name} among {', '.join(known)} for {config.port}, got {getattr(config, name)!r}."
            )
    return replace(config, machine=config.machine or Path(config.port).name)


def _expect_different(values: list[str], what: str, path: Path) -> None:
    same = [unicodedata.normalize("NFC", value) for value in values]  # nobody sees how an accent is written
    twice = next((value for value in same if same.count(value) > 1), None)
    if twice is not None:
        raise SettingsError(f"{path}: Expected another {what} for each sensor, got {twice!r} twice.")
