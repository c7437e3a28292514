"""The limits file of `monitor --limits`: the zones of the vibration velocity, and the bearing.

The limits of ISO 20816 depend on the machine and its mounting, so none are built in.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drsn_edge.errors import SettingsError
from drsn_edge.signal.bearing import BearingGeometry
from drsn_edge.signal.bearing_lines import NAMES, Bearing
from drsn_edge.support.toml_file import read_document

ZONES = "ABCD"


@dataclass(frozen=True)
class Limits:
    """Boundaries between the zones A, B, C and D of velocity RMS, in mm/s, ascending."""

    velocity_mm_s: tuple[float, float, float]

    def zone(self, velocity_mm_s: float) -> str:
        """Return the zone of a velocity: A is typical of a new machine, D is damaging."""
        return ZONES[int(np.searchsorted(self.velocity_mm_s, velocity_mm_s, side="right"))]


@dataclass(frozen=True)
class SeverityConfig:
    """The content of a limits file.

    Attributes:
        limits: Boundaries of the zones; None: no zones.
        bearing: The bearing; None: bearing lines are not measured.
    """

    limits: Limits | None = None
    bearing: Bearing | None = None


def read_limits(path: Path) -> SeverityConfig:
    """Read a TOML file with `[zones]`, `[bearing]`, or both.

        [zones]
        velocity_mm_s = [1.4, 2.8, 4.5]      # where A meets B, B meets C, C meets D

        [bearing]
        n_balls = 9
        ball_diameter_mm = 7.94
        pitch_diameter_mm = 39.04
        contact_angle_deg = 0.0
        classes = {outer_race = "BPFO", inner_race = "BPFI", ball = "BSF"}

    Raises:
        SettingsError: If the file cannot be read or holds anything else.
    """
    table = read_document(path, "limits", SettingsError).values
    if not table or set(table) - {"zones", "bearing"}:
        got = ", ".join(table) or "nothing"
        words = f"{path} must have the tables [zones], [bearing] or both, and nothing else, but has {got}."
        raise SettingsError(words, "wrong_tables", path=path, got=got)
    limits = _limits(table["zones"], path) if "zones" in table else None
    return SeverityConfig(limits, _bearing(table["bearing"], path) if "bearing" in table else None)


def expect_speed(config: SeverityConfig, path: Path | None, rpm: float | None) -> None:
    """Refuse a bearing without the speed of the shaft.

    Args:
        config: Content of the limits file.
        path: The limits file.
        rpm: Speed of the shaft in revolutions per minute; None: unknown.

    Raises:
        SettingsError: If the speed is unknown, and the file has a bearing.
    """
    if config.bearing is not None and rpm is None:
        raise SettingsError(
            f"{path}: [bearing] changes nothing without the speed of the shaft. Add --rpm RPM (rpm in the sensors "
            "file), or leave [bearing] out.",
            "no_speed",
            path=path,
        )


def _limits(zones: Any, path: Path) -> Limits:
    values: Any = zones.get("velocity_mm_s") if isinstance(zones, dict) and len(zones) == 1 else None
    if not _ascending(values):
        got = _zones_in_words(zones)
        raise SettingsError(
            f"{path}: [zones] must have velocity_mm_s = [A_to_B, B_to_C, C_to_D], three ascending numbers above 0, and "
            f"nothing else, but has {got}.",
            "invalid_zones",
            path=path,
            got=got,
        )
    first, second, third = map(float, values)
    return Limits((first, second, third))


def _zones_in_words(zones: Any) -> str:
    """Return the value of `zones` as it is written in the file."""
    if not isinstance(zones, dict):
        return f"zones = {reprlib.repr(zones)}"
    return ", ".join(f"{name} = {reprlib.repr(value)}" for name, value in list(zones.items())[:4]) or "nothing"


def _bearing(table: Any, path: Path) -> Bearing:
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: bearing must be a table [bearing], got {table!r}.", "not_a_table", path=path)
    dimensions = {name: value for name, value in table.items() if name != "classes"}
    classes = table.get("classes", {})
    try:
        bearing = Bearing(BearingGeometry(**dimensions), classes)
        if not set(classes.values()) <= set(NAMES):
            raise ValueError(f"each class must name one of the lines {', '.join(NAMES)}, got {classes}.")
    except (TypeError, ValueError, AttributeError) as exc:
        words = f"{path}: [bearing] needs the bearing's dimensions and, if wanted, its classes: {str(exc).rstrip('.')}."
        raise SettingsError(words, "invalid_bearing", path=path) from exc
    return bearing


def _ascending(values: Any) -> bool:
    numbers = isinstance(values, Sequence) and all(type(value) in (int, float) for value in values)
    return numbers and len(values) == 3 and 0 < values[0] < values[1] < values[2] < float("inf")
