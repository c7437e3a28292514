"""Catalogues: a file `catalogue.toml` beside the recordings, which states what the recordings do not state themselves.

    confirmed = true                # false marks a catalogue of guesses, which no training uses

    [defaults]                      # for every recording
    unit = "g"
    axes = ["X", "Y", "Z"]

    [[recordings]]                  # for the recordings that meet all conditions of the entry
    file = "pump_*.wav"             # a file name, a path such as "fault/*.csv", a glob, or a list of these
    where = {load_hp = [0, 1]}      # a value, or a list of values, that the file or an earlier entry states
    pattern = "pump_(?P<label>[a-z]+)_(?P<rpm>[0-9]+)"   # reads values from the file name
    sample_rate_hz = 12800
    full_scale = 16.0

The keys are those of `drsn_edge.recordings.metadata.RESERVED_KEYS` and the names of free fields, which hold a scalar.
Later entries override earlier entries and the defaults. A `file` or a `pattern` with a `/` is compared with the path
below the catalogue's folder, any other with the file's name alone. A `file` such as `all.h5#0` is for one capture. A
built-in catalogue also names the key that identifies its data set: `[recognise] key = "cwru_file"`. A user's catalogue
may have that section, without any effect, so that a copy of a built-in catalogue can be edited.
`drsn_edge.recordings.loading.catalogue_csv` reads catalogues that are tables.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.patterns import NamePattern, PatternError
from drsn_edge.recordings.metadata import NUMBER_KEYS, RESERVED_KEYS, Metadata, MetadataValue, checked
from drsn_edge.recordings.recording import FieldValue
from drsn_edge.support.toml_file import Document, parse_document, read_document

CATALOGUE_NAME = "catalogue.toml"

_CONFIRMED = "confirmed"
_SECTIONS = {"recognise": dict, "defaults": dict, "recordings": list}
_HEADERS = {"recognise": "[recognise]", "defaults": "[defaults]", "recordings": "[[recordings]]"}
_WILDCARDS = frozenset("*?[")
_FOR_ALL = frozenset({"*", "**", "**/*"})
_OF_CAPTURE = re.compile(r"(?<=.)#[0-9*?\[\]!-]{1,60}\Z", re.DOTALL)
_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?")  # int() refuses longer numbers, float() makes them infinite


@dataclass(frozen=True)
class Entry:
    """Values for the recordings that meet all conditions of the entry; an entry without a condition is for all."""

    source: str
    values: Metadata
    globs: tuple[str, ...] = ()
    where: Mapping[str, tuple[FieldValue, ...]] = field(default_factory=dict)
    pattern: NamePattern | None = None

    @property
    def states_label(self) -> bool:
        """Whether the entry says the label of the recordings that it is for."""
        return "label" in self.values or (self.pattern is not None and "label" in self.pattern.groups)

    def is_for(self, path: str, capture: int | None = None) -> bool:
        """Tell whether the entry is for a file by its name or path, or a capture of it, without `where`."""
        of_captures = () if capture is None else (glob for glob in self.globs if "#" in glob)
        return (
            not self.globs
            or any(_matches(glob, path) for glob in self.globs)
            or any(_matches(glob, f"{path}#{capture}") for glob in of_captures)
        )

    def names(self, path: str) -> bool:
        """Tell whether the entry is for a file, or for some captures of it, without its condition `where`."""
        return self.is_for(path) or any("#" in glob and _matches(_of_file(glob), path) for glob in self.globs)


@dataclass(frozen=True)
class Catalogue:
    """Entries in order of rising precedence, the defaults first.

    Attributes:
        source: File that the catalogue was read from, or the name of a built-in catalogue.
        recognise: Key of the recordings that a built-in catalogue is for; None in other catalogues.
        is_confirmed: False if the catalogue holds guesses that no person has confirmed.
    """

    source: str
    entries: tuple[Entry, ...]
    recognise: str | None = None
    is_confirmed: bool = True

    def entries_for(self, path: str, capture: int | None = None) -> Iterator[Entry]:
        """Yield the entries that are for a file by its name or path, or a capture of it, by rising precedence."""
        return (entry for entry in self._candidates(path) if entry.is_for(path, capture))

    def entries_naming(self, path: str) -> Iterator[Entry]:
        """Yield the entries that are for a file or for some captures of it."""
        return (entry for entry in self._candidates(path) if entry.names(path))

    def _candidates(self, path: str) -> Iterator[Entry]:
        by_key, others = self._index
        keys = dict.fromkeys((path, _name_of(path), path.partition("/")[0] + "/"))
        found = (number for key in keys for number in by_key.get(key, ()))
        yield from (self.entries[number] for number in sorted({*found, *others}))

    def names(self, path: str) -> bool:
        """Tell whether an entry names the file, alone or by a glob; the glob `*`, for all files, does not count."""
        return any(
            glob not in _FOR_ALL and _matches(glob, path)
            for entry in self._candidates(path)
            for each in entry.globs
            for glob in ({each, _of_file(each)} if "#" in each else (each,))
        )

    @cached_property
    def _index(self) -> tuple[Mapping[str, list[int]], tuple[int, ...]]:
        """Numbers of the entries by plain path or by first folder (`fault/`), and of all others.

        A table of 20,000 files, or of 200 folders, is looked up without trying every entry on every file.
        """
        by_key: dict[str, list[int]] = {}
        others = []
        for number, entry in enumerate(self.entries):
            keys = {_key_of(glob) for each in entry.globs for glob in (each, _of_file(each))} or {None}
            if None in keys:
                others.append(number)
                continue
            for key in keys:
                by_key.setdefault(key or "", []).append(number)
        return by_key, tuple(others)


def _of_file(glob: str) -> str:
    """Return the glob of the file for one of its captures, such as `all.h5` for `all.h5#0`."""
    return _OF_CAPTURE.sub("", glob)


def _key_of(glob: str) -> str | None:
    """Return the path that a glob without wildcards is, else its first folder; None if that has wildcards."""
    if not _WILDCARDS & set(glob):
        return glob
    first, slash, _ = glob.partition("/")
    return first + slash if slash and not _WILDCARDS & set(first) else None


def _name_of(path: str) -> str:
    return path.rpartition("/")[2]


def _matches(glob: str, path: str) -> bool:
    """Compare a glob with a path if it has a slash, else with the name; `**/` also stands for no folder at all."""
    subject = path if "/" in glob else _name_of(path)
    return subject == glob or _compiled(glob).match(subject) is not None


@lru_cache(maxsize=4096)
def _compiled(glob: str) -> re.Pattern[str]:
    either = dict.fromkeys((glob, glob.replace("**/", "")))
    return re.compile("|".join(translate(each) for each in either))


def read_catalogue(path: Path) -> Catalogue:
    """Read a catalogue file.

    Raises:
        RecordingError: If the file is missing, unreadable, not TOML (with the line), or has a wrong section or value.
    """
    return _catalogue(read_document(path, "a catalogue", RecordingError))


@cache
def built_in_catalogues() -> tuple[Catalogue, ...]:
    """Return the catalogues that come with the package."""
    resources = [item for item in files("drsn_edge.recordings").joinpath("catalogues").iterdir() if item.is_file()]
    return tuple(
        parse_catalogue(item.read_text(encoding="utf-8"), f"built-in {item.name}")
        for item in sorted(resources, key=lambda item: item.name)
        if item.name.endswith(".toml")
    )


def parse_catalogue(text: str, source: str) -> Catalogue:
    """Parse a catalogue that errors call `source`. Raises RecordingError as `read_catalogue` does."""
    return _catalogue(parse_document(text, source, RecordingError))


def _catalogue(document: Document) -> Catalogue:
    source, values = document.source, document.values
    is_confirmed = _is_confirmed(values.pop(_CONFIRMED, True), document)
    for section, content in values.items():
        if section not in _SECTIONS:
            raise RecordingError(
                f"{source}: {section!r} is not a section of a catalogue. Put its keys under [defaults] or "
                "[[recordings]].",
                "unknown_section",
                place=source,
                section=section,
            )
        if not isinstance(content, _SECTIONS[section]):
            raise RecordingError(
                f"{source}: the section {section!r} is of the wrong kind. Write it as {_HEADERS[section]}.",
                "wrong_section",
                place=source,
                section=section,
            )
    defaults = Entry(source, _values(values.get("defaults", {}), f"{source}, [defaults]"))
    entries = [
        _entry(table, f"{source}, [[recordings]] number {number}")
        for number, table in enumerate(values.get("recordings", []), start=1)
    ]
    return Catalogue(source, (defaults, *entries), values.get("recognise", {}).get("key"), is_confirmed)


def _is_confirmed(value: object, document: Document) -> bool:
    if not isinstance(value, bool):
        place, got = document.place(_CONFIRMED), reprlib.repr(value)
        words = f"{place}: confirmed must be true or false, got {got}. Correct it there."
        raise RecordingError(words, "wrong_value", place=place, key=_CONFIRMED, expected="true or false", got=got)
    return value


def values_for(catalogue: Catalogue, path: str, stated: Metadata, capture: int | None = None) -> Metadata:
    """Return the values that a catalogue states for a recording.

    Args:
        catalogue: The catalogue.
        path: Path of the recording's file below the catalogue's folder, with `/` between its parts.
        stated: Values that are already known, for the condition `where`.
        capture: Number of the recording among the captures of its file; None if it is not known, or the only one.

    Raises:
        RecordingError: If the pattern of an entry does not match the name of a file that the entry is for.
    """
    values: dict[str, MetadataValue] = {}
    for entry in catalogue.entries_for(path, capture):
        known = {**stated, **values}
        if all(known.get(key) in allowed for key, allowed in entry.where.items()):
            values.update(entry.values)
            values.update(_read_name(entry, path))
    return values


def _values(table: Mapping[str, object], source: str) -> Metadata:
    if _CONFIRMED in table:
        words = f"{source} cannot be confirmed alone. Move the line {_CONFIRMED} to the top of the file."
        raise RecordingError(words, "misplaced_condition", place=source, key=_CONFIRMED)
    misplaced = {"file", "where", "pattern"} & table.keys()
    if misplaced:
        key = min(misplaced)
        raise RecordingError(
            f"{source} takes values only, not the condition {key!r}. Move it under [[recordings]].",
            "misplaced_condition",
            place=source,
            key=key,
        )
    return {key: checked(key, value, source) for key, value in table.items()}


def _entry(table: object, source: str) -> Entry:
    if not isinstance(table, dict) or not {"file", "where"} & table.keys():
        raise RecordingError(
            f'{source} does not say which recordings it is for. Add file = "glob" or where = {{key = value}}, or move '
            "its values to [defaults], which is for all recordings.",
            "no_condition",
            place=source,
        )
    conditions = {key: table.pop(key) for key in ("file", "where", "pattern") if key in table}
    values = _values(table, source)
    return Entry(
        source,
        values,
        _globs(conditions.get("file", ()), source),
        _where(conditions.get("where", {}), source),
        _pattern(conditions["pattern"], values, source) if "pattern" in conditions else None,
    )


def _globs(value: object, source: str) -> tuple[str, ...]:
    globs = (value,) if isinstance(value, str) else value
    if not isinstance(globs, (tuple, list)) or not all(isinstance(glob, str) for glob in globs):
        raise _wrong_condition("file", 'file = "glob" or a list of globs', value, source)
    return tuple(globs)


def _where(value: object, source: str) -> Mapping[str, tuple[FieldValue, ...]]:
    if not isinstance(value, dict):
        raise _wrong_condition("where", "where = {key = value}", value, source)
    return {key: _alternatives(key, allowed, source) for key, allowed in value.items()}


def _alternatives(key: str, allowed: Any, source: str) -> tuple[FieldValue, ...]:
    alternatives = tuple(allowed) if isinstance(allowed, list) else (allowed,)
    if not alternatives or not all(isinstance(value, (str, int, float, bool)) for value in alternatives):
        raise _wrong_condition(f"where.{key}", f"where = {{{key} = value}} or a list of values", allowed, source)
    return alternatives


def _wrong_condition(key: str, form: str, got: object, source: str) -> RecordingError:
    return RecordingError(
        f"{source}: a condition must have the form {form}, got {got!r}. Correct it there.",
        "wrong_condition",
        place=source,
        key=key,
        got=reprlib.repr(got),
    )


def _pattern(text: object, values: Metadata, source: str) -> NamePattern:
    shown = reprlib.repr(text)
    try:
        pattern = NamePattern(text if isinstance(text, str) else "(")
    except PatternError as exc:
        raise RecordingError(
            f"{source}: pattern {shown} is not a usable regular expression: {exc}. Correct it there.",
            exc.problem,
            place=source,
            pattern=shown,
        ) from exc
    if not pattern.groups:
        raise RecordingError(
            f"{source}: pattern {shown} has no named group such as (?P<label>...). Add one for each value to read.",
            "no_named_group",
            place=source,
            pattern=shown,
        )
    twice = pattern.groups & {"axes", *values}
    if twice:
        key = min(twice)
        why = "axes cannot be read from a file name" if key == "axes" else f"the entry also has a line for {key}"
        raise RecordingError(
            f"{source}: pattern {shown} has a group {key!r}, but {why}. Remove the group.",
            "group_not_allowed",
            place=source,
            pattern=shown,
            key=key,
        )
    return pattern


def _read_name(entry: Entry, path: str) -> Metadata:
    if entry.pattern is None:
        return {}
    file_name = path if "/" in entry.pattern.text else _name_of(path)
    try:
        values = entry.pattern.read(file_name)
    except PatternError as exc:
        shown = reprlib.repr(entry.pattern.text)
        raise RecordingError(
            f"{entry.source}: pattern {shown} could not be matched with a file name: {exc}. Write the pattern without "
            "a repeat inside a repeat, such as (a+)+, and without alternatives that begin alike.",
            exc.problem,
            place=entry.source,
            pattern=shown,
            name=file_name,
        ) from exc
    if values is None:
        raise RecordingError(
            f"{entry.source}: pattern {entry.pattern.text!r} does not match the file name {file_name!r}. Correct the "
            "pattern, or narrow the entry's file.",
            "pattern_no_match",
            place=entry.source,
            pattern=entry.pattern.text,
            name=file_name,
        )
    found = {key: text for key, text in values.items() if text is not None}
    return {key: checked(key, number_or_text(key, text), entry.source) for key, text in found.items()}


def number_or_text(key: str, text: str) -> FieldValue:
    """Return a number if the text is one; names stay text, so that the label "007" does not become 7."""
    if key in RESERVED_KEYS - NUMBER_KEYS or not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)
