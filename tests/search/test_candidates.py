"""The table of candidates: what suits the recordings, and what a user fixed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.errors import TrainingError
from drsn_edge.search.candidates import (
    DISCRIMINANTS,
    VIEW_WEIGHTS,
    Facts,
    Family,
    check_fixed,
    families,
    hop_for,
    spectral_window,
)
from drsn_edge.training.settings import settings_from

LONG = Facts(shortest=40_000, samples=4_000_000, with_speed=True)
RULE = {"hold_out": "rpm=1800"}


def chosen_among(found: tuple[Family, ...]) -> list[Family]:
    return [family for family in found if not family.is_compared_only]


def test_every_member_is_settings_that_a_training_accepts() -> None:
    for target in ("gateway", "sensor"):
        for facts in (LONG, Facts(40_000, 4_000_000, with_speed=False), Facts(3000, 90_000, with_speed=True)):
            for family in families(facts, RULE, target):
                for member in family.members:
                    settings = settings_from(family.member_values(member))
                    assert settings.inputs == member.inputs and settings.hold_out == "rpm=1800"
                    assert settings.window <= facts.shortest


def test_a_gateway_chooses_among_spectra_and_compares_a_waveform() -> None:
    found = families(LONG, RULE)
    assert {family.values["inputs"] for family in chosen_among(found)} == {"spectra"}
    assert [family.values["inputs"] for family in found if family.is_compared_only] == ["waveform"]
    kinds = {member.inputs for family in chosen_among(found) for member in family.members}
    assert kinds == {"spectra", "bands"}
    assert len(chosen_among(found)[0].members) == len(VIEW_WEIGHTS) * len(DISCRIMINANTS)


def test_a_sensor_chooses_among_waveforms() -> None:
    found = families(LONG, RULE, "sensor")
    assert found and all(family.values["inputs"] == "waveform" and not family.is_compared_only for family in found)


def test_without_a_speed_of_every_recording_there_are_bands_alone() -> None:
    found = chosen_among(families(Facts(40_000, 4_000_000, with_speed=False), RULE))
    assert {member.inputs for family in found for member in family.members} == {"bands"}


def test_a_window_that_is_too_short_for_spectra_leaves_waveforms() -> None:
    found = families(Facts(700, 15_000, with_speed=True), {**RULE, "window": 200})
    assert {family.values["inputs"] for family in chosen_among(found)} == {"waveform"}


@pytest.mark.parametrize(
    ("fixed", "expected"),
    [
        ({"network": "spectral"}, {("network", "spectral")}),
        ({"network": "nano"}, {("network", "nano")}),
        ({"window": 4096}, {("window", 4096)}),
        ({"inputs": "bands"}, {("inputs", "bands")}),
        ({"epochs": 5, "style_mix": 0.1}, {("epochs", 5), ("style_mix", 0.1)}),
        ({"hop": 100}, {("hop", 100)}),
    ],
)
def test_what_is_fixed_is_in_every_choosable_candidate(fixed: dict[str, Any], expected: set[tuple[str, Any]]) -> None:
    found = chosen_among(families(LONG, {**RULE, **fixed}))
    assert found
    for family in found:
        assert expected <= {(name, value) for name, value in family.values.items() if not isinstance(value, tuple)}


def test_fixed_weights_leave_one_member_for_each_family() -> None:
    fixed = {**RULE, "view_weights": (3.0, 1.0, 1.0), "discriminants": 0.2}
    for family in chosen_among(families(LONG, fixed)):
        ((member),) = family.members
        assert (member.view_weights, member.discriminants) == ((3.0, 1.0, 1.0), 0.2)


@pytest.mark.parametrize(
    ("fixed", "problem"),
    [({"epochs": 0}, "out_of_range"), ({"window": -4}, "out_of_range"), ({"noise": ("brown",)}, "unknown_choice")],
)
def test_impossible_settings_are_refused_before_recordings_are_read(fixed: dict[str, Any], problem: str) -> None:
    with refused(TrainingError, problem):
        check_fixed({**RULE, **fixed}, "gateway")


def test_recordings_that_are_too_short_for_all_are_refused() -> None:
    with refused(TrainingError, "no_candidate", shortest=700):
        families(Facts(700, 7000, with_speed=True), RULE)


@given(st.integers(1, 10**7))
def test_the_window_is_the_largest_power_of_two_of_which_two_fit(shortest: int) -> None:
    window = spectral_window(shortest)
    assert window in (1024, 2048, 4096, 8192, 16384)
    assert window == 1024 or 2 * window <= shortest
    assert window == 16384 or 4 * window > shortest


@given(st.sampled_from((1024, 16384)), st.integers(1, 10**10))
def test_the_hop_is_between_a_sixteenth_and_half_a_window(window: int, samples: int) -> None:
    hop = hop_for(window, samples)
    assert window // 16 <= hop <= window // 2
    assert hop == window // 16 or samples / (hop // 2) > 20_000
