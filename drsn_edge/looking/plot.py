"""Picture of levels, offsets and spectra by label, in which a wrong unit or a dead sensor stands out."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from drsn_edge.datasets.doubts import likelier_unit
from drsn_edge.looking.measures import BAND_CENTRES_HZ
from drsn_edge.looking.report import Look
from drsn_edge.looking.sight import Sight
from drsn_edge.signal.units import KNOWN_UNITS, conversion_factor
from drsn_edge.support.palette import colours_of
from drsn_edge.support.pictures import GREY, MARKED, SMALL, draw_grid, new_figure, save_picture
from firmware_bridge.support.shown import printable

_NO_LABEL = "no label"
_MOST_LABELS = 24
_MOST_REASONS = 2
_LONGEST_NAME = 24
_MARKERS = "osD^v<>pP*hX"
_DAMAGED_SHARE = 0.05
_LEAST_SPAN = 10.0
_NO_SIGNAL = 1e-7
"""Share of the loudest band below which a band holds rounding alone."""


def save_look(look: Look, path: Path) -> None:
    """Save the picture as a PNG.

    Raises:
        OutputError: If it cannot be written.
    """
    save_picture(plot_look(look), path)


def plot_look(look: Look) -> Figure:
    """Plot the level and the offset of each axis of each recording, and the spectra, by label."""
    by_label = _by_label(look)
    colours = {**colours_of(label for label in by_label if label != _NO_LABEL), _NO_LABEL: GREY}
    unit, factor = _common_unit(look)
    figure = new_figure(max(9.0, 3.5 + 0.75 * len(by_label)), 8.5)
    parts: Any = figure.subfigures(2, 1)
    upper, lower = parts
    levels, offsets = upper.subplots(1, 2)
    _draw_dots(levels, by_label, colours, lambda sight: factor(sight) * sight.measures.level, _damage_of)
    levels.set(title="Vibration of each axis: RMS without mean", ylabel=f"level, {unit}")
    lengths: _Values = lambda sight: np.array([factor(sight) * sight.measures.offset])  # noqa: E731
    _draw_dots(offsets, by_label, colours, lengths, lambda sight: _gravity_of(sight, look.unit_of(sight)))
    offsets.set(title="Offset of each recording: length of the mean", ylabel=f"offset, {unit}")
    _mark_gravity(offsets, unit)
    _draw_legend(offsets, look)
    _draw_spectra(lower.subplots(), by_label, colours, unit, factor)
    return figure


def _by_label(look: Look) -> dict[str, list[Sight]]:
    """Return the recordings by label, healthy first and without label last; small labels above the limit together."""
    found: dict[str, list[Sight]] = {}
    for sight in look.sights:
        found.setdefault(look.label_of(sight) or _NO_LABEL, []).append(sight)
    by_size = sorted(found, key=lambda label: (-len(found[label]), label))[:_MOST_LABELS]
    return {label: found[label] for label in sorted(by_size, key=lambda label: (label == _NO_LABEL, label))}


_Values = Callable[[Sight], NDArray[np.float64]]
"""The values of a recording that are dots."""
_Wrong = Callable[[Sight], str]
"""What is wrong with a recording, in one or two words; empty if nothing is."""


def _common_unit(look: Look) -> tuple[str, Callable[[Sight], float]]:
    """Return the unit of the picture, and the factor into it: the most frequent unit, if the others convert into it."""
    units = [look.unit_of(sight) or "" for sight in look.sights]
    usual = max(sorted(set(units)), key=units.count, default="")
    if all(unit == usual for unit in units):
        return usual or "no unit", lambda sight: 1.0
    if not all(unit in KNOWN_UNITS for unit in units):
        return "in each file's own unit", lambda sight: 1.0
    return usual, lambda sight: conversion_factor(look.unit_of(sight) or usual, usual)


def _draw_dots(
    axes: Any, by_label: Mapping[str, Sequence[Sight]], colours: Mapping[str, str], values: _Values, wrong: _Wrong
) -> None:
    """Draw a dot for each value of each recording, in a ring where something is wrong, and say what, by label."""
    found = [(sight, values(sight)) for sights in by_label.values() for sight in sights]
    floor = min((value for _, dots in found for value in dots if value > 0), default=1.0) / 3
    for place, (label, sights) in enumerate(by_label.items()):
        for number, sight in enumerate(sights):
            at, dots = place + _spread(number, len(sights)), values(sight)
            for axis, value in enumerate(dots):
                axes.plot(at, max(value, floor), linestyle="", **_style(axis, value, colours[label]))
            if wrong(sight):
                worst = dots.max() if dots.min() > 0 else floor
                axes.plot(at, worst, "o", ms=13, mfc="none", mec=MARKED, mew=1.6)
    axes.set_yscale("log")
    _leave_room(axes)
    for place, sights in enumerate(by_label.values()):
        text = _wrong_text([wrong(sight) for sight in sights])
        style = {"ha": "center", "va": "top", "fontsize": SMALL, "color": MARKED, "parse_math": False}
        axes.text(place, 0.985, text, transform=axes.get_xaxis_transform(), **style)
    if any(not value > 0 for _, dots in found for value in dots):
        axes.axhline(floor, color=MARKED, linewidth=0.8, linestyle=":")
        axes.text(0.01, floor, "0", color=MARKED, va="bottom", fontsize=SMALL, transform=axes.get_yaxis_transform())
    names = [printable(label, _LONGEST_NAME) for label in by_label]
    turned = 0 if len(names) <= 3 and max(map(len, names)) <= 12 else 60
    axes.set_xticks(range(len(names)), names, rotation=turned, fontsize=SMALL + 1, parse_math=False)
    axes.set_xlim(-0.6, len(names) - 0.4)
    draw_grid(axes)


def _style(axis: int, value: float, colour: str) -> dict[str, Any]:
    if not value > 0:
        return {"marker": "x", "color": MARKED, "ms": 7, "mew": 2}
    return {"marker": _MARKERS[axis % len(_MARKERS)], "color": colour, "ms": 5, "alpha": 0.75}


def _leave_room(axes: Any) -> None:
    """Show a decade at least, and make room for texts above the dots."""
    low, high = axes.get_ylim()
    wider = max(1.0, _LEAST_SPAN / (high / low)) ** 0.5
    low, high = low / wider, high * wider
    axes.set_ylim(low, high * (high / low) ** 0.22)


def _wrong_text(wrong: Sequence[str]) -> str:
    """Return what is wrong with the recordings of a label, the most frequent first: `3 of 5` above `clipped`."""
    counts = Counter(each for each in wrong if each)
    return "\n".join(f"{count} of {len(wrong)}:\n{reason}" for reason, count in counts.most_common(_MOST_REASONS))


def _damage_of(sight: Sight) -> str:
    """Return the most frequent damage of a recording; empty if few windows have any."""
    if sum(sight.damage.values()) <= _DAMAGED_SHARE * max(sight.windows, 1):
        return ""
    return max(sight.damage, key=lambda reason: sight.damage[reason])


def _gravity_of(sight: Sight, unit: str | None) -> str:
    """Return in which unit the offset is gravity, if it is another than the stated one."""
    likely = None if unit is None else likelier_unit(unit, sight.measures.mean)
    return "" if likely is None else f"gravity in {likely}"


def _spread(number: int, count: int) -> float:
    return 0.0 if count == 1 else 0.56 * (number / (count - 1) - 0.5)


def _mark_gravity(axes: Any, unit: str) -> None:
    gravity = conversion_factor("g", unit) if unit in KNOWN_UNITS else None
    low, high = axes.get_ylim()
    if gravity is not None and low < 3 * gravity and high > gravity / 3:
        axes.axhline(gravity, color="black", linewidth=1, linestyle="--")
        where = axes.get_yaxis_transform()
        axes.text(0.99, gravity, "gravity", ha="right", va="bottom", fontsize=SMALL, transform=where)


def _draw_legend(axes: Any, look: Look) -> None:
    """Explain the marks beside the axes: one for each axis, and those of dead and damaged recordings."""
    most = max((sight.axes for sight in look.sights), key=len, default=())
    marks: list[Any] = []
    for number, axis in enumerate(most[: len(_MARKERS)]):
        marks += axes.plot([], [], _MARKERS[number], color="black", ms=5, label=printable(axis, _LONGEST_NAME))
    marks += axes.plot([], [], "o", ms=11, mfc="none", mec=MARKED, mew=1.6, label="damaged or\nwrong unit")
    marks += axes.plot([], [], "x", color=MARKED, ms=7, mew=2, label="exactly 0")
    axes.legend(handles=marks, fontsize=SMALL, loc="upper left", bbox_to_anchor=(1.01, 1))


def _draw_spectra(
    axes: Any,
    by_label: Mapping[str, Sequence[Sight]],
    colours: Mapping[str, str],
    unit: str,
    factor: Callable[[Sight], float],
) -> None:
    loudest = max(
        (float(np.nanmax(sight.measures.spectrum, initial=0.0)) for sights in by_label.values() for sight in sights),
        default=0.0,
    )
    for label, sights in by_label.items():
        spectra = np.array(
            [factor(sight) * np.sqrt(np.square(sight.measures.spectrum).sum(axis=0)) for sight in sights]
        )
        spectra[~(spectra > _NO_SIGNAL * loudest)] = np.nan
        known = np.isfinite(spectra).any(axis=0)
        if not known.any():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            middle, low, high = (each(spectra[:, known], axis=0) for each in (np.nanmedian, np.nanmin, np.nanmax))
        frequencies = BAND_CENTRES_HZ[known]
        name = printable(f"{label} ({len(sights)})", 40)
        axes.fill_between(frequencies, low, high, color=colours[label], alpha=0.15, linewidth=0)
        axes.plot(frequencies, middle, color=colours[label], linewidth=1.6, label=name)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="frequency, Hz",
        ylabel=f"amplitude density, {unit}/√Hz",
        title="Spectra of all axes together: median and range of each label",
    )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=SMALL, loc="upper left", bbox_to_anchor=(1.01, 1))
    draw_grid(axes)
