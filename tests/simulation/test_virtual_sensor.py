"""A recording as a sensor: its range, its noise, and its end."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.quality import clipping_level
from drsn_edge.simulation import virtual_sensor as replay
from drsn_edge.simulation.virtual_sensor import Playback, full_scale_for, virtual_sensor


@given(st.floats(2**-20, 2**20, width=32))
def test_the_full_scale_is_the_next_power_of_two_and_nothing_looks_clipped(peak: float) -> None:
    samples = np.array([[0.0], [-peak]], np.float32)
    full_scale = full_scale_for(samples)
    assert np.log2(full_scale) % 1 == 0
    assert np.float32(peak) < full_scale <= 2.01 * np.float32(peak)
    scale = full_scale / 2**15
    assert np.abs(np.rint(samples / scale)).max() < clipping_level(full_scale, scale)


def test_silence_has_a_full_scale_too() -> None:
    assert full_scale_for(np.zeros((5, 2), np.float32)) == 1.0


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Keep the arguments of the virtual accelerometer."""
    kept: dict[str, Any] = {}
    monkeypatch.setattr(
        replay, "VirtualAccelerometer", lambda hello, chunks, **rest: kept.update(hello=hello, chunks=chunks, **rest)
    )
    return kept


def play(made: dict[str, Any], n: int = 10_000, link: Path | None = None, **options: Any) -> Recording:
    samples = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    recording = Recording("pump", samples, 4000.0, ("x", "y"), "mg", None, "pump")
    virtual_sensor(recording, Playback(**{"speed": None, **options}), link=link)
    return recording


def test_it_plays_the_recording_as_it_is(made: dict[str, Any]) -> None:
    recording = play(made, link=Path("port"), speed=2.0)
    np.testing.assert_array_equal(np.concatenate(list(made["chunks"])), recording.samples)
    hello = made["hello"]
    assert (hello.axes, hello.unit, hello.sample_rate_hz) == (("x", "y"), "mg", 4000.0)
    assert hello.device_id == "virtual:pump"
    assert hello.scale == hello.full_scale / 2**15
    assert (made["link"], made["speed"]) == (Path("port"), 2.0)


def test_a_loop_begins_again_without_a_seam_of_its_own(made: dict[str, Any]) -> None:
    recording = play(made, n=5000, loop=True)
    played = np.concatenate(list(itertools.islice(made["chunks"], 6)))
    np.testing.assert_array_equal(played, np.concatenate([recording.samples] * 3))


def test_noise_has_the_asked_strength_and_its_seed(made: dict[str, Any]) -> None:
    recording = play(made, snr_db=6.0, seed=3)
    first = np.concatenate(list(made["chunks"]))
    noise = first - recording.samples
    assert 10 * np.log10((recording.samples**2).mean() / (noise**2).mean()) == pytest.approx(6.0, abs=0.2)
    play(made, snr_db=6.0, seed=3)
    np.testing.assert_array_equal(np.concatenate(list(made["chunks"])), first)
    play(made, snr_db=6.0, seed=4)
    assert (np.concatenate(list(made["chunks"])) != first).any()
