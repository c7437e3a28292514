"""Public data sets that are known by the layout of their folders: what their publishers state, as guesses.

A file is taken for one of a data set if its path, and the names of its variables where the path alone is common, fit.
The values go into a proposed catalogue, which a person confirms. Sources: the pages and papers of the publishers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from drsn_edge.looking.names import Guess, Guesses
from drsn_edge.recordings.metadata import Metadata

UNKNOWN = "unknown"
"""Unit where a publisher states none: it never converts."""

_Values = Mapping[str, str | int | float | tuple[str, ...]]


@dataclass(frozen=True)
class Layout:
    """A data set.

    Attributes:
        name: Its name, for comments.
        path: Matches the end of a path with `/` between folders.
        values: What all its files have in common.
        of_path: Further values from the match of `path` and the number of channels.
        read_with: Keys that steer the reader, for files that are not read without them.
        key: Key of the files' content that must be there; empty if the path is enough.
        channels: Numbers of channels that its files have; empty for any.
        names: What the names of its channels hold, where a file has names; empty for any.
        by_life: True if each machine ran until it failed, so that only the position in its life is known.
    """

    name: str
    path: re.Pattern[str]
    values: _Values = field(default_factory=dict)
    of_path: Callable[[re.Match[str], int], _Values] = lambda match, channels: {}
    read_with: Callable[[re.Match[str]], Metadata] = lambda match: {}
    key: str = ""
    channels: tuple[int, ...] = ()
    by_life: bool = False
    names: str = ""

    def guesses(self, path: str, channels: int) -> Guesses:
        """Return the values of the file at a path that fits."""
        match = self.path.search(path)
        found = {} if match is None else {**self.values, **self.of_path(match, channels)}
        return {key: Guess(value, self._why(value)) for key, value in found.items()}

    def _why(self, value: object) -> str:
        if value == UNKNOWN:
            return f"{self.name} does not state it: write g or m/s2 if you know"
        return f"as published for {self.name}"


def layout_of(
    path: str, keys: frozenset[str] = frozenset(), channels: int | None = None, names: Sequence[str] = ()
) -> Layout | None:
    """Return the data set that a file belongs to; None if none is known.

    Args:
        path: Its path with `/` between folders.
        keys: Keys of its content.
        channels: Number of its channels; None before it was read.
        names: Names of its channels; empty if it has none.
    """
    for layout in LAYOUTS:
        fits = channels is None or (
            (not layout.key or layout.key in keys) and (not layout.channels or channels in layout.channels)
        )
        fits = fits and all(layout.names in name.casefold() for name in names)
        if fits and layout.path.search(path):
            return layout
    return None


def _paderborn(match: re.Match[str], channels: int) -> _Values:
    code = match["bearing"]
    kind = {"K0": "healthy", "KA": "outer_race", "KI": "inner_race", "KB": "combined"}[code[:2]]
    return {
        "label": kind,
        "group": code,
        "rpm": 100 * int(match["speed"]),
        "torque_nm": int(match["torque"]) / 10,
        "force_n": 100 * int(match["force"]),
    }


def _ims(match: re.Match[str], channels: int) -> _Values:
    axes = [f"b{number}" for number in range(1, 5)]
    if channels == 8:
        axes = [f"{bearing}_{axis}" for bearing in axes for axis in "xy"]
    named = {"axes": tuple(axes)} if channels == len(axes) else {}
    return {"group": match["test"] or "test", **named}


def _xjtu(match: re.Match[str], channels: int) -> _Values:
    return {"group": match["bearing"], "rpm": _number(60 * float(match["hz"])), "load_kn": _number(float(match["kn"]))}


def _femto(match: re.Match[str], channels: int) -> _Values:
    rpm, force = {"1": (1800, 4000), "2": (1650, 4200), "3": (1500, 5000)}[match["condition"]]
    return {"group": match["bearing"], "rpm": rpm, "load_n": force}


def _hust(match: re.Match[str], channels: int) -> _Values:
    kinds = {"N": "normal", "I": "inner", "O": "outer", "B": "ball", "IB": "inner_ball", "IO": "inner_outer"}
    kinds["OB"] = "outer_ball"
    return {"label": kinds[match["kind"]], "group": f"620{match['type']}", "load_w": 100 * int(match["load"])}


def _uored(match: re.Match[str], channels: int) -> _Values:
    kinds = {"H": "healthy", "I": "inner", "O": "outer", "B": "ball", "C": "cage"}
    axes = {"axes": ("accelerometer", "-", "-", "-", "-")} if channels == 5 else {}
    return {"label": kinds[match["kind"]], "group": f"bearing{match['bearing']}", **axes}


def _seu(match: re.Match[str], channels: int) -> _Values:
    label = match["kind"].casefold()
    label = {"health": "healthy", "miss": "missing_tooth", "comb": "combination"}.get(label, label)
    return {"label": label, "rpm": 60 * int(match["speed"]), "load_v": int(match["load"])}


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value


_MFPT = {"baseline": "healthy", "OuterRaceFault": "outer_race", "InnerRaceFault": "inner_race"}
_SLASH = r"(?:^|/)"

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "CWRU",
        re.compile(rf"{_SLASH}(?:97|98|99|100)[.]mat$"),
        {"sample_rate_hz": 48000},
        key="cwru_file",
    ),
    Layout(
        "Paderborn",
        re.compile(
            rf"{_SLASH}N(?P<speed>[0-9]{{2}})_M(?P<torque>[0-9]{{2}})_F(?P<force>[0-9]{{2}})"
            r"_(?P<bearing>K[0ABI][0-9]{2})_[0-9]+[.]mat$"
        ),
        {"sample_rate_hz": 64000, "unit": UNKNOWN, "axes": ("vibration_1",)},
        _paderborn,
    ),
    Layout(
        "MFPT",
        re.compile(rf"{_SLASH}(?P<kind>baseline|OuterRaceFault|InnerRaceFault)(?:_vload)?_[0-9]{{1,2}}[.]mat$"),
        {"unit": "g"},
        lambda match, channels: {"label": _MFPT[match["kind"]]},
    ),
    Layout(
        "XJTU-SY",
        re.compile(
            rf"{_SLASH}(?P<hz>[0-9.]+)Hz(?P<kn>[0-9]+)kN/(?P<bearing>Bearing[1-3]_[1-5])/(?P<order>[0-9]+)[.]csv$"
        ),
        {"sample_rate_hz": 25600, "unit": "g"},
        _xjtu,
        channels=(2,),
        names="vibration",
        by_life=True,
    ),
    Layout(
        "FEMTO",
        re.compile(rf"{_SLASH}(?P<bearing>Bearing(?P<condition>[1-3])_[1-7])/acc_(?P<order>[0-9]{{5}})[.]csv$"),
        {"sample_rate_hz": 25600, "unit": "g", "axes": ("horizontal", "vertical")},
        _femto,
        by_life=True,
    ),
    Layout(
        "IMS",
        re.compile(r"(?:^|(?P<test>[^/]*)/)(?:2003|2004)[.][0-9]{2}[.][0-9]{2}[.][0-9]{2}[.][0-9]{2}[.][0-9]{2}$"),
        {"sample_rate_hz": 20000, "unit": "g"},
        _ims,
        read_with=lambda match: {"format": "table"},
        channels=(4, 8),
        by_life=True,
    ),
    Layout(
        "SEU",
        re.compile(rf"{_SLASH}(?P<kind>[A-Za-z]+)_(?P<speed>20|30)_(?P<load>0|2)[.]csv$"),
        {},
        _seu,
        channels=(8,),
    ),
    Layout(
        "HUST",
        re.compile(rf"{_SLASH}(?P<kind>N|I|O|B|IB|IO|OB)(?P<type>[4-8])(?P<load>0[024])[.]mat$"),
        {"sample_rate_hz": 51200, "unit": UNKNOWN},
        _hust,
    ),
    Layout(
        "UORED",
        re.compile(rf"{_SLASH}(?P<kind>[HIOBC])_(?P<bearing>[0-9]{{1,2}})_(?P<stage>[0-2])[.]mat$"),
        {"sample_rate_hz": 42000, "unit": UNKNOWN},
        _uored,
    ),
    Layout(
        "KAIST",
        re.compile(rf"{_SLASH}[024]Nm_(?:Normal|BPF[IO]|Misalign|Unbala)[A-Za-z0-9_]*[.]mat$"),
        {"sample_rate_hz": 25600, "unit": UNKNOWN},
    ),
    Layout(
        "MaFaulDa",
        re.compile(rf"{_SLASH}[0-9]{{1,2}}[.][0-9]+[.]csv$"),
        {
            "sample_rate_hz": 50000,
            "unit": UNKNOWN,
            "axes": (
                "-",
                *(f"{side}_{axis}" for side in ("underhang", "overhang") for axis in ("ax", "ra", "ta")),
                "-",
            ),
        },
        channels=(8,),
    ),
)
"""In the order in which they are tried."""
