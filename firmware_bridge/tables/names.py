"""Names of columns as programs write them: the name, its unit, and whether it is that of a clock or a counter."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Seconds per unit of time."""
LONG_TIME_UNITS = {"min": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds per unit that is believed only where brackets or a word behind `time` state it: `min` is also a minimum."""

_TIME_SPELLINGS = {
    "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "sekunden": "s", "sek": "s",
    "ms": "ms", "msec": "ms", "millis": "ms", "milli": "ms", "millisecond": "ms", "milliseconds": "ms",
    "us": "us", "usec": "us", "micros": "us", "micro": "us", "microsecond": "us", "microseconds": "us", "µs": "us",
    "ns": "ns", "nsec": "ns", "nanos": "ns", "nano": "ns", "nanosecond": "ns", "nanoseconds": "ns",
}  # fmt: skip
_LONG_SPELLINGS = {
    "min": "min", "mins": "min", "minute": "min", "minutes": "min", "minuten": "min",
    "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "stunden": "h",
    "d": "d", "day": "d", "days": "d", "tag": "d", "tage": "d",
}  # fmt: skip
_TIMES = _words("t time elapsed zeit temps tiempo tempo tijd")
_PLURALS = _words("mins minutes minuten hrs hours stunden days tage")
"""Long units that are believed alone; one minute may also be a part of the time of day."""
_ACCELERATION = _words(
    "g mg ug gn g0 gs m/s2 m/s^2 m/s**2 m/s/s mps2 mpss ms-2 ms^-2 m*s-2 m*s^-2 mm/s2 mm/s^2 mm/s**2 cm/s2 "
    "cm/s^2 m/sec2 m/sec^2 m/(s^2) m/(s2)"
)
_OTHER_UNITS = _words(
    "v mv uv volt volts a ma n kn nm pa kpa mpa bar mbar hpa deg rad deg/s rad/s dps °/s mdps c k f °c °f degc "
    "ut t gauss rpm hz khz 1/min u/min % db pc lsb counts raw mm um m mm/s m/s eu none - pe ue µe strain w"
)
_NO_UNITS = _words("none - raw counts lsb k c m t")
"""Spellings among those that say nothing, or that may also belong to a clock or counter."""
_SUFFIX = re.compile(r"(.+?)_(g|mg|mps2|ms2|m/s2|m/s\^2|m/s²|mm/s2|mmps2|dps|deg/s|rad/s|degc|mv|v)", re.IGNORECASE)
_BRACKETS = re.compile(r"([^\[({<]*)[\[({<]([^\])}>]{1,20}(?:\([^)]{1,8}\)[^\])}>]{0,8})?)[\])}>]?\)?\s*(.{0,40})")
_SLASH = re.compile(r"(.+?)\s+(?:/|in)\s+(\S{1,12})")
_G_FORCE = re.compile(r"gF[xyz]")
"""Axes of a phone's app that names its unit and nothing else."""
_TIME_SLASH = re.compile(r"(t|time|zeit)/([a-z]{1,12})", re.IGNORECASE)
_PLAIN = {"ms2": "m/s2", "mmps2": "mm/s2"}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+|#")

CLOCKS = _words(
    "time timestamp timestamps date datetime day days month year hour hours minute minutes min mins epoch utc millis "
    "minuten stunden tage micros nanos zeit uhrzeit datum zeitstempel temps tiempo tempo tijd clock elapsed stamp tick "
    "ticks sekunden"
)
"""Words that only a clock is named by."""
COUNTERS = _words("index idx seq sequence counter cnt unnamed")
"""Words that only a counter is named by."""
PERHAPS = _words(
    "t ts s sec secs second seconds ms us ns msec usec n i k h m no nr num number # count counts sample "
    "samples row line id frame packet record scan punkt messpunkt point points"
)
"""Words that name a clock or a counter if the values also say so."""
_BESIDES = _words(
    "device host local system relative rel abs absolute start gps unix sensor sampling value stempel of since "
    "the in num number no nr id s ms us ns sec secs msec usec second seconds millisecond milliseconds "
    "microsecond microseconds nanoseconds micro milli nano sample samples time index count counter 0"
)


@dataclass(frozen=True)
class Name:
    """The name of a column.

    Attributes:
        text: Name without unit, quotes and the signs of comments.
        unit: Unit as written; empty if none is stated.
    """

    text: str
    unit: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the name in lower case: `time`, `stamp` for timeStamp."""
        return tuple(word.lower() for word in _WORDS.findall(self.text))

    @property
    def time_unit(self) -> str:
        """Unit of time that brackets or a word of the name state; empty if none."""
        unit, own = self.unit.lower().strip("."), self.words
        long = unit or (own[-1] if own and (own[0] in _TIMES or own[-1] in _PLURALS) else "")
        if long in _LONG_SPELLINGS:
            return _LONG_SPELLINGS[long]
        return next((_TIME_SPELLINGS[word] for word in (unit, *reversed(own)) if word in _TIME_SPELLINGS), "")

    def is_only(self, words: frozenset[str]) -> bool:
        """Tell whether the name has one of these words, and otherwise only words that say which clock it is."""
        own = self.words
        known = words | _BESIDES
        return any(word in words for word in own) and all(word in known for word in own)


def plain(text: str) -> str:
    """Return a unit in its plain spelling: `m/s^2` for `m / s²`."""
    folded = unicodedata.normalize("NFKC", text).replace("−", "-").replace("·", "*").replace("μ", "u").replace("µ", "u")
    return "".join(folded.split())


def is_acceleration(unit: str) -> bool:
    """Tell whether a unit is one of acceleration."""
    return plain(unit).lower() in _ACCELERATION and plain(unit) != "G"  # G is gauss


def is_unit(text: str) -> bool:
    """Tell whether a text is a unit, in brackets or not: a line of units stands below one of names."""
    bare = plain(text).strip("[](){}<>").lower()
    return bare in _ACCELERATION or bare in _OTHER_UNITS or bare in _TIME_SPELLINGS or bare in _LONG_SPELLINGS


def is_of_others(unit: str) -> bool:
    """Tell whether a unit is one of a quantity that is neither acceleration nor time, such as °C or kN."""
    bare = plain(unit).lower()
    return bare in _OTHER_UNITS - _NO_UNITS


def name_of(written: str, unit: str = "") -> Name:
    """Return name and unit of a column.

    Args:
        written: Name as the file has it, such as `Acceleration x (m/s^2)`, `x_g` or `X [g]`.
        unit: Unit from a line of units, which comes first.
    """
    text = written.strip().strip("\"'").lstrip("#%").strip()
    if unit := unit.strip().strip("[](){}<>"):
        return Name(text, unit)
    if (found := _BRACKETS.fullmatch(text)) and (found[1].strip() or found[3].strip()):
        inside = found[2].strip()
        bare = " ".join((found[1].strip() + " " + found[3].strip()).split())
        return Name(bare, inside) if is_unit(inside) else Name(text)
    if _G_FORCE.fullmatch(text):
        return Name(text, "g")
    if found := _SUFFIX.fullmatch(text):
        return Name(found[1], _PLAIN.get(found[2].lower(), found[2]))
    found = _SLASH.fullmatch(text) or _TIME_SLASH.fullmatch(text)
    if found and is_unit(found[2]):
        return Name(found[1], found[2])
    return Name(text)
