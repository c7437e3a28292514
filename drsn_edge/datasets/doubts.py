"""Doubts about recordings: signs that a network would learn something else than the faults.

A doubt is a warning, never a refusal: what looks wrong may be right for this machine. Each doubt is worded so that a
person can check it, and says what to do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.gravity import length_of, units_by_gravity
from drsn_edge.signal.units import KNOWN_UNITS, canonical, gravity_in
from drsn_edge.support.wording import counted, plain

_LEVELS_APART = 100.0
"""Smallest factor between the levels of two classes that is doubted, 40 dB. Faults raise a level by a factor of 30 at
most in the public recordings that were measured."""


_CHANCE = 1e-3
"""Largest chance at which a value that has nothing to do with faults tells all classes apart."""

_HUM_DB, _NO_HUM_DB, _LEAST_RECORDINGS = 13.0, 8.0, 3
"""Mains hum is there from the first value upwards and is not there below the second, and each class needs so many
recordings. Lines of noise reach 7 dB."""


@dataclass(frozen=True)
class Doubt:
    """One doubt about recordings.

    Attributes:
        kind: "unit", "level", "hum", "offset", "rate", "steps", "jump", "copies" or "coverage".
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
        level: RMS of the vector of all axes without their means.
        axes: Names of the axes.
        sample_rate_hz: Sampling rate in Hz; NaN if it is not known.
        has_steps: Whether the values of some axis lie on the grid of a converter; None if that is not known.
        hum_db: How far the hum of each mains frequency in Hz stands out, in dB; empty if that is not known.
        jump_s: Time at which the mean of an axis jumps and stays, in seconds; None if it does not.
    """

    recording: str
    label: str
    group: str
    unit: str
    means: NDArray[np.float64]
    level: float
    axes: tuple[str, ...] = ()
    sample_rate_hz: float = math.nan
    has_steps: bool | None = None
    hum_db: Mapping[float, float] = field(default_factory=dict)
    jump_s: float | None = None


def doubts_about(profiles: Sequence[Profile]) -> list[Doubt]:
    """Return the doubts about recordings, those about units first."""
    if not profiles:
        return []
    found = (_units(profiles), _levels(profiles), _hum(profiles), _offsets(profiles), _rates(profiles))
    return [doubt for doubts in (*found, _steps(profiles), _jumps(profiles)) for doubt in doubts]


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
    length = length_of(means)
    likely = units_by_gravity(length)
    if not likely or unit in likely:
        return None
    impossible = length > 4 * gravity_in(unit)  # a machine does not turn its sensor into a centrifuge
    return likely[0] if impossible or len(means) == 3 else None


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
        factor = _factor_to(profiles[0].unit, each.unit)
        if factor is None:
            return []
        levels.setdefault(each.label, []).append(factor * each.level)
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


def _factor_to(unit: str, from_unit: str) -> float | None:
    """Return the factor between two units; None if they do not convert into each other."""
    if canonical(unit) == canonical(from_unit):
        return 1.0
    if not {canonical(unit), canonical(from_unit)} <= set(KNOWN_UNITS):
        return None
    return gravity_in(canonical(unit)) / gravity_in(canonical(from_unit))


def _hum(profiles: Sequence[Profile]) -> list[Doubt]:
    """Return a doubt if mains hum is in all recordings of some classes, and in none of the others."""
    for mains in sorted({mains for each in profiles for mains in each.hum_db}):
        by_class = _by_class(profiles, [each.hum_db.get(mains, math.nan) for each in profiles])
        with_hum = sorted(label for label, found in by_class.items() if min(found) >= _HUM_DB)
        without = sorted(label for label, found in by_class.items() if max(found) < _NO_HUM_DB)
        enough = all(len(found) >= _LEAST_RECORDINGS for found in by_class.values())
        if with_hum and without and enough and len(with_hum) + len(without) == len(by_class):
            height = float(np.median([value for label in with_hum for value in by_class[label]]))
            return [
                Doubt(
                    "hum",
                    f"Mains hum ({mains:g} Hz and multiples, {height:.0f} dB above the spectrum beside it) is in every "
                    f"recording of {_named(with_hum)} and in none of {_named(without)}, so that it alone tells them "
                    "apart. Record all classes with the same cables and earthing; if a shaft has this frequency, "
                    "state rpm in the catalogue.",
                    {"mains_hz": mains, "with_hum": tuple(with_hum), "without": tuple(without), "height_db": height},
                )
            ]
    return []


def _offsets(profiles: Sequence[Profile]) -> list[Doubt]:
    """Return a doubt if the mean of one axis alone tells all classes apart."""
    n_axes = min(len(each.means) for each in profiles)
    for axis in range(n_axes):
        if _tells_apart(profiles, [float(each.means[axis]) for each in profiles], tests=n_axes):
            names = profiles[0].axes
            name = names[axis] if axis < len(names) else str(axis + 1)
            return [
                Doubt(
                    "offset",
                    f"The mean of axis {name} alone tells the classes apart, although it has nothing to do with "
                    "faults: each class probably has a mounting of its own, which the network may learn. Mount the "
                    "sensor again between recordings of one class, or record the classes in mixed order.",
                    {"axis": name},
                )
            ]
    return []


def _rates(profiles: Sequence[Profile]) -> list[Doubt]:
    """Return a doubt if the measured sampling rate alone tells all classes apart."""
    rates = [each.sample_rate_hz for each in profiles]
    if not _tells_apart(profiles, rates, tests=1):
        return []
    by_class = _by_class(profiles, rates)
    shown = ", ".join(f"{label} {plain(float(np.median(found)))} Hz" for label, found in sorted(by_class.items())[:4])
    return [
        Doubt(
            "rate",
            f"The sampling rate alone tells the classes apart ({shown}): each class probably has a sensor board of its "
            "own, which the network may learn. Record every class with every board.",
            {"rates": {label: tuple(found) for label, found in by_class.items()}},
        )
    ]


def _steps(profiles: Sequence[Profile]) -> list[Doubt]:
    """Return a doubt if the recordings of some classes were processed, and those of the others were not."""
    if any(each.has_steps is None for each in profiles):
        return []
    by_class = _by_class(profiles, [float(bool(each.has_steps)) for each in profiles])
    without = sorted(label for label, found in by_class.items() if max(found) == 0)
    with_steps = sorted(label for label, found in by_class.items() if min(found) == 1)
    enough = all(len(found) >= 2 for found in by_class.values())
    if not (without and with_steps and enough and len(without) + len(with_steps) == len(by_class)):
        return []
    return [
        Doubt(
            "steps",
            f"The recordings of {_named(without)} have no steps of a converter and all others have: they were "
            "filtered, resampled or normalised, which the network may learn instead of the fault. Prepare the "
            "recordings of all classes in the same way.",
            {"without": tuple(without), "with_steps": tuple(with_steps)},
        )
    ]


def _jumps(profiles: Sequence[Profile]) -> list[Doubt]:
    found = [each for each in profiles if each.jump_s is not None]
    if not found:
        return []
    first, more = found[0], len(found) - 1
    also = f" (and in {counted(more, 'more recording')})" if more else ""
    return [
        Doubt(
            "jump",
            f"The mean of an axis jumps after {plain(first.jump_s or 0)} s of {first.recording}{also}: the sensor was "
            "moved or came loose. Cut the recording there, or record it again.",
            {"recordings": tuple(each.recording for each in found)},
        )
    ]


def _by_class(profiles: Sequence[Profile], values: Sequence[float]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for each, value in zip(profiles, values, strict=True):
        found.setdefault(each.label, []).append(value)
    return found


def _tells_apart(profiles: Sequence[Profile], values: Sequence[float], tests: int) -> bool:
    """Tell whether each class has a range of values of its own, which chance alone hardly explains.

    Recordings of one group count once, with their mean. The chance is that of drawing the groups of each class in a
    row: with two classes it takes seven groups of each.
    """
    groups: dict[tuple[str, str], list[float]] = {}
    for each, value in zip(profiles, values, strict=True):
        groups.setdefault((each.label, each.group), []).append(value)
    rows = sorted((float(np.mean(found)), label) for (label, _), found in groups.items())
    labels = [label for _, label in rows]
    classes = set(labels)
    edges = [(one, other) for one, other in itertools.pairwise(rows) if one[1] != other[1]]
    if len(classes) < 2 or len(edges) != len(classes) - 1 or not all(one[0] < other[0] for one, other in edges):
        return False
    ways = math.lgamma(len(rows) + 1) - sum(math.lgamma(labels.count(label) + 1) for label in classes)
    return math.lgamma(len(classes) + 1) - ways + math.log(tests) < math.log(_CHANCE)


def _named(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:4])
    return shown if len(labels) <= 4 else f"{shown} and {len(labels) - 4} more"
