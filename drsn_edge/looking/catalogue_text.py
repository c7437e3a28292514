"""A proposal as the text of a `catalogue.toml`: guesses with their origin in, TOML with comments out."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence

from drsn_edge.looking.globs import globs_for, has_wildcard
from drsn_edge.looking.names import Guess
from drsn_edge.looking.proposal import Proposal
from drsn_edge.support.toml_file import quoted
from drsn_edge.support.wording import counted
from firmware_bridge.support.shown import printable

_HEAD = """\
# Guesses of `drsn-edge look` from names, folders, headers and samples.
# Check every line, correct what is wrong, then set confirmed to true. `train` refuses until then.
confirmed = false
"""
_MANY = 50
_LONGEST_WHY = 70
_WIDEST = 100
_ORDER = ("format", "variable", "sample_rate_hz", "unit", "full_scale", "axes", "label", "group")

FILL_IN: Mapping[str, str] = {
    "sample_rate_hz": "# sample_rate_hz = 0   # FILL IN the sampling rate in Hz",
    "unit": '# unit = "g"   # FILL IN "g", "mg" or "m/s2", or a name such as "counts", which is never converted',
    "axes": '# axes = [""]   # FILL IN one name for each channel, in the order of the file',
    "full_scale": "# full_scale = 0   # FILL IN the acceleration, in the unit above, at the file's full scale",
    "label": '# label = ""   # FILL IN the condition of the machine: the class',
}
"""A line to complete for each key that nothing suggests: a comment, so that the catalogue can be read as it is."""
_LABELS_SHOWN = 2
"""Most entries that show how files of different conditions get their labels."""


def catalogue_text(proposal: Proposal) -> str:
    """Return the text of the proposed catalogue."""
    paths = [*proposal.guesses, *proposal.other_paths]
    defaults, entries = _sorted_out(proposal)
    parts = [_HEAD]
    if defaults:
        parts.append("\n".join(["[defaults]", *defaults, ""]))
    for wanted, lines in entries.items():
        parts += [_entry(globs, lines) for globs in _split(globs_for(wanted, paths))]
    return "\n".join([*parts, *_labels_to_fill_in(proposal.missing.get("label", ()))])


def _labels_to_fill_in(paths: Sequence[str]) -> list[str]:
    """Return entries as comments for the first and the last of several files without a label."""
    if len(paths) < _LABELS_SHOWN:
        return []
    entries = [_entry([glob.escape(path)], ['label = ""']) for path in (paths[0], paths[-1])]
    lines = [f"# {line}".rstrip() for line in "\n".join(entries).splitlines()]
    return [f"# FILL IN the condition of each machine, in such entries for all {len(paths)} files:", *lines, ""]


_Entries = dict[frozenset[str], list[str]]


def _sorted_out(proposal: Proposal) -> tuple[list[str], _Entries]:
    """Return the lines that hold for all files, and those for sets of files, the largest set first."""
    every = frozenset(proposal.guesses)
    defaults: list[str] = []
    entries: _Entries = {}
    for key in _keys(proposal):
        for guess, wanted in _by_value(proposal, key):
            to = defaults if wanted == every and key not in _NEVER_DEFAULT else entries.setdefault(wanted, [])
            to.append(f"{key} = {_toml(guess)}   # {printable(guess.why, _LONGEST_WHY)}")
    for key, missing in proposal.missing.items():
        if key == "label" and len(missing) > 1:
            continue
        if frozenset(missing) == every:
            defaults.append(FILL_IN[key])
        else:
            entries.setdefault(frozenset(missing), []).append(FILL_IN[key])
    return defaults, dict(sorted(entries.items(), key=lambda item: (-len(item[0]), min(item[0]))))


_NEVER_DEFAULT = frozenset({"format"})
"""A file without a suffix is read only if an entry names it."""


def _keys(proposal: Proposal) -> list[str]:
    keys = {key for guesses in proposal.guesses.values() for key in guesses}
    return [*(key for key in _ORDER if key in keys), *sorted(keys - set(_ORDER))]


def _by_value(proposal: Proposal, key: str) -> list[tuple[Guess, frozenset[str]]]:
    """Return the files of each value in the order of the first file; the first origin of a value stands for all."""
    found: dict[object, tuple[Guess, list[str]]] = {}
    for path, guesses in proposal.guesses.items():
        if key in guesses:
            found.setdefault(guesses[key].value, (guesses[key], []))[1].append(path)
    return [(guess, frozenset(paths)) for guess, paths in found.values()]


def _split(globs: Sequence[str]) -> list[Sequence[str]]:
    """Return plain paths and globs apart: plain paths are looked up, globs are tried one by one."""
    plain = [each for each in globs if not has_wildcard(each)]
    if len(plain) < _MANY:
        return [globs]
    return [part for part in (plain, [each for each in globs if has_wildcard(each)]) if part]


def _entry(globs: Sequence[str], lines: Sequence[str]) -> str:
    names = [quoted(each) for each in globs]
    shown = names[0] if len(names) == 1 else _list(names)
    return "\n".join(["[[recordings]]", f"file = {shown}", *lines, ""])


def _list(names: Sequence[str]) -> str:
    on_one = f"[{', '.join(names)}]"
    if len(on_one) <= _WIDEST:
        return on_one
    rows: list[str] = []
    for name in names:
        if rows and len(rows[-1]) + len(name) + 2 <= _WIDEST:
            rows[-1] += f" {name},"
        else:
            rows.append(f"    {name},")
    return "\n".join(["[", *rows, "]"])


def _toml(guess: Guess) -> str:
    value = guess.value
    if isinstance(value, tuple):
        return f"[{', '.join(map(quoted, value))}]"
    return quoted(value) if isinstance(value, str) else repr(value)


def missing_text(proposal: Proposal) -> list[str]:
    """Return a line for each key that is missing, and the TOML that would state it."""
    lines = []
    for key, paths in proposal.missing.items():
        first = printable(paths[0], 60)
        such = first if len(paths) == 1 else f"{counted(len(paths), 'file')}, such as {first}"
        line = FILL_IN[key].removeprefix("# ")
        if key == "label" and len(paths) >= _LABELS_SHOWN:
            line = f'[[recordings]] with file = "{first}" and label = "", and such an entry for each other condition'
        lines += [f"{key}: {such}", f"    {line}"]
    return lines
