"""What `train` refuses of recordings together, axes and units that differ, with the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from drsn_edge.datasets.doubts import Profile
from drsn_edge.support.toml_file import quoted
from firmware_bridge.support.shown import printable

_LONGEST = 60


def mixed_sentences(profiles: Sequence[Profile]) -> Iterator[str]:
    """Yield a sentence if recordings differ in their axes, and one if they differ in their units."""
    by_axes = {each.axes: each for each in reversed(profiles) if each.axes}
    if len(by_axes) > 1:
        have = _have({",".join(axes): each for axes, each in by_axes.items()})
        yield f"The recordings differ in axes, which `train` refuses: {have}. {_one_order(list(by_axes))}"
    by_unit = {each.unit: each for each in reversed(profiles) if each.unit}
    if len(by_unit) > 1:
        yield (
            f"The recordings differ in unit, which `train` refuses: {_have(by_unit)}. Train on those of one unit, or "
            "convert the samples of the others in their files."
        )


def _have(found: Mapping[str, Profile]) -> str:
    """Return the first recording of each of the first two values."""
    first, second = sorted(found.items(), key=lambda item: item[1].recording)[:2]
    return ", ".join(
        f"{printable(each.recording, _LONGEST)} has {printable(value, _LONGEST)}" for value, each in (first, second)
    )


def _one_order(all_axes: Sequence[tuple[str, ...]]) -> str:
    shared = sorted(set.intersection(*map(set, all_axes)))
    if not shared:
        return "State the same axes for all in the catalogue, in the order of each file's columns."
    names = ", ".join(quoted(name) for name in shared)
    taken = "in this order" if all(len(axes) == len(shared) for axes in all_axes) else "which all have"
    return f"Write axes = [{names}] into [defaults] of the catalogue: these axes are taken, {taken}."
