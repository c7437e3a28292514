"""Catalogues: what recordings do not say themselves, written beside them in `catalogue.toml`.

    [defaults]                      # for every recording
    unit = "g"
    axes = ["X", "Y", "Z"]

    [[recordings]]                  # for those that meet all conditions of the entry
    file = "pump_*.wav"             # the file's name, or glob, or list of these
    where = {load_hp = [0, 1]}      # value, or list of values, of what file and earlier entries state
    pattern = "pump_(?P<label>[a-z]+)_(?P<rpm>[0-9]+)"   # reads values from the file's name
    sample_rate_hz = 12800
    full_scale = 16.0

Keys are those of `drsn_edge.recordings.metadata.RESERVED_KEYS` and any further scalar field. Later entries win over
earlier ones and over the defaults. A built-in catalogue also names the key by which its data set is recognised:
`[recognise] key = "cwru_file"`; elsewhere that section has no effect, so that a copy of a built-in one can be edited.
The same as a table: `drsn_edge.recordings.loading.catalogue_csv`.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.patterns import NamePattern, PatternError
from drsn_edge.recordings.metadata import RESERVED_KEYS, Metadata, MetadataValue, checked
from drsn_edge.recordings.recording import FieldValue
from drsn_edge.support.toml_file import Document, parse_document, read_document

CATALOGUE_NAME = "catalogue.toml"

_SECTIONS = {"recognise": dict, "defaults": dict, "recordings": list}
_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?")  # longer ones int() refuses, or float() calls infinite


@dataclass(frozen=True)
class Entry:
    """Values for the recordings that meet all conditions; no condition means every recording."""

    source: str
    values: Metadata
    globs: tuple[str, ...] = ()
    where: Mapping[str, tuple[FieldValue, ...]] = field(default_factory=dict)
    pattern: NamePattern | None = None


@dataclass(frozen=True)
class Catalogue:
    """Entries in order of rising precedence, the defaults first.

    Attributes:
        source: File it was read from, or the name of a built-in one.
        recognise: A built-in catalogue serves recordings that have this key.
    """

    source: str
    entries: tuple[Entry, ...]
    recognise: str | None = None


def read_catalogue(path: Path) -> Catalogue:
    """Read a catalogue file.

    Raises:
        RecordingError: If it is missing, unreadable, no TOML (with its line), or has a section or value it may not.
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
    """Parse a catalogue; `source` names it in errors. Raises RecordingError as `read_catalogue` does."""
    return _catalogue(parse_document(text, source, RecordingError))


def _catalogue(document: Document) -> Catalogue:
    source, values = document.source, document.values
    for section, content in values.items():
        if not isinstance(content, _SECTIONS.get(section, ())):
            raise RecordingError(
                f"{source}: Expected [defaults] and [[recordings]], got {section!r}"
                f"{' as another kind of section' if section in _SECTIONS else ''}. Put its keys under one of them."
            )
    defaults = Entry(source, _values(values.get("defaults", {}), f"{source}, [defaults]"))
    entries = [
        _entry(table, f"{source}, [[recordings]] number {number}")
        for number, table in enumerate(values.get("recordings", []), start=1)
    ]
    return Catalogue(source, (defaults, *entries), values.get("recognise", {}).get("key"))


def values_for(catalogue: Catalogue, file_name: str, stated: Metadata) -> Metadata:
    """Return what a catalogue says about a recording.

    Args:
        catalogue: Where to look.
        file_name: Name of the recording's file, without folders.
        stated: What is known of the recording already, for `where`.

    Raises:
        RecordingError: If a pattern does not match the name of a file that its entry is for.
    """
    values: dict[str, MetadataValue] = {}
    for entry in catalogue.entries:
        if _applies(entry, file_name, {**stated, **values}):
            values.update(entry.values)
            values.update(_read_name(entry, file_name))
    return values


def _values(table: Mapping[str, object], source: str) -> Metadata:
    misplaced = {"file", "where", "pattern"} & table.keys()
    if misplaced:
        raise RecordingError(f"{source}: Expected values only, got {min(misplaced)!r}. Move it under [[recordings]].")
    return {key: checked(key, value, source) for key, value in table.items()}


def _entry(table: object, source: str) -> Entry:
    if not isinstance(table, dict) or not {"file", "where"} & table.keys():
        raise RecordingError(
            f'{source}: Expected file = "glob" or where = {{key = value}}, got neither. Use [defaults] for all files.'
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
        raise RecordingError(f'{source}: Expected file = "glob" or a list of globs, got {value!r}.')
    return tuple(globs)


def _where(value: object, source: str) -> Mapping[str, tuple[FieldValue, ...]]:
    if not isinstance(value, dict):
        raise RecordingError(f"{source}: Expected where = {{key = value}}, got {value!r}.")
    return {key: _alternatives(key, allowed, source) for key, allowed in value.items()}


def _alternatives(key: str, allowed: Any, source: str) -> tuple[FieldValue, ...]:
    alternatives = tuple(allowed) if isinstance(allowed, list) else (allowed,)
    if not alternatives or not all(isinstance(value, (str, int, float, bool)) for value in alternatives):
        raise RecordingError(f"{source}: Expected where = {{{key} = value}} or a list of values, got {allowed!r}.")
    return alternatives


def _pattern(text: object, values: Metadata, source: str) -> NamePattern:
    try:
        pattern = NamePattern(text if isinstance(text, str) else "(")
    except PatternError as exc:
        raise RecordingError(
            f"{source}: Expected pattern to be a regular expression, got {reprlib.repr(text)}: {exc}."
        ) from exc
    twice = pattern.groups & {"axes", *values}
    if twice or not pattern.groups:
        raise RecordingError(
            f"{source}: Expected pattern to have named groups (?P<label>...) for keys the entry does not give, "
            f"got {min(twice) if twice else 'none'}."
        )
    return pattern


def _applies(entry: Entry, file_name: str, known: Metadata) -> bool:
    is_named = not entry.globs or any(file_name == glob or fnmatchcase(file_name, glob) for glob in entry.globs)
    return is_named and all(known.get(key) in allowed for key, allowed in entry.where.items())


def _read_name(entry: Entry, file_name: str) -> Metadata:
    if entry.pattern is None:
        return {}
    try:
        values = entry.pattern.read(file_name)
    except PatternError as exc:
        raise RecordingError(
            f"{entry.source}: Expected pattern {reprlib.repr(entry.pattern.text)} to read a file's name, {exc}. "
            "Write it without a repeat inside a repeat, such as (a+)+, or alternatives that begin alike."
        ) from exc
    if values is None:
        raise RecordingError(
            f"{entry.source}: Expected pattern {entry.pattern.text!r} to match {file_name!r}, got no match. "
            "Correct it, or narrow the entry's file."
        )
    found = {key: text for key, text in values.items() if text is not None}
    return {key: checked(key, number_or_text(key, text), entry.source) for key, text in found.items()}


def number_or_text(key: str, text: str) -> FieldValue:
    """Return a number where the text is one; names stay text, so that the label "007" is not 7."""
    if key in RESERVED_KEYS - {"sample_rate_hz", "full_scale"} or not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)
