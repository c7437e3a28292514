"""The naming of a change: impacts at a defect's rate are named, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from refusals import refused

from drsn_edge.signal.bearing import SKF_6205, BearingGeometry
from drsn_edge.signal.likeness import DEFECTS, label_of
from drsn_edge.signal.naming import HALF_TURNS, NAMES, Level, Look, Usual, look
from drsn_edge.signal.shaft_lines import ORDERS, line_powers
from drsn_edge.support.invalid import InvalidValueError

Samples = NDArray[np.float32]

RATE_HZ, SHAFT_HZ = 12000.0, 29.5
OTHER = BearingGeometry(n_balls=8, ball_diameter_mm=7.94, pitch_diameter_mm=34.04)
"""A bearing whose rates are none of those of SKF 6205."""

RACES = {"outer_race": (SKF_6205.bpfo, 0.0), "inner_race": (SKF_6205.bpfi, 1.0)}
ROLLING = {"ball": (SKF_6205.ball_defect, SKF_6205.ftf), "cage": (SKF_6205.ftf, 0.0)}


def noise(seed: int = 0, n: int = 12000, axes: int = 1) -> Samples:
    return np.random.default_rng(seed).standard_normal((n, axes)).astype(np.float32)


def struck(order: float, load_order: float = 0.0, ring_hz: float = 3100.0, slip: float = 0.0, seed: int = 0) -> Samples:
    """Return impacts through a resonance, at whole samples, with noise of the same power; order 0: a constant load."""
    rng = np.random.default_rng(seed)
    turns = np.cumsum((1 + slip * rng.standard_normal(400)) / order)
    turns = turns[turns * RATE_HZ / SHAFT_HZ < 12000]
    impacts = np.zeros(12000)
    impacts[(turns * RATE_HZ / SHAFT_HZ).astype(int)] = 1 + 0.9 * np.cos(2 * np.pi * load_order * turns)
    t = np.arange(200) / RATE_HZ
    ringing = np.convolve(impacts, np.exp(-600 * t) * np.sin(2 * np.pi * ring_hz * t))[:12000]
    return (ringing[:, None] / ringing.std() + noise(seed)).astype(np.float32)


def shaft(amplitudes: tuple[float, ...]) -> Samples:
    """Return lines at multiples of the shaft speed in noise of 1."""
    t = np.arange(12000) / RATE_HZ
    lines = sum(a * np.sin(2 * np.pi * (k + 1) * SHAFT_HZ * t + k) for k, a in enumerate(amplitudes))
    return (np.asarray(lines)[:, None] + noise()).astype(np.float32)


def named(samples: Samples, bearing: BearingGeometry = SKF_6205, shaft_hz: float = SHAFT_HZ) -> str | None:
    return Usual.of([], samples.shape[1]).name_of(look(samples, RATE_HZ, shaft_hz, bearing))


@pytest.mark.parametrize("ring_hz", [900.0, 3100.0, 5100.0])
@pytest.mark.parametrize("defect", DEFECTS)
def test_impacts_at_the_rate_of_a_defect_are_named(defect: str, ring_hz: float) -> None:
    assert named(struck(*(RACES | ROLLING)[defect], ring_hz, slip=0.003)) == defect


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(sorted(RACES)), st.floats(-0.015, 0.015), st.floats(0.0, 0.01), st.floats(1e-3, 1e3), st.integers(0)
)
def test_slip_and_unit_do_not_change_a_name(defect: str, offset: float, slip: float, unit: float, seed: int) -> None:
    order, load = RACES[defect]
    samples = struck(order * (1 + offset), load, slip=slip, seed=seed % 2**32)
    assert named((samples * unit).astype(np.float32)) == defect


def test_lines_far_above_the_noise_do_not_hide_a_defect() -> None:
    t = np.arange(12000)[:, None] / RATE_HZ
    lines = sum(30 * np.sin(2 * np.pi * k * SHAFT_HZ * t) for k in (1, 2, 3, 40, 41, 80, 120))
    assert named((struck(SKF_6205.bpfo) + lines).astype(np.float32)) == "outer_race"


def test_one_axis_is_enough() -> None:
    samples = np.concatenate([noise(1), struck(SKF_6205.bpfi, 1.0), noise(2)], axis=1)
    assert named(samples) == "inner_race"


@pytest.mark.parametrize("axes", [1, 3])
def test_noise_is_seldom_named(axes: int) -> None:
    count = sum(named(noise(seed, axes=axes)) is not None for seed in range(100))
    assert count <= 6  # 2 % are expected; 7 or more have a probability of 0.5 %


@pytest.mark.parametrize("amplitudes", [(30.0,), (30.0, 20.0, 10.0), tuple(3.0 for _ in range(40))])
def test_lines_of_the_shaft_are_not_named(amplitudes: tuple[float, ...]) -> None:
    assert named(shaft(amplitudes)) is None


@pytest.mark.parametrize("order", [1.0, 2.0, 4.2, 6.4])
def test_impacts_at_the_rate_of_no_defect_are_not_named(order: float) -> None:
    assert named(struck(order, slip=0.002)) is None


def test_impacts_in_every_other_turn_are_looseness() -> None:
    assert named(struck(0.5, slip=0.002)) == HALF_TURNS


@pytest.mark.parametrize("defect", DEFECTS)
def test_the_wrong_geometry_names_nothing(defect: str) -> None:
    order, load = (RACES | ROLLING)[defect]
    # The cages of any two bearings turn at nearly the same speed.
    assert named(struck(order, load), OTHER) in ({None, "cage"} if defect in ROLLING else {None})


def test_a_tone_whose_level_changes_at_random_is_not_named() -> None:
    t = np.arange(12000)[:, None] / RATE_HZ
    tone = (1 + 0.3 * noise(4)) * np.sin(2 * np.pi * 3000 * t)
    assert named((10 * tone + noise(5)).astype(np.float32)) is None


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_constant_is_not_named(value: float) -> None:
    assert named(np.full((12000, 2), value, np.float32)) is None


def test_a_healthy_machine_raises_the_limits() -> None:
    seen = look(struck(SKF_6205.bpfo), RATE_HZ, SHAFT_HZ, SKF_6205)
    learned, unknown = Usual.of([seen], 1), Usual.of([], 1)
    assert learned.limits_db["outer_race"] == seen.levels["outer_race"].level_db
    assert unknown.name_of(seen) == "outer_race" and learned.name_of(seen) is None
    assert min(learned.limits_db[name] - unknown.limits_db[name] for name in NAMES) >= 0


@pytest.mark.parametrize(
    ("amplitudes", "name"),
    [
        ((4.0,), "imbalance"),
        ((1.0, 4.0, 1.0), "misalignment"),
        ((1.0, 1.1, 1.0, 0.9, 1.0), None),
        ((0.1, 0.0), None),
    ],
)
def test_grown_lines_of_the_shaft_are_named(amplitudes: tuple[float, ...], name: str | None) -> None:
    usual = Usual.of([look(shaft((0.5, 0.3, 0.2)) * 1.1, RATE_HZ, SHAFT_HZ, SKF_6205)], 1)
    assert usual.name_of(look(shaft(amplitudes), RATE_HZ, SHAFT_HZ, SKF_6205)) == name


def test_half_orders_are_looseness() -> None:
    usual = Usual.of([look(shaft((0.5, 0.3, 0.2)), RATE_HZ, SHAFT_HZ, SKF_6205)], 1)
    t = np.arange(12000)[:, None] / RATE_HZ
    halves = sum(np.sin(np.pi * k * SHAFT_HZ * t + k) for k in (1, 2, 3, 4, 5, 6))
    assert usual.name_of(look((noise() + halves).astype(np.float32), RATE_HZ, SHAFT_HZ, SKF_6205)) == "looseness"


def test_a_line_that_explains_little_of_a_change_names_nothing() -> None:
    usual = Usual.of([look(shaft((0.5,)), RATE_HZ, SHAFT_HZ, SKF_6205)], 1)
    t = np.arange(12000)[:, None] / RATE_HZ
    louder = shaft((2.0,)) + 5 * np.sin(2 * np.pi * 2222 * t)
    assert usual.name_of(look(louder.astype(np.float32), RATE_HZ, SHAFT_HZ, SKF_6205)) is None


@pytest.mark.parametrize("order", ORDERS)
def test_powers_of_the_shaft_are_mean_squares(order: float) -> None:
    t = np.arange(12000)[:, None] / RATE_HZ
    line = (3 * np.sin(2 * np.pi * 1.003 * order * SHAFT_HZ * t) + noise()).astype(np.float32)
    powers = line_powers(line, SHAFT_HZ)
    assert powers[ORDERS.index(order)] == pytest.approx(4.5, rel=0.1)
    assert np.delete(powers, ORDERS.index(order)).max() < 0.05
    assert line_powers(line, 2001.0)[-1] == 0.0


def test_more_axes_raise_the_limits() -> None:
    assert all(Usual.of([], 3).limits_db[name] > Usual.of([], 1).limits_db[name] for name in NAMES)


def test_power_and_share_of_white_noise_are_measured() -> None:
    white, toned = look(noise(axes=2), RATE_HZ, SHAFT_HZ, SKF_6205), look(shaft((10.0,)), RATE_HZ, SHAFT_HZ, SKF_6205)
    assert white.power == pytest.approx(2.0, rel=0.05) and white.noise_share > 0.85
    assert toned.power == pytest.approx(51.0, rel=0.05) and toned.noise_share < 0.05


USUAL = Usual(dict.fromkeys(NAMES, 5.0), 1.0, np.ones(len(ORDERS)))


def seen(power: float = 1.0, noise_share: float = 0.0, **levels: Level) -> Look:
    return Look(dict.fromkeys(NAMES, Level(0.0, 1.0)) | levels, power, noise_share, np.zeros(len(ORDERS)))


def test_a_cage_is_named_only_without_the_others() -> None:
    cage = Level(20.0, 1.0)
    assert USUAL.name_of(seen(cage=cage)) == "cage"
    assert USUAL.name_of(seen(cage=cage, ball=Level(6.0, 1.0))) == "ball"
    assert USUAL.name_of(seen(cage=cage, ball=Level(6.0, 0.0))) == "cage"


def test_a_loud_change_must_be_explained() -> None:
    weak, plain = Level(8.0, 1.0), Level(11.0, 1.0)
    assert USUAL.name_of(seen(outer_race=weak)) == "outer_race"
    assert USUAL.name_of(seen(20.0, outer_race=weak)) is None
    assert USUAL.name_of(seen(20.0, outer_race=plain)) == "outer_race"
    assert USUAL.name_of(seen(20.0, noise_share=0.9, outer_race=weak)) == "outer_race"
    assert USUAL.name_of(seen(0.0, outer_race=weak)) == "outer_race"


def test_a_label_says_that_it_is_a_resemblance() -> None:
    assert [label_of("outer_race"), label_of(None)] == ["like outer_race", "not located"]


@pytest.mark.parametrize(
    ("bearing", "shaft_hz"), [(SKF_6205, 1e9), (BearingGeometry(10**9, 7.94, 39.04), SHAFT_HZ), (SKF_6205, 5900.0)]
)
def test_lines_beyond_the_spectrum_cost_nothing_and_have_no_name(bearing: BearingGeometry, shaft_hz: float) -> None:
    found = look(noise(), RATE_HZ, shaft_hz, bearing)
    assert found.levels["outer_race"] == found.levels["inner_race"] == Level(0.0, 0.0)
    assert named(noise(), bearing, shaft_hz) is None


def test_too_few_samples_and_turns_are_refused() -> None:
    with refused(InvalidValueError, "out_of_range", name="samples", got=1023):
        look(noise(n=1023), RATE_HZ, 500.0, SKF_6205)
    with refused(InvalidValueError, "out_of_range", name="turns of the shaft", got=9.0):
        look(noise(), RATE_HZ, 9.0, SKF_6205)
