"""What the names of files and folders say: conditions, machines and sessions, speeds, loads and sampling rates."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PART = re.compile(r"[A-Za-z0-9.]+")

_HEALTHY = "healthy normal baseline good ok undamaged intact nominal"
_PARTS = (
    "inner outer ball roller rolling cage race raceway gear tooth teeth shaft rotor rotating bearing belt blade bar"
)
_FAULTS = (
    "fault faults faulty damage damaged defect defective failure failed broken worn wear worndown bad anomaly abnormal "
    "imbalance imbalanced unbalance unbalanced misalign misaligned misalignment looseness loose bent bend bowed crack "
    "cracked chip chipped missing root surface pitting pitted spalling spall rub rubbing eccentric eccentricity combo "
    "combination compound cavitation leak blocked clogged overload stall stalled stopped off on idle standstill "
    "resonance wobble jam jammed health miss comb bpfi bpfo"
)
_SIZES = "light slight mild medium moderate heavy severe small large big very horizontal vertical parallel angular"
_STATES = frozenset(f"{_HEALTHY} {_FAULTS} inner outer ball roller cage horizontal vertical".split())
"""Words any of which makes its neighbours a condition: `race` alone says nothing."""
_ADDED = frozenset(f"{_PARTS} {_SIZES} and of as free none".split())
_NEGATIONS = frozenset(("no", "non", "not", "un", "without", "wo", "kein", "keine", "ohne"))
"""Words that turn what follows into its opposite; `no` before a number is short for number."""
_NO_LOAD = re.compile(r"(?<![A-Za-z])(?:no|without|wo|kein|keine|ohne)[ _-]?(?:load|last)(?![a-z])", re.IGNORECASE)
_CODE = re.compile(r"(?:IR|OR|B)[0-9]{3}")
_NO_STATE_ALONE = frozenset(("off", "on", "ok", "horizontal", "vertical", "bad", "root", "surface", "bar"))

_GROUPS = (
    "session day machine pump fan motor rig unit bearing specimen trial subject sensor board device experiment visit "
    "mounting mount engine turbine compressor gearbox spindle lathe mill drill robot conveyor week test set plant asset"
)
_GROUP = re.compile(
    rf"(?<![A-Za-z0-9])(?:(?:{'|'.join(_GROUPS.split())})s?[ _#-]?[0-9]+(?:[_-][0-9]+)*|[0-9]+(?:st|nd|rd|th)[ _-]?"
    r"(?:test|session|day|run|visit|machine))(?![A-Za-z0-9]|\.[0-9])",
    re.IGNORECASE,
)

_NUMBER = r"(?<![A-Za-z0-9.])([0-9]+(?:\.[0-9]+)?)[ _-]?"
_END = r"(?![A-Za-z0-9])"
_UNIT_END = r"(?![a-z])"
_FIELDS: tuple[tuple[str, re.Pattern[str], float], ...] = (
    ("rpm", re.compile(rf"{_NUMBER}rpm{_END}", re.IGNORECASE), 1.0),
    ("rpm", re.compile(r"(?<![A-Za-z0-9.])([0-9]+(?:\.[0-9]+)?)[ _]?k[ _-]?rpm(?![A-Za-z0-9])", re.IGNORECASE), 1000.0),
    ("rpm", re.compile(rf"(?<![A-Za-z])rpm[ _=-]?([0-9]+(?:\.[0-9]+)?){_END}", re.IGNORECASE), 1.0),
    ("load_hp", re.compile(rf"{_NUMBER}hp{_END}", re.IGNORECASE), 1.0),
    ("load_hp", re.compile(rf"(?<![A-Za-z])hp[ _=-]?([0-9]+){_END}", re.IGNORECASE), 1.0),
    ("load_kn", re.compile(r"(?<![0-9.])([0-9]+(?:\.[0-9]+)?)kN" + _UNIT_END), 1.0),
    ("torque_nm", re.compile(rf"{_NUMBER}Nm{_END}", re.IGNORECASE), 1.0),
    ("load_w", re.compile(rf"{_NUMBER}(?:watts?|W){_END}"), 1.0),
    ("load_lbs", re.compile(rf"{_NUMBER}lbs?{_END}", re.IGNORECASE), 1.0),
    ("load", re.compile(rf"(?<![A-Za-z])load[ _=-]?([0-9]+(?:\.[0-9]+)?){_END}", re.IGNORECASE), 1.0),
)
_HERTZ = re.compile(r"(?<![A-Za-z0-9.])([0-9]+(?:\.[0-9]+)?)[ _]?(k|K)?(?:Hz|hz|HZ)(?![a-z])")
_COUNTED = (
    "hours hour hrs hr h minutes minute min seconds second sec s days day weeks week years year cycles cycle revs rev "
    "revolutions rotations turns rpm samples points values rows lines km miles n nm w hp v a ohm ohms kg lbs lb pa bar "
    "psi parts pieces starts strokes"
)
_KILO = re.compile(
    r"(?<![A-Za-z0-9.])([0-9]+(?:\.[0-9]+)?)[ _]?(k)(?:[ _]?(?i:sps)|S)?(?![A-Za-z0-9])"
    rf"(?![ _-]*(?i:{'|'.join(_COUNTED.split())})(?![A-Za-z]))"
)
_PER_SECOND = re.compile(r"(?<![A-Za-z0-9.])([0-9]+(?:\.[0-9]+)?)[ _]?()(?i:sps)(?![A-Za-z0-9])")
_OTHER_HERTZ = re.compile(r"pass|filter|cut[ _-]?off|alias|sine|tone|excit|shaker|mains|vfd|inverter", re.IGNORECASE)
"""Words beside which a number of hertz is no sampling rate."""
_FASTEST_SHAFT_HZ = 190.0
"""Up to it, a number of hertz in a name may be a speed, the mains, a filter or a sampling rate: nothing is guessed."""


@dataclass(frozen=True)
class Guess:
    """A guessed value and where it comes from.

    Attributes:
        value: The value.
        why: Its origin for a comment: `folder 35Hz12kN`.
    """

    value: str | int | float | tuple[str, ...]
    why: str


Guesses = Mapping[str, Guess]


@dataclass(frozen=True)
class Name:
    """The path of a recording below the folder that is looked at.

    Attributes:
        folders: Names of the folders from the top.
        stem: File name without a known suffix.
    """

    folders: tuple[str, ...]
    stem: str

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """Pairs of text and origin, the file's name first and then its folders from the deepest."""
        return ((self.stem, "file name"), *((folder, f"folder {folder}") for folder in reversed(self.folders)))


