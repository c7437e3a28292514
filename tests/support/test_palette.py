"""One label, one colour: chosen by the label, told apart by the colour-blind, green only for the healthy."""

from __future__ import annotations

import colorsys
from itertools import combinations

import pytest

from drsn_edge.support.palette import colours_of, is_healthy
from drsn_edge.verdicts import HEALTHY_COLOUR

SIZES = ("very_light", "light", "heavy", "very_heavy")
SETS = (
    [f"{part}{size}" for part in ("B", "IR", "OR") for size in ("007", "014", "021")] + ["normal"],
    ["healthy", "outer_race", "inner_race", "ball", "imbalance", "misalignment"],
    ["normal", "bent_shaft", "misaligned", *(f"imbalance_{size}" for size in SIZES)]
    + [f"{part}_{size}" for part in ("inner", "outer", "ball") for size in ("light", "heavy")],
)  # fmt: skip


@pytest.mark.parametrize("labels", SETS)
def test_each_label_has_a_colour_of_its_own_whatever_is_beside_it(labels: list[str]) -> None:
    together = colours_of(labels)
    assert len(set(together.values())) == len(labels)
    for label in labels:
        assert colours_of([label, "UNKNOWN"])[label] == together[label]


def test_good_and_bad_keep_their_colours() -> None:
    found = colours_of(["Healthy", "normal", "OK", "NO_VERDICT", "UNSURE", "UNKNOWN", "worn"])
    assert {found["Healthy"], found["normal"], found["OK"]} == {HEALTHY_COLOUR} == {"#228833"} and is_healthy("Normal")
    assert (found["UNKNOWN"], found["UNSURE"], found["NO_VERDICT"]) == ("#000000", "#666666", "#bbbbbb")
    assert list(found)[-3:] == ["UNKNOWN", "UNSURE", "NO_VERDICT"]


def test_no_fault_is_green_or_grey() -> None:
    for label, colour in colours_of([label for labels in SETS for label in labels] + list("abcdefgh")).items():
        if is_healthy(label):
            continue
        hue, _, saturation = colorsys.rgb_to_hls(*(int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)))
        assert not 75 < 360 * hue < 165 and saturation > 0.15, (label, colour)


def test_labels_of_the_same_text_hash_are_told_apart_as_long_as_there_are_shades() -> None:
    labels = [f"outer_{letter}" for letter in "abcde"]
    assert all(a != b for a, b in combinations(colours_of(labels).values(), 2))
