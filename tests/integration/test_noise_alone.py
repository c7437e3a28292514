"""Real machines are no noise, down to -4 dB; a real accelerometer on nothing that moves mostly is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.signal.names import NOISE_KINDS
from drsn_edge.signal.noise import add_noise
from drsn_edge.signal.noise_alone import CHANCE, LEAST_SAMPLES, chances
from drsn_edge.signal.windows import FloatArray, centre, cut_windows, window_starts

pytestmark = pytest.mark.integration

MOST = 0.005


def windows_of(folder: Path, per_recording: int) -> FloatArray:
    found = []
    for recording in load_recordings(folder):
        starts = window_starts(len(recording.samples), LEAST_SAMPLES, LEAST_SAMPLES)
        some = starts[np.linspace(0, len(starts) - 1, per_recording).astype(int)]
        found.append(cut_windows(recording.samples, some, LEAST_SAMPLES))
    return np.concatenate(found)


def share(windows: FloatArray) -> float:
    return float(np.mean(chances(centre(windows)) >= CHANCE))


@pytest.mark.parametrize(("data", "per_recording"), [("cwru", 25), ("adi_mfs_mems", 10)])
def test_true_windows_are_not_withheld(shared_data: Path, data: str, per_recording: int) -> None:
    windows = windows_of(shared_data / data, per_recording)
    assert len(windows) >= 1000
    assert share(windows) == 0.0
    rng = np.random.default_rng(0)
    assert share(add_noise(windows[::2], 0.0, rng)) == 0.0
    for kind in NOISE_KINDS:
        assert share(add_noise(windows, -4.0, rng, kind)) <= MOST, kind


def test_a_fan_that_runs_is_no_noise_and_one_that_is_off_is(shared_data: Path) -> None:
    for path in (shared_data / "fan_mems_ceiling").glob("*.npz"):
        seconds = np.load(path)["x"].transpose(0, 2, 1).astype(np.float32)  # of 200 samples
        if path.stem.startswith("off"):
            assert share(seconds) > 0.6
        else:
            level = seconds - seconds.mean(axis=1, keepdims=True)
            joined = level[: len(level) // 6 * 6].reshape(-1, 6 * 200, 3)  # as the monitor joins short windows
            assert share(joined) <= MOST, path.stem
