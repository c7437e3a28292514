"""Colours of labels and verdicts: a label has the same colour in every picture and view.

A healthy machine is green, UNKNOWN black and a window without a verdict grey, as `drsn_edge.verdicts` fixes. The hue of
a fault comes from the kind that its label names (`outer_race`, `OR007` and `outer_heavy` share a hue), or from the text
of a label that names none; shades tell the labels of one kind apart. No fault is green or grey.

Source of the hues: P. Tol, "Colour Schemes", SRON/EPS/TN/09-002, issue 3.2, scheme "bright" without its green and grey
with the wine of "muted": people who confuse red and green can tell them apart, and also from this dark green.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from zlib import crc32

from drsn_edge.verdicts import HEALTHY_COLOUR, NO_CLASS, VERDICTS

HEALTHY_LABELS = ("healthy", "normal", "good", "ok")
"""Labels that count as healthy if nobody says which label is."""

_RED, _PURPLE, _BLUE, _YELLOW, _CYAN, _WINE = "#ee6677", "#aa3377", "#4477aa", "#ccbb44", "#66ccee", "#882255"
_KINDS: tuple[tuple[str, str], ...] = (
    (r"outer(?:_race)?|^or(?=\d)", _RED),
    (r"inner(?:_race)?|^ir(?=\d)", _PURPLE),
    (r"ball|roller|^b(?=\d)", _YELLOW),
    (r"(?:im|un)balanced?", _BLUE),
    (r"misalign(?:ment|ed)?", _CYAN),
    (r"bent(?:_shaft)?|looseness|loose|cage|gear", _WINE),
)
_HUES = (_RED, _PURPLE, _BLUE, _YELLOW, _CYAN, _WINE)
_SHADES = (0.0, 0.45, -0.35, 0.7, -0.55)
"""Towards white where positive, towards black where negative."""
_SEVERITIES = {"verylight": 3, "light": 1, "slight": 1, "heavy": 2, "severe": 2, "veryheavy": 4}
"""Index of the shade for each word of a fault's size: a light fault has a lighter shade."""
_BY_SIZE = (3, 2, 0, 1)
"""Index of the shade for a number modulo 4: 007, 014 and 021 get darker."""


def is_healthy(label: str) -> bool:
    """Tell whether a label means a healthy machine."""
    return label.casefold() in HEALTHY_LABELS


def colours_of(states: Iterable[str]) -> dict[str, str]:
    """Return a colour, `#rrggbb`, for each state: labels, and the names of the verdicts that are not a class.

    If the texts of two labels give the same colour, the later label in alphabetical order gets the next free shade of
    the hue.

    Args:
        states: The states in any order; the result is sorted, labels first.
    """
    fixed = {verdict.value: VERDICTS[verdict].colour or "" for verdict in NO_CLASS}
    wanted = set(states)
    colours: dict[str, str] = {}
    for label in sorted(wanted - set(fixed)):
        colours[label] = HEALTHY_COLOUR if is_healthy(label) else _free(label, colours)
    return colours | {name: colour for name, colour in fixed.items() if name in wanted}


def _free(label: str, taken: Mapping[str, str]) -> str:
    hue, first = _hue_and_shade(label)
    shades = [_shaded(hue, share) for share in (*_SHADES[first:], *_SHADES[:first])]
    return next((shade for shade in shades if shade not in taken.values()), shades[0])


def _hue_and_shade(label: str) -> tuple[str, int]:
    """Return the hue of a label's kind, and the index of a shade from the rest of it, such as `heavy` or `007`."""
    text = label.casefold()
    for pattern, hue in _KINDS:
        kind = re.search(pattern, text)
        if kind:
            return hue, _shade("".join(re.findall(r"[a-z]+|[0-9]+", text.replace(kind[0], ""))))
    return _HUES[_hash(text) % len(_HUES)], 0


def _shade(rest: str) -> int:
    if rest.isdigit():
        return _BY_SIZE[int(rest) % 4]
    return _SEVERITIES.get(rest, _hash(rest) % len(_SHADES) if rest else 0)


def _hash(text: str) -> int:
    return crc32(text.encode())


def _shaded(colour: str, share: float) -> str:
    towards = 255 if share > 0 else 0
    parts = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return "#" + "".join(f"{round(part + abs(share) * (towards - part)):02x}" for part in parts)