def fields_of(name: Name) -> dict[str, Guess]:
    """Return sampling rate, speed and load that the names state, the file's own name before its folders."""
    found: dict[str, Guess] = {}
    for text, why in reversed(name.parts):
        found.update({key: Guess(value, why) for key, value in _fields(text)})
    return found


@lru_cache(maxsize=4096)
def _fields(text: str) -> tuple[tuple[str, float | int], ...]:
    found = [
        (key, _number(float(match[1]) * factor)) for key, pattern, factor in _FIELDS for match in pattern.finditer(text)
    ]
    rates = (_HERTZ, _KILO, _PER_SECOND) if not _OTHER_HERTZ.search(text) else (_PER_SECOND,)
    for match in (match for pattern in rates for match in pattern.finditer(text)):
        hertz = float(match[1]) * (1000 if match[2] else 1)
        if hertz > _FASTEST_SHAFT_HZ or (hertz and match.re is _PER_SECOND):
            found.append(("sample_rate_hz", _number(hertz)))
    return tuple(found)


def condition_of(name: Name) -> Guess | None:
    """Return the condition that the nearest name with a word for one states, such as `outer_race`."""
    for text, why in name.parts:
        said = _condition(text)
        if said:
            return Guess(said, why)
    return None


@lru_cache(maxsize=4096)
def _condition(text: str) -> str:
    code = next((part for part in re.split(r"[^A-Za-z0-9@]+", text) if _CODE.match(part)), "")
    if code:
        return code
    words = [word.casefold() for word in _WORD.findall(_NO_LOAD.sub(" ", _GROUP.sub(" ", text)))]
    stated = [_trimmed(run) for run in _runs(words) if _is_stated(run)]
    return "_".join(max(stated, key=lambda run: (not _NEGATIONS.isdisjoint(run), len("_".join(run)), run), default=()))


