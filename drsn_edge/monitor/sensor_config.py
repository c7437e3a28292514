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
from drsn_edge.support.shares import SHARE_IN_PERCENT, Share
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
        at_most_wrong: Share of the windows of a class that may be wrong, above 0 and below 1; None: as in the settings.
        latency: Longest time in seconds that a complete window waits to be judged together with others, 0 to
            `LONGEST_LATENCY_S`; None: `LATENCY_S`, or 1 s in a replay at --speed 0.

    Raises:
        SettingsError: If the latency is no number of seconds, or out of range.
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
    at_most_wrong: Share | None = None
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

    def __post_init__(self) -> None:
        """Refuse a latency that is no number of seconds, or out of range."""
        if self.latency is None:
            return
        if number_of(self.latency) is None:
            why: str | None = f"latency must be a number of seconds, such as {LATENCY_S:g}, got {self.latency!r}."
        else:
            why = why_no_latency(self.latency)
        if why is not None:
            raise SettingsError(why, "invalid_latency", got=self.latency, limit=LONGEST_LATENCY_S)

    @property
    def latency_s(self) -> float:
        """Longest time in seconds that a complete window of a live sensor waits to be judged together with others."""
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
    Share | None: SHARE_IN_PERCENT,
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


def why_no_latency(given: str | float, name: str = "latency") -> str | None:
    """Return why complete windows cannot wait this long to be judged together, as a sentence.

    Args:
        given: A time in seconds, or the text of a duration, which may be negative.
        name: Name of the value in the sentence.

    Returns:
        The sentence; None if they can wait, and for text that is no duration.
    """
    unsigned = duration_s(given.strip().removeprefix("-")) if isinstance(given, str) else given
    if unsigned is None:
        return None
    seconds = -unsigned if isinstance(given, str) and given.strip().startswith("-") else unsigned
    if not seconds >= 0:  # also NaN
        return f"{name} {given} is out of range: it must be at least 0 s; 0 judges at once."
    if seconds <= LONGEST_LATENCY_S:
        return None
    return (
        f"{name} {given} is too long: at most {LONGEST_LATENCY_S:g} s, because what waits must fit in memory "
        f"({MOST_WAITING:,} frames, {LONGEST_LATENCY_S:g} s of the smallest frames at 2 Mbaud). The default is "
        f"{1000 * LATENCY_S:g}ms.{_perhaps_milliseconds(given, seconds)}"
    )


def _perhaps_milliseconds(given: str | float, seconds: float) -> str:
    has_unit = isinstance(given, str) and given.strip()[-1].isalpha()
    if has_unit or seconds / 1000 > LONGEST_LATENCY_S:
        return ""
    meant = f"{seconds:g}ms" if isinstance(given, str) else f"{seconds / 1000:g}"
    return f" A number without a unit is in seconds; did you mean {meant}?"


def why_it_changes_nothing(config: SensorConfig, name: str) -> str | None:
    """Return why a value of a sensor has no effect beside its others, as the words after its name; None if it has."""
    uses = SENSOR_USES.get(f"--{name.replace('_', '-')}", Uses())
    return why_unused(uses, lambda option: getattr(config, option.removeprefix("--").replace("-", "_"), None))


def _values(document: Document, table: dict[str, Any], folder: Path, *place: str | int) -> dict[str, Any]:
    """Return the values of the table at `place`; paths are relative to `folder`."""
    values = document.typed(SensorConfig, table, *place, own=_OWN_READERS)
    why = why_no_latency(table["latency"]) if "latency" in values else None
    if why is not None:
        where = document.place(*place, "latency")
        raise SettingsError(
            f"{where}: {why}", "invalid_latency", place=where, got=values["latency"], limit=LONGEST_LATENCY_S
        )
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
