from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from drsn_edge.signal.difference import Difference, band_words
from drsn_edge.signal.differences import band_changes, differences
from drsn_edge.signal.novelty import novelty_from_bytes, novelty_to_bytes
from drsn_edge.signal.references import hear, learn_references

RATE, WINDOW, AXES = 9600.0, 960, ("x", "y")
"""24 bands of 200 Hz."""


def noise(n: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, WINDOW, 2)).astype(np.float32)


def with_band(windows: NDArray[np.float32], axis: int, low_hz: float, high_hz: float, db: float) -> NDArray[np.float32]:
    """Return windows with the power of one axis changed in one band."""
    spectra, hz = np.fft.rfft(windows[..., axis]), np.fft.rfftfreq(WINDOW, 1 / RATE)
    spectra[:, (hz > low_hz) & (hz <= high_hz)] *= 10 ** (db / 20)
    changed = windows.copy()
    changed[..., axis] = np.fft.irfft(spectra, WINDOW)
    return changed


KNOWN = learn_references(hear(noise(200), np.zeros(200, int)), 0.01)


def test_nothing_differs_in_a_healthy_machine() -> None:
    assert differences(KNOWN, noise(20, 1), RATE, AXES) == ()


@pytest.mark.parametrize("db", [14.0, -14.0])
def test_a_change_is_told_by_axis_band_and_decibels(db: float) -> None:
    (found,) = differences(KNOWN, with_band(noise(20, 1), 0, 1400, 1800, db), RATE, AXES)
    assert (found.axis, found.is_relative) == ("x", False) and found.db == pytest.approx(db, abs=2.0)
    assert (found.low_hz, found.high_hz) == (pytest.approx(1400, abs=6), pytest.approx(1800, abs=6))
    way = "up" if db > 0 else "down"
    assert found.words == f"x: 1.4 to 1.8 kHz {way} {abs(found.db):.0f} dB since learning"


def test_other_bands_are_not_said_to_fall_because_one_rises() -> None:
    (found,) = differences(KNOWN, with_band(noise(20, 1), 1, 0, 200, 13), RATE, AXES)
    assert found.axis == "y" and found.words.startswith("y: below 205 Hz up 13 dB")


def test_a_louder_machine_with_the_same_spectrum_is_told_as_such() -> None:
    found = differences(KNOWN, 4 * noise(20, 1), RATE, AXES)
    assert any(each.axis is None and each.words == "level up 12 dB since learning" for each in found)
    assert {(each.axis, round(each.db)) for each in found} >= {(None, 12)}


def test_without_a_level_the_change_is_one_of_the_share() -> None:
    bare = replace(KNOWN, levels=None)
    assert differences(bare, 4 * noise(20, 1), RATE, AXES) == ()
    found = differences(bare, with_band(noise(20, 1), 0, 1400, 1800, 12), RATE, AXES)
    assert found[0].is_relative and "against other bands since learning" in found[0].words


def test_what_lies_between_operating_points_is_no_difference() -> None:
    at = [with_band(noise(100, seed), 0, 1400, 1800, db) for seed, db in ((0, 0.0), (1, 10.0))]
    known = learn_references(hear(np.concatenate(at), np.repeat([0, 1], 100)), 0.01)
    assert len(known.prototypes) == 2
    assert differences(known, with_band(noise(20, 2), 0, 1400, 1800, 5), RATE, AXES) == ()
    found = differences(known, with_band(noise(20, 2), 0, 1400, 1800, 20), RATE, AXES)
    assert found[0].axis == "x" and found[0].db == pytest.approx(10, abs=2)


def test_they_are_the_same_after_reading_and_in_another_unit() -> None:
    changed = with_band(noise(20, 1), 0, 1400, 1800, 14)
    words = [each.words for each in differences(KNOWN, changed, RATE, AXES)]
    again = novelty_from_bytes(novelty_to_bytes(KNOWN), 2)
    assert [each.words for each in differences(again, changed, RATE, AXES)] == words
    other = learn_references(hear(8 * noise(200), np.zeros(200, int)), 0.01)
    assert [each.words for each in differences(other, 8 * changed, RATE, AXES)] == words


def test_the_largest_come_first_and_only_some_are_told() -> None:
    windows = noise(20, 1)
    for number, db in enumerate((5.0, 20, 10, 15, 25)):
        windows = with_band(windows, 0, 800 * number, 800 * number + 400, db)
    found = differences(KNOWN, windows, RATE, AXES)
    assert [round(each.db, -1) for each in found[:2]] == [20, 20] and len(found) == 4
    assert [abs(each.db) for each in found] == sorted((abs(each.db) for each in found), reverse=True)


def test_silent_and_odd_windows_have_changes() -> None:
    for windows in (np.zeros((1, WINDOW, 2), np.float32), noise(1)[:, :959]):
        changes = band_changes(KNOWN, windows, RATE)
        assert np.isfinite(changes.db).all() and changes.db.shape == (24, 2) and len(changes.edges_hz) == 25
        assert (changes.lowest_db < changes.highest_db).all()


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0, 417, "below 417 Hz"), (0, 1250, "below 1.2 kHz"), (120, 160, "120 to 160 Hz"),
        (800, 1200, "0.8 to 1.2 kHz"), (2900, 3300, "2.9 to 3.3 kHz"), (2910, 3010, "2.91 to 3.01 kHz"),
    ],
)  # fmt: skip
def test_a_range_of_frequencies_in_words(low: float, high: float, words: str) -> None:
    assert band_words(low, high) == words


def test_a_difference_in_words() -> None:
    assert Difference("x", 2900, 3300, 14.2).words == "x: 2.9 to 3.3 kHz up 14 dB since learning"
    assert Difference(None, 0, 4800, -7.8).words == "level down 8 dB since learning"