def _runs(words: Sequence[str]) -> list[list[str]]:
    """Return runs of words for conditions; after a negation, any words up to the condition that it negates."""
    runs: list[list[str]] = [[]]
    is_negated = False
    for word, following in zip(words, (*words[1:], ""), strict=False):
        if _negates(word, following) or word in _STATES or word in _ADDED or (is_negated and word.isalpha()):
            runs[-1].append(word)
            is_negated = word not in _STATES and (is_negated or word in _NEGATIONS)
        else:
            runs.append([])
            is_negated = False
    return runs


def _negates(word: str, following: str) -> bool:
    return word in _NEGATIONS and not (word == "no" and following.isdigit())


def _is_stated(run: Sequence[str]) -> bool:
    states = _STATES.intersection(run)
    return bool(states - _NO_STATE_ALONE) or tuple(run) in _ALONE or bool(states and _NEGATIONS.intersection(run))


_ALONE = {("off",), ("on",), ("ok",), ("bad",)}


def _trimmed(run: Sequence[str]) -> tuple[str, ...]:
    words = list(run)
    while words and words[-1] in _JOINING:
        words.pop()
    while words and words[0] in _JOINING:
        words.pop(0)
    return tuple(words)


_JOINING = ("and", "of", "as")


def prefix_of(name: Name, passed: Collection[str] = ()) -> Guess | None:
    """Return the first word of three letters or more of the file's name, with the negation before it.

    Args:
        name: The name, of which speeds, loads, machines and sessions are left out.
        passed: Words that do not tell files apart and are left out as well.
    """
    for word in words_of(name):
        if len(word) >= _LEAST_LETTERS and word not in passed and word not in _NEGATIONS:
            return Guess(word, "word of the file name")
    return None


_LEAST_LETTERS = 3


def words_of(name: Name) -> list[str]:
    """Return the words of the file's name without speeds, loads, machines and sessions; `no oil` is one, `no_oil`."""
    text = _without_fields(_NO_LOAD.sub(" ", _GROUP.sub(" ", name.stem)))
    words: list[str] = []
    for word in re.findall(r"[^\W\d_]+", text.casefold()):
        if words and words[-1] in _NEGATIONS:
            word = f"{words.pop()}_{word}"
        words.append(word)
    return words


def _without_fields(text: str) -> str:
    for pattern in (*(pattern for _, pattern, _ in _FIELDS), _HERTZ, _KILO, _PER_SECOND):
        text = pattern.sub(" ", text)
    return text


def is_of_hertz(text: str) -> bool:
    """Tell whether a name states a frequency, of whatever kind."""
    return bool(_HERTZ.search(text))


def session_of(name: Name) -> Guess | None:
    """Return the machine or session that the names state, such as `pump3`, from the deepest name that has one."""
    for text, why in name.parts:
        match = _GROUP.search(text)
        if match:
            return Guess(match[0], why)
    return None


def sequence_of(stem: str) -> tuple[int, ...] | None:
    """Return the number or time stamp that a name counts with: (12,) of `acc_00012`; None if it has none."""
    numbers = re.findall(r"[0-9]+", stem)
    letters = re.sub(r"[^A-Za-z]", "", stem)
    return tuple(map(int, numbers)) if numbers and len(letters) <= _LONGEST_PREFIX else None


_LONGEST_PREFIX = 5


def _number(value: float) -> int | float:
    rounded = round(value, 6)
    return int(rounded) if rounded == int(rounded) else rounded
