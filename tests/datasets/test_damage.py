"""Damaged stretches are found in recordings, counted, and kept out of every span."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.datasets.damage import check_damage, damage_lines, damage_of, damage_text
from drsn_edge.datasets.span import Span
from drsn_edge.datasets.split import make_split, parse_hold_out
from drsn_edge.errors import SplitError
from drsn_edge.recordings.recording import Recording
from drsn_edge.training.feed import draw_windows, split_recordings
from drsn_edge.training.settings import TrainSettings
from drsn_edge.verdicts import FLAT_LINE, REPEATED

RATE, WINDOW, HOP = 800.0, 512, 256


def vibration(seed: int, n: int = 8192, axes: int = 3) -> Any:
    """A shaft, its harmonics and noise in g on a 14-bit sensor, shape (n, axes)."""
    rng = np.random.default_rng(seed)
    turns = 0.031 * (1 + 0.02 * rng.uniform(-1, 1)) * np.arange(n)
    shaft = sum(0.1 / k * np.sin(2 * np.pi * k * turns + rng.uniform(0, 6)) for k in (1, 2, 5))
    x = shaft[:, None] * np.linspace(1, 0.4, axes) + 0.02 * rng.normal(size=(n, axes))
    return np.round(x * 4096) / 4096


def recording(samples: Any, label: str = "worn", name: str = "a") -> Recording:
    samples = np.asarray(samples, np.float32)
    axes = tuple("xyz"[: samples.shape[1]])
    return Recording(name, samples, RATE, axes, "g", label, name)


def test_a_sound_recording_is_one_stretch() -> None:
    damage = damage_of(recording(vibration(1, 8192 + 100)), WINDOW, HOP)
    assert damage.sound == ((0, 8292),) and not damage.damaged and damage.windows == 32


def test_a_dead_end_is_cut_off() -> None:
    samples = vibration(2)
    samples[1024:] = 0
    damage = damage_of(recording(samples), WINDOW, HOP)
    assert damage.sound[0] == (0, 1024) and len(damage.sound) == 1
    assert damage.reasons[FLAT_LINE] >= 26 and damage.damaged == damage.windows - 3


def test_held_values_are_repeated_samples_and_not_clipped() -> None:
    damage = damage_of(recording(np.repeat(vibration(3, 2048), 4, axis=0)), WINDOW, HOP)
    assert damage.reasons == {REPEATED: damage.windows}


@pytest.mark.parametrize("hold_out", ["time=0.3", "windows=0.3", "name=b", "fold=1/2"])
def test_no_span_of_any_side_reaches_into_damage(hold_out: str) -> None:
    recordings = []
    for number, (name, label) in enumerate((("a", "calm"), ("b", "calm"), ("c", "worn"), ("d", "worn"))):
        samples = vibration(number)
        samples[3000:3300] = samples[3000]
        recordings.append(recording(samples, label, name))
    hop = WINDOW if hold_out.startswith("windows") else HOP
    settings = TrainSettings(hold_out, window=WINDOW, hop=hop, most_damaged=0.5)
    split = split_recordings(recordings, settings)
    spans = [*split.train, *split.validation, *split.held_out]
    assert spans and all(len(span) >= WINDOW for span in spans)
    assert all(span.stop <= 3008 or span.start >= 3292 for span in spans)  # 8 equal values are not stuck yet
    drawn = draw_windows(split, settings, 1)
    assert all(first + WINDOW <= 3008 or first >= 3292 for first in drawn.first_samples)


def test_clean_recordings_are_split_as_without_the_checks() -> None:
    recordings = [recording(vibration(n), label, f"r{n}") for n, label in enumerate(["calm", "calm", "worn", "worn"])]
    settings = TrainSettings("time=0.3", window=WINDOW)
    rng = np.random.default_rng(settings.seed)
    plain = make_split(recordings, parse_hold_out("time=0.3"), WINDOW, settings.hop_samples, rng)
    split = split_recordings(recordings, settings)
    assert (split.train, split.validation, split.held_out) == (plain.train, plain.validation, plain.held_out)


def test_a_class_that_is_mostly_damaged_is_refused_with_the_table() -> None:
    dead = vibration(4)
    dead[1024:] = 0
    recordings = [recording(vibration(5), "calm", "a"), recording(dead, "worn", "b")]
    with refused(SplitError, "damaged", label="worn", labels=("worn",)) as caught:
        check_damage(recordings, WINDOW, HOP, 0.05)
    table = str(caught.value).splitlines()
    assert "--most-damaged" in table[0] and table[-1].split()[:2] == ["worn", "b"] and "flat line" in table[-1]


def test_a_class_without_a_sound_window_is_refused_whatever_is_accepted() -> None:
    held = recording(np.repeat(vibration(3, 2048), 4, axis=0))
    with refused(SplitError, "damaged", share=1.0) as caught:
        check_damage([held], WINDOW, HOP, 1.0)
    assert "and state that rate." in str(caught.value) and "(the sensor runs at 200 Hz)" in str(caught.value)


def test_damage_is_told_in_a_line_and_a_table() -> None:
    samples = vibration(2)
    samples[8000:] = 0
    found = check_damage([recording(samples, name="pump"), recording(vibration(7))], WINDOW, HOP, 0.5)
    lines = damage_lines(found)
    assert lines[0].startswith("Warning: 1 damaged window of 62 is left out.") and "pump" in lines[1]
    assert not damage_lines(found[1:])


def test_a_long_table_is_cut_short() -> None:
    dead = np.zeros((1024, 1), np.float32)
    found = [damage_of(recording(dead, name=f"r{n}"), WINDOW, HOP) for n in range(20)]
    assert damage_text(found).splitlines()[-1] == "and 8 more recordings"


def test_a_span_keeps_the_parts_that_hold_a_window() -> None:
    span = Span(recording(vibration(1)), 100, 5000)
    assert span.within(((0, 700), (900, 1000), (4000, 8000)), WINDOW) == [
        Span(span.recording, 100, 700),
        Span(span.recording, 4000, 5000),
    ]
