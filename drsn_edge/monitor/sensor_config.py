"""The configuration of a sensor, and the TOML file that configures several.

    model = "pump.drsn"            # at the top: for all sensors
    history = "plant.sqlite"

    [[sensor]]
    machine = "pump 3"
    port = "/dev/serial/by-id/usb-drsn-pump3"
    rpm = 1480.0

    [[sensor]]
    machine = "fan"
    port = "socket://10.0.0.7:5555"
    model = "fan.drsn"             # this sensor has its own
    settings = "fan.toml"

The keys are those of `SensorConfig`. Paths are relative to the file's folder. A value in a sensor's table overrides an
option given with `--sensors`, which overrides a value at the top of the file.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from drsn_edge.errors import ContractError, SettingsError
from drsn_edge.runtime.names import EDGETPU_LIBRARY, FALLBACKS, RUNTIMES, RuntimeChoice
from drsn_edge.signal.units import expect_known
from drsn_edge.support.durations import Seconds, duration_s
from drsn_edge.support.toml_file import Document, read_document
from drsn_edge.support.typed_table import Reader
from drsn_edge.support.typed_table import number as number_of
from drsn_edge.support.uses import SENSOR_USES, Uses, why_unused
from firmware_bridge.sources.names import LATENCY_S, LONGEST_LATENCY_S, MOST_WAITING


@dataclass(frozen=True)
class SensorConfig:
    """Configuration of one sensor; each value is the option of `drsn-edge monitor` with that name.

    Attributes:
        port: Port of the sensor.
        machine: Name of the machine that it watches.
        model: Bundle that judges the windows; None: the active bundle of this gateway.
        latency: Longest time in seconds that samples wait to be judged together; None: `LATENCY_S`, or 1 s in a
            replay without pauses.
    """

    port: str | None = None
    machine: str = ""
    model: Path | None = None
    baud: int | None = None
    text_unit: str | None = None
    text_range: float | None = None
    text_scale: float = 1.0
    text_axes: str | None = None
    latency: Seconds | None = None
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
    def latency_s(self) -> float:
        """Longest time in seconds that samples of a live sensor wait to be judged together."""
        return LATENCY_S if self.latency is None else self.latency

    @property
    def runtime_choice(self) -> RuntimeChoice:
        """Choice of the runtime of its model."""
        return RuntimeChoice(self.runtime, self.threads, self.fallback, self.edgetpu_library, self.edgetpu_device)


def _seconds(value: object) -> float | None:
    seconds = duration_s(value) if isinstance(value, str) else number_of(value)
    return seconds if seconds is not None and 0 <= seconds < math.inf else None


_OWN_READERS: Mapping[Any, Reader] = {
    str | None: Reader(lambda value, _: value if isinstance(value, str) else None, "text"),
    int | None: Reader(lambda value, _: value if type(value) is int else None, "a whole number"),
    Seconds | None: Reader(
        lambda value, _: _seconds(value), 'a number of seconds of at least 0, or a duration such as "200ms"'
    ),
    Path | None: Reader(lambda value, _: Path(value) if isinstance(value, str) else None, "a path"),
}


def read_sensors(path: Path, given: Mapping[str, Any] | None = None) -> list[SensorConfig]:
    """Read a sensors file.

    Args:
        path: The file.
        given: Values of options: they override values at the top of the file, and a sensor's own values override them.

    Raises:
        SettingsError: If the file cannot be read, or holds an invalid value or one without effect, with its line.
    """
    document = read_document(path, "sensors", SettingsError)
    tables = document.values.get("sensor")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables) or not tables:
        raise SettingsError(f"{path} has no table [[sensor]]. Add one for each sensor.", "no_sensors", path=path)
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
    """Return why a machine or a port may not have this name, as a sentence; None if it may."""
    if text and text.isprintable() and text == text.strip():
        return None
    return f"{text!a} is not a printable name without outer spaces. Choose another name."


def why_no_latency(latency_s: float) -> str | None:
    """Return why samples cannot wait this long to be judged together, as a sentence; None if they can."""
    if latency_s <= LONGEST_LATENCY_S:
        return None
    return (
        f"A slice of {latency_s:g} s is longer than the queue in front of the judge can hold: {MOST_WAITING} of the "
        f"smallest frames, which come in {LONGEST_LATENCY_S:g} s on a line of 2 Mbaud. Choose 0 to "
        f"{LONGEST_LATENCY_S:g} s, such as 200ms."
    )


def why_it_changes_nothing(config: SensorConfig, name: str) -> str | None:
    """Return why a value of a sensor has no effect beside its others, as the words after its name; None if it has."""
    uses = SENSOR_USES.get(f"--{name.replace('_', '-')}", Uses())
    return why_unused(uses, lambda option: getattr(config, option.removeprefix("--").replace("-", "_"), None))


def _values(document: Document, table: dict[str, Any], folder: Path, *place: str | int) -> dict[str, Any]:
    """Return the values of the table at `place`; paths are relative to `folder`."""
    values = document.typed(SensorConfig, table, *place, own=_OWN_READERS)
    for name in ("port", "machine"):
        why = why_no_name(values[name]) if name in values else None
        if why is not None:
            where = document.place(*place, name)
            raise SettingsError(f"{where}: {name}: {why}", "invalid_name", place=where, key=name, got=values[name])
    return {name: folder / value if name in _PATHS else value for name, value in values.items()}


_PATHS = frozenset(each.name for each in fields(SensorConfig) if each.type == "Path | None")
"""Fields that are paths; in a sensors file they are relative to its folder."""


def _expect_uses(
    values: Mapping[str, Any], sensors: Sequence[SensorConfig], document: Document, *place: str | int
) -> None:
    """Refuse a value of the table at `place` that has an effect for none of its sensors."""
    for name in values:
        reasons = [why_it_changes_nothing(each, name) for each in sensors]
        if all(reasons):
            where = document.place(*place, name)
            words = f"{where}: {name} {str(reasons[0]).replace('--', '')}"
            raise SettingsError(words, "changes_nothing", place=where, key=name)


def _checked(config: SensorConfig, path: Path) -> SensorConfig:
    if config.port is None:
        words = f'{path}: the sensor {config.machine or "without a name"} has no port. Add port = "..." to its table.'
        raise SettingsError(words, "no_port", path=path, machine=config.machine)
    if (config.text_unit is None) != (config.text_range is None):
        words = f"{path}: the sensor at {config.port} needs text_unit and text_range together. Add the missing one."
        raise SettingsError(words, "text_format", path=path, port=config.port)
    try:
        expect_known(config.text_unit or "g")
    except ContractError as exc:
        words = f"{path}: text_unit of the sensor at {config.port}: {exc}"
        raise SettingsError(words, "unknown_unit", path=path, port=config.port) from exc
    why = None if config.latency is None else why_no_latency(config.latency)
    if why is not None:
        words = f"{path}: latency of the sensor at {config.port}: {why}"
        raise SettingsError(words, "slice_too_long", path=path, got=config.latency, limit=LONGEST_LATENCY_S)
    for name, known in {"runtime": RUNTIMES, "fallback": FALLBACKS}.items():
        if getattr(config, name) not in known:
            got = getattr(config, name)
            words = f"{path}: {name} of the sensor at {config.port} must be one of {', '.join(known)}, got {got!r}."
            raise SettingsError(words, "invalid_choice", path=path, key=name, got=got)
    return replace(config, machine=config.machine or Path(config.port).name)


def _expect_different(values: list[str], what: str, path: Path) -> None:
    same = [unicodedata.normalize("NFC", value) for value in values]  # two encodings of an accent look the same
    twice = next((value for value in same if same.count(value) > 1), None)
    if twice is not None:
        words = f"{path}: two sensors have the {what} {twice!r}. Give each sensor its own {what}."
        raise SettingsError(words, "not_distinct", path=path, key=what, got=twice)
