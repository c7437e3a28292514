"""Choice among the channels of a file: which are axes of one recording, and what is said of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import LEFT_OUT, Metadata, MetadataValue, checked
from drsn_edge.signal.units import KNOWN_UNITS, canonical
from drsn_edge.support.wording import counted
from firmware_bridge.support.shown import printable
from firmware_bridge.tables.columns import Kind, column_of
from firmware_bridge.tables.names import Name, name_of

_MOST_NAMED = 8
_MOST_LISTED = 4
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Channel:
    """A channel of a file.

    Attributes:
        number: Its position among all channels of the file.
        path: Its name in the file with the names of its groups before it: `group/name`.
        name: Its name.
        unit: Its unit; None if unknown.
        n_samples: Its length.
        sample_rate_hz: Its rate; None if unknown.
        why_not: Why it cannot be an axis, as a clause ("it is a clock"); empty if it can.
    """

    number: int
    path: str
    name: str
    unit: str | None
    n_samples: int
    sample_rate_hz: float | None
    why_not: str = ""

    @property
    def is_clock(self) -> bool:
        """Whether it holds the time of each sample."""
        return self.why_not == f"it is {Kind.CLOCK.value}"


@dataclass(frozen=True)
class Chosen:
    """Channels of one recording, what they state together, and what to tell the user of the others."""

    channels: tuple[Channel, ...]
    stated: Metadata
    remarks: tuple[str, ...]


def choose_channels(channels: Sequence[Channel], values: Metadata, path: Path) -> Chosen:
    """Choose the channels that are axes of one recording.

    What the key `variable` names is taken. Otherwise what `axes` names is taken if the file has all of these names.
    Otherwise every channel is taken that can be an axis; where some are in a unit of acceleration, those alone.

    Args:
        channels: All channels of the file, or of one group of it.
        values: What catalogues state for the file.
        path: The file, for errors.

    Raises:
        RecordingError: If no channel is left, a name is unknown, or the chosen ones differ in length, rate or unit.
    """
    taken, remarks = _named(channels, values, path), []
    if taken is None:
        taken = [each for each in channels if not each.why_not]
        measured = [each for each in taken if each.unit in KNOWN_UNITS]
        left = [(each, each.why_not) for each in channels if each.why_not]
        if measured:
            left += [(each, _not_measured(each)) for each in taken if each.unit not in KNOWN_UNITS]
            taken = measured
        remarks = _remarks(left)
    if not taken:
        found = _listed([f"{each.path} ({each.why_not})" for each in channels]) or "none"
        words = f"{path} has no channel that can be an axis. Its channels: {found}."
        raise RecordingError(words, "no_axis", path=path, channels=tuple(each.path for each in channels))
    _check_alike(taken, path)
    return Chosen(tuple(taken), _stated(taken, path), tuple(remarks))


def _named(channels: Sequence[Channel], values: Metadata, path: Path) -> list[Channel] | None:
    """Return the channels that `variable` or `axes` names; None if neither does."""
    variable = values.get("variable")
    if variable is not None:
        names = (variable,) if isinstance(variable, str) else cast("tuple[str, ...]", variable)
        return [each for name in names for each in _of_name(channels, name, path)]
    axes = [name for name in cast("tuple[str, ...]", values.get("axes", ())) if name != LEFT_OUT]
    by_name = {axis: each for axis, each in zip(axis_names([each.name for each in channels]), channels, strict=True)}
    if axes and all(name in by_name and not by_name[name].why_not for name in axes):
        return [by_name[name] for name in axes]
    return None


def _of_name(channels: Sequence[Channel], name: str, path: Path) -> list[Channel]:
    """Return the channel of a name or path, or the channels of a group."""
    plain = name.strip("/")
    tests: tuple[Callable[[Channel], bool], ...] = (
        lambda each: each.path == plain,
        lambda each: each.name == plain,
        lambda each: each.path.startswith(f"{plain}/") and not each.why_not,
    )
    for matches in tests:
        found = [each for each in channels if matches(each)]
        if found:
            _check_usable(found, path)
            return found
    words = (
        f"{path} has no channel {printable(name, _LONGEST_NAME)!r}. Name one of its channels as variable: "
        f"{_listed([each.path for each in channels])}."
    )
    raise RecordingError(words, "unknown_variable", path=path, name=name, known=tuple(each.path for each in channels))


def _check_usable(found: Sequence[Channel], path: Path) -> None:
    for each in found:
        if each.why_not:
            words = f"{path}: the channel {_shown(each.path)} cannot be an axis: {each.why_not}. Name another one."
            raise RecordingError(words, "not_an_axis", path=path, channel=each.path, reason=each.why_not)


def _not_measured(channel: Channel) -> str:
    unit = "no unit" if channel.unit is None else f"the unit {printable(channel.unit, _LONGEST_NAME)}"
    return f"it has {unit}, others have one of acceleration"


def _remarks(left: Sequence[tuple[Channel, str]]) -> list[str]:
    """Return a sentence for each reason, with the names of the channels that it holds for."""
    by_reason: dict[str, list[str]] = {}
    for channel, why in left:
        by_reason.setdefault(why, []).append(channel.path)
    return [
        f"{'Channel' if len(paths) == 1 else 'Channels'} {_listed(paths)} left out: {why}."
        for why, paths in by_reason.items()
    ]


def _check_alike(taken: Sequence[Channel], path: Path) -> None:
    _check_one("length", [(each, counted(each.n_samples, "sample")) for each in taken], path)
    rates = [each.sample_rate_hz for each in taken]
    texts = ["unknown" if rate is None else f"{rate:.9g} Hz" for rate in rates]
    _check_one("sampling rate", list(zip(taken, texts, strict=True)), path)
    _check_one("unit", [(each, printable(each.unit or "none", _LONGEST_NAME)) for each in taken], path)


def _check_one(key: str, values: Sequence[tuple[Channel, str]], path: Path) -> None:
    groups: dict[str, list[str]] = {}
    for each, text in values:
        groups.setdefault(text, []).append(each.path)
    if len(groups) > 1:
        lists = "; ".join(f"{text}: {_listed(paths)}" for text, paths in list(groups.items())[:_MOST_LISTED])
        first = ", ".join(f'"{_shown(each)}"' for each in next(iter(groups.values()))[:_MOST_LISTED])
        words = (
            f"{path} has channels of different {key} ({lists}).\nChoose those of one recording in the catalogue, such "
            f"as variable = [{first}]."
        )
        found = tuple(map(tuple, groups.values()))
        raise RecordingError(words, "channels_differ", path=path, key=key, groups=found)


def _stated(taken: Sequence[Channel], path: Path) -> Metadata:
    stated: dict[str, MetadataValue] = {}
    names = axis_names([each.name for each in taken])
    if names:
        stated["axes"] = checked("axes", names, str(path))
    if taken[0].sample_rate_hz is not None:
        stated["sample_rate_hz"] = checked("sample_rate_hz", taken[0].sample_rate_hz, str(path))
    if taken[0].unit is not None:
        stated["unit"] = checked("unit", taken[0].unit, str(path))
    return stated


def axis_names(names: Sequence[str]) -> list[str]:
    """Return names that axes can have: without unit, printable, different, without a comma or a minus sign in front."""
    found: list[str] = []
    for number, name in enumerate(names, start=1):
        text = " ".join(name_of(name).text.split()).replace(",", ";")
        plain = printable(text, _LONGEST_NAME).lstrip("-").strip()
        plain = plain or f"channel {number}"
        found.append(plain if plain not in found else f"{plain} #{number}")
    return found


def why_no_axis(name: Name, values: NDArray[Any]) -> str:
    """Return why numbers cannot be an axis, as a clause: they are a clock or a counter; empty if they can.

    Args:
        name: Name of the channel.
        values: Its first numbers, shape (n,).
    """
    kind = column_of(0, name, values.astype(np.float64), quantum_of(values)).kind
    return "" if kind is Kind.NUMBERS else f"it is {kind.value}"


def quantum_of(values: NDArray[Any]) -> float:
    """Return the smallest difference that numbers of this type and size can tell, as float64."""
    numbers = values.astype(np.float64) if values.dtype.kind in "iu" else values
    largest = np.max(np.abs(numbers), initial=0.0, where=np.isfinite(numbers))
    spacing = float(np.spacing(largest)) if np.isfinite(largest) else 0.0
    return max(1.0, spacing) if values.dtype.kind in "iu" else spacing


def named(written: str, unit: object = None) -> Name:
    """Return name and unit of a channel: the unit that the file states apart, else the one in the name."""
    stated = unit_of(unit)
    return name_of(written) if stated is None else Name(written.strip(), stated)


def unit_of(text: object) -> str | None:
    """Return the unit that a file states in its standard spelling; None for an empty text or one that means none."""
    if not isinstance(text, str) or text.strip().lower() in ("", "none", "-", "n/a"):
        return None
    return canonical(text.strip())


def _listed(names: Sequence[str]) -> str:
    shown = [_shown(name) for name in names[:_MOST_NAMED]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _shown(name: str) -> str:
    return printable(name, _LONGEST_NAME)
