from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drsn_edge.looking.look import look
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.raw import MAX_RECORDING_BYTES

RATE = 1000


def save(path: Path, samples: np.ndarray, header: str = "x_g") -> None:
    np.savetxt(path, samples, fmt="%.6f", delimiter=",", header=header, comments="")


def test_hum_and_a_jump_are_heard_in_the_beginning(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(20 * RATE, 1)) * 0.01
    time_s = np.arange(len(noise))[:, None] / RATE
    hum = sum(np.sin(2 * np.pi * 50 * k * time_s) for k in (1, 2, 3))
    save(tmp_path / "calm_1000Hz.csv", noise)
    save(tmp_path / "hum_1000Hz.csv", noise + 0.1 * hum)
    save(tmp_path / "moved_1000Hz.csv", noise + np.where(time_s < 8, 0.0, 1.0))
    calm, hum_50, moved = look([tmp_path], None, MAX_RECORDING_BYTES).sights
    assert hum_50.hum_db[50.0] > 20 > calm.hum_db[50.0]
    assert (calm.jump_s, moved.jump_s) == (None, pytest.approx(8, abs=1))


def test_it_measures_what_loading_returns(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).normal(size=(70_000, 2))
    save(tmp_path / "a.csv", samples, "y_g,x_g")
    (tmp_path / "catalogue.toml").write_text('[defaults]\nsample_rate_hz = 1000\naxes = ["x", "y"]\nscale = 2.0\n')
    (sight,) = look([tmp_path], None, MAX_RECORDING_BYTES).sights
    (recording,) = load_recordings(tmp_path)
    assert sight.axes == recording.axes and sight.measures.n_samples == len(recording.samples)
    np.testing.assert_allclose(sight.measures.level, recording.samples.std(axis=0), rtol=1e-4)
    assert sight.windows == 64 + 4


def test_files_are_in_the_order_of_their_numbers_and_a_link_twice_is_told(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        save(tmp_path / f"{number}.csv", np.random.default_rng(number).normal(size=(200, 1)))
    (tmp_path / "again.csv").symlink_to(tmp_path / "9.csv")
    (tmp_path / "2004.02.12.10.32.39").write_text("0.1\t0.2\t0.3\t0.4\n" * 300)
    (tmp_path / "numbers").write_text("0.1 0.2 0.3\n" * 300)
    (tmp_path / "README").write_text("Numbers of 2004\n" * 30)
    found = look([tmp_path], None, MAX_RECORDING_BYTES)
    assert [sight.path for sight in found.sights] == ["1.csv", "9.csv", "10.csv", "2004.02.12.10.32.39", "numbers"]
    guesses = found.proposal.guesses
    assert {path: values["format"].value for path, values in guesses.items() if "format" in values} == {
        "2004.02.12.10.32.39": "table",
        "numbers": "table",
    }
    assert "README" in found.passed_over[0] and "again.csv" in found.passed_over[1]


def test_axes_and_units_that_differ_are_named_with_the_way_out(tmp_path: Path) -> None:
    samples = np.random.default_rng(2).normal(size=(1000, 3))
    save(tmp_path / "healthy_1000Hz.csv", samples, "x_g,y_g,z_g")
    save(tmp_path / "worn_1000Hz.csv", samples * 1000, "z_mg,y_mg,x_mg")
    axes, unit = look([tmp_path], None, MAX_RECORDING_BYTES).doubts
    assert 'axes = ["x", "y", "z"]' in axes and "worn_1000Hz.csv has z,y,x" in axes
    assert "healthy_1000Hz.csv has g" in unit and "worn_1000Hz.csv has mg" in unit
    (tmp_path / "catalogue.toml").write_text('[defaults]\naxes = ["x", "y", "z"]\n')
    assert look([tmp_path], None, MAX_RECORDING_BYTES).doubts == (unit,)


def test_what_to_do_with_spreadsheets_is_told(tmp_path: Path) -> None:
    (tmp_path / "worn.xlsx").write_bytes(b"PK\x03\x04" + bytes(100))
    assert "CSV" in look([tmp_path], None, MAX_RECORDING_BYTES).passed_over[-1]
