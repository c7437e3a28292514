"""Guesses for what no file and no catalogue states: from names, folders, levels and known public data sets."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from drsn_edge.looking.layouts import layout_of
from drsn_edge.looking.names import (
    Guess,
    Name,
    condition_of,
    fields_of,
    is_of_hertz,
    prefix_of,
    sequence_of,
    session_of,
    words_of,
)
from drsn_edge.looking.sight import Sight
from drsn_edge.recordings.loading.complete import RATE_TOLERANCE
from drsn_edge.signal.units import STANDARD_GRAVITY_MPS2

NEEDED = ("sample_rate_hz", "axes", "unit", "label")
"""Keys without which nothing is trained; `full_scale` besides for shares of full scale."""

_GRAVITY = {"m/s2": STANDARD_GRAVITY_MPS2, "g": 1.0, "mg": 1000.0, "mm/s2": 1000 * STANDARD_GRAVITY_MPS2}
_GRAVITY_TOLERANCE = 0.05
_MOST_LABELS = 60
_LEAST_LIFE = 6
"""Fewest files of one machine that are taken for its life."""
_ROUND_HZ = (1000, 500, 100, 50, 10, 5, 1)
_ROUND_ALONE = 4
"""Number of these steps to which one measured rate is rounded, where no others differ from it."""
_LIFE = ("early_life", "mid_life", "late_life")
_LIFE_WHY = "third of its life by the order of files, no condition"

FileGuesses = Mapping[str, Guess]


@dataclass(frozen=True)
class Proposal:
    """Guesses and gaps.

    Attributes:
        guesses: Guesses of each file by its path, for keys that nothing states.
        missing: Keys that nothing states and nothing suggests, with the paths of their files.
        other_paths: Paths of further files in the folder, which no glob may match.
    """

    guesses: Mapping[str, FileGuesses]
    missing: Mapping[str, tuple[str, ...]]
    other_paths: tuple[str, ...] = ()


def propose(sights: Sequence[Sight]) -> Proposal:
    """Return guesses for the files of a folder."""
    by_path = {sight.path: sight for sight in sights}
    guesses: dict[str, dict[str, Guess]] = {path: {} for path in by_path}
    for found in (_of_names, _of_samples, _labels, _groups, _of_layouts, _lives):
        for path, values in found(by_path).items():
            guesses[path].update(values)
    for path, sight in by_path.items():
        guesses[path] = {key: guess for key, guess in guesses[path].items() if key not in sight.known}
    for path, values in _nominal_rates(by_path).items():
        guesses[path].update(values)
    return Proposal(guesses, _missing(by_path, guesses))


_Found = Mapping[str, Mapping[str, Guess]]
_Files = Mapping[str, Sight]


def _missing(files: _Files, guesses: _Found) -> Mapping[str, tuple[str, ...]]:
    missing: dict[str, list[str]] = defaultdict(list)
    for path, sight in files.items():
        for key in (*NEEDED, *(("full_scale",) if sight.is_relative else ())):
            if key not in sight.known and key not in guesses[path]:
                missing[key].append(path)
    return {key: tuple(paths) for key, paths in missing.items()}


def _of_names(files: _Files) -> _Found:
    """Return rate, speed and load by names; a load of unknown unit only where no other load is stated."""
    found = {}
    for path, sight in files.items():
        fields = fields_of(sight.name)
        has_load = any(key.startswith("load") for key in sight.known)
        found[path] = {key: guess for key, guess in fields.items() if not (key == "load" and has_load)}
    return found


def _of_layouts(files: _Files) -> _Found:
    found: dict[str, Mapping[str, Guess]] = {}
    for path, sight in files.items():
        layout = layout_of(path, sight.keys, sight.channels, sight.stated_axes)
        if layout is not None:
            match = layout.path.search(path)
            steering = layout.read_with(match) if match else {}
            read_with = {key: Guess(_plain(value), f"files of {layout.name}") for key, value in steering.items()}
            found[path] = {**layout.guesses(path, sight.channels), **read_with}
    return found


def _plain(value: object) -> str | int | float:
    return value if isinstance(value, (str, int, float)) else str(value)


def _of_samples(files: _Files) -> _Found:
    gravity = _unit_by_gravity(files.values())
    return {path: {**_axes(sight), **_unit(sight, gravity)} for path, sight in files.items()}


def _axes(sight: Sight) -> Mapping[str, Guess]:
    if "axes" in sight.known:
        return {}
    return {"axes": Guess(default_axes(sight.channels), "order of the columns")}


def default_axes(n_channels: int) -> tuple[str, ...]:
    """Return names for channels that have none."""
    return tuple("xyz"[:n_channels]) if n_channels <= 3 else tuple(f"channel{one}" for one in range(1, n_channels + 1))


def _unit(sight: Sight, gravity: Guess | None) -> Mapping[str, Guess]:
    if sight.is_relative:
        share = Guess("full scale", "shares of full scale; for g, state the sensor's full scale")
        return {"unit": share, "full_scale": Guess(1.0, "shares of full scale")}
    if gravity is not None:
        return {"unit": gravity}
    return {"unit": Guess("counts", "all samples are whole numbers")} if sight.is_whole else {}


def _unit_by_gravity(sights: Iterable[Sight]) -> Guess | None:
    """Return the unit in which the means of most recordings without a unit are one gravity."""
    offsets = [sight.measures.offset for sight in sights if sight.unit is None and sight.channels <= 3]
    for unit, gravity in _GRAVITY.items():
        near = [abs(offset / gravity - 1) < _GRAVITY_TOLERANCE for offset in offsets]
        if offsets and sum(near) > len(near) / 2:
            return Guess(unit, f"the mean vector is {np.median(offsets):.3g} long, as gravity in {unit}")
    return None


def _labels(files: _Files) -> _Found:
    """Return labels by words for conditions, else by the names of folders, else by the first words of file names."""
    without = {path: sight.name for path, sight in files.items() if sight.label is None}
    for guess in (_by_words, _by_folders, _by_first_words):
        found = guess(without)
        if 1 < len({each.value for each in found.values()}) <= _MOST_LABELS:
            return {path: {"label": each} for path, each in found.items()}
    return {path: {"label": each} for path, each in _by_words(without).items()}


_Names = Mapping[str, Name]


def _by_words(names: _Names) -> Mapping[str, Guess]:
    found = _some(names, condition_of)
    others = {path: name for path, name in names.items() if path not in found} if found else {}
    passed = {word for path in found for word in words_of(names[path])}
    return {**found, **_some(others, lambda name: prefix_of(name, passed) or _nearest_folder(name))}


def _by_first_words(names: _Names) -> Mapping[str, Guess]:
    """Return the first word of each name that not all names have."""
    everywhere = set.intersection(*(set(words_of(name)) for name in names.values())) if names else set()
    found = _some(names, lambda name: prefix_of(name, everywhere))
    times = Counter(guess.value for guess in found.values())
    return found if min(times.values(), default=0) > 1 else {}


def _by_folders(names: _Names) -> Mapping[str, Guess]:
    depth = max((len(name.folders) for name in names.values()), default=0)
    for level in reversed(range(depth)):
        found = {
            path: Guess(name.folders[level], f"folder {name.folders[level]}")
            for path, name in names.items()
            if len(name.folders) > level
        }
        if len({guess.value for guess in found.values()}) > 1 and not all(
            map(_is_no_label, names.values(), [level] * len(names))
        ):
            return found
    return {}


def _is_no_label(name: Name, level: int) -> bool:
    """Tell whether a folder's name is a machine, a session, a speed, a load, a number or a date."""
    if len(name.folders) <= level:
        return True
    folder = Name((), name.folders[level])
    says_other = session_of(folder) or fields_of(folder) or is_of_hertz(folder.stem)
    return bool(says_other or not re.search(r"[A-Za-z]", folder.stem))


