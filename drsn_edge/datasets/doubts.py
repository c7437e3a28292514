"""Doubts about recordings: signs that a network would learn something else than the faults.

A doubt is a warning, never a refusal: what looks wrong may be right for this machine. Each doubt is worded so that a
person can check it, and says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.units import KNOWN_UNITS, canonical, gravity_in
from drsn_edge.support.wording import counted, plain

_GRAVITY_WITHIN = 0.05
"""Largest relative difference from the length of gravity, which the offsets of a sensor change by a few percent."""

_LEVELS_APART = 100.0
"""Smallest factor between the levels of two classes that is doubted, 40 dB. Faults raise a level by a factor of 30 at
most in the public recordings that were measured."""


@dataclass(frozen=True)
class Doubt:
    """One doubt about recordings.

    Attributes:
        kind: "unit", "level", "hum", "recording", "rate" or "coverage".
        sentence: What looks wrong, and what to do.
        facts: The values behind the sentence.
    """

    kind: str
    sentence: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """What is known of one recording without its samples.

    Attributes:
        recording: Name of the recording.
        label: Its class; empty if unknown.
        group: Its group.
        unit: Unit of its samples.
        means: Mean of each axis, shape (axes,).
        level: RMS over all axes without their means.
    """

    recording: str
    label: str
    group: str
    unit: str
    means: NDArray[np.float64]
    level: float


def profile_of(recording: Recording) -> Profile:
    """Return the profile of a recording."""
    samples = recording.samples
    means, powers = samples.mean(axis=0, dtype=np.float64), samples.var(axis=0, dtype=np.float64)
    level = float(np.sqrt(powers.mean()))
    return Profile(recording.name, recording.label or "", recording.group, recording.unit, means, level)


def doubts_about(profiles: Sequence[Profile]) -> list[Doubt]:
    """Return the doubts about recordings, those about units first."""
    return [*_units(profiles), *_levels(profiles)]


def _units(profiles: Sequence[Profile]) -> list[Doubt]:
    files: dict[tuple[str, str], list[Profile]] = {}
    for each in profiles:
        likely = likelier_unit(each.unit, each.means)
        if likely:
            files.setdefault((each.unit, likely), []).append(each)
    return [_unit_doubt(unit, likely, found, len(profiles)) for (unit, likely), found in files.items()]


def likelier_unit(unit: str, means: NDArray[np.float64]) -> str | None:
    """Return the unit in which the mean is as long as gravity; None if the stated unit may be right.

    Args:
        unit: Unit as stated.
        means: Mean of each axis in that unit, shape (axes,).
    """
    unit = canonical(unit)
    if unit not in KNOWN_UNITS:
        return None
    length = float(np.linalg.norm(means))
    likely = [other for other in KNOWN_UNITS if abs(length / gravity_in(other) - 1) < _GRAVITY_WITHIN]
    if unit in likely:
        return None
    impossible = length > 4 * gravity_in(unit)  # a machine does not turn its sensor into a centrifuge
    return likely[0] if likely and (impossible or len(means) == 3) else None


def _unit_doubt(unit: str, likely: str, found: Sequence[Profile], of_all: int) -> Doubt:
    length = float(np.median([np.linalg.norm(each.means) for each in found]))
    some = "All" if len(found) == of_all else f"{len(found)} of"
    which = found[0].recording if len(found) == 1 else f"{some} {counted(of_all, 'recording')}"
    like = "" if len(found) == 1 else f", such as {found[0].recording},"
    has = "has" if len(found) == 1 else "have"
    return Doubt(
        "unit",
        f"{which}{like} {has} a mean {plain(length)} {unit} long, which is gravity in {likely}, not in {unit}. If "
        f'the values are in {likely}, write unit = "{likely}" into the catalogue; a sensor in true {unit} would seem '
        "to stand still or to be far too loud.",
        {"unit": unit, "likely": likely, "length": length, "recordings": tuple(each.recording for each in found)},
    )


def _levels(profiles: Sequence[Profile]) -> list[Doubt]:
    levels: dict[str, list[float]] = {}
    for each in profiles:
        levels.setdefault(each.label, []).append(each.level)
    by_class = {label: float(np.median(found)) for label, found in levels.items()}
    low, high = min(by_class, key=lambda label: by_class[label]), max(by_class, key=lambda label: by_class[label])
    if len(by_class) < 2 or not by_class[low] > 0 or by_class[high] < _LEVELS_APART * by_class[low]:
        return []
    factor, unit = by_class[high] / by_class[low], profiles[0].unit
    return [
        Doubt(
            "level",
            f"The level of class {high} ({plain(by_class[high])} {unit} RMS) is {plain(factor)} times that of class "
            f"{low} ({plain(by_class[low])} {unit} RMS). Check the unit, the range and the amplifier of both; a fault "
            "rarely raises the level by 100.",
            {"high": high, "low": low, "factor": factor},
        )
    ]