def _nearest_folder(name: Name) -> Guess | None:
    return Guess(name.folders[-1], f"folder {name.folders[-1]}") if name.folders else None


def _some(names: _Names, guess: Callable[[Name], Guess | None]) -> dict[str, Guess]:
    found = {path: guess(name) for path, name in names.items()}
    return {path: each for path, each in found.items() if each is not None}


def _groups(files: _Files) -> _Found:
    names = {path: sight.name for path, sight in files.items() if sight.group is None}
    return {path: {"group": guess} for path, guess in _some(names, session_of).items()}


def _nominal_rates(files: _Files) -> _Found:
    """Return one round rate for files whose clocks differ by less than files and catalogues may."""
    rates = {
        path: rate
        for path, sight in files.items()
        if sight.rate_spread is not None
        and "sample_rate_hz" not in sight.catalogued
        and (rate := sight.sample_rate_hz) is not None
    }
    low, high = min(rates.values(), default=0.0), max(rates.values(), default=0.0)
    for step in _ROUND_HZ if low < high else _ROUND_HZ[:_ROUND_ALONE]:
        nominal = step * round((low + high) / 2 / step)
        if nominal == low == high:
            return {}
        if nominal and max(abs(rate / nominal - 1) for rate in rates.values()) < RATE_TOLERANCE / 2:
            guess = Guess(nominal, f"nominal rate: clocks of the files say {low:.7g} to {high:.7g}")
            return {path: {"sample_rate_hz": guess} for path in rates}
    return {}


def _lives(files: _Files) -> _Found:
    """Return the third of its life for each file of a machine that ran until it failed."""
    lives: dict[str, list[str]] = defaultdict(list)
    for path, sight in files.items():
        layout = layout_of(path, sight.keys, sight.channels, sight.stated_axes)
        if layout is not None and layout.by_life and sight.label is None:
            lives[path.rpartition("/")[0]].append(path)
    found: dict[str, Mapping[str, Guess]] = {}
    for paths in lives.values():
        ordered = sorted(paths, key=lambda path: (sequence_of(files[path].name.stem) or (), path))
        if len(ordered) >= _LEAST_LIFE:
            for number, path in enumerate(ordered):
                found[path] = {"label": Guess(_LIFE[3 * number // len(ordered)], _LIFE_WHY)}
    return found
