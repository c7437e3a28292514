"""MATLAB files with the variable names of CWRU."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.load import load_recording
from drsn_edge.recordings.raw import Request, whole
from drsn_edge.recordings.readers.mat_file import read_mat

scipy_io = pytest.importorskip("scipy.io")

DE = np.array([[1.0], [2.0], [3.0]])


def save(path: Path, **variables: Any) -> Path:
    """Write a MATLAB 5 file."""
    scipy_io.savemat(path, variables)
    return path


def test_drive_end_with_label_and_load_of_the_built_in_catalogue(tmp_path: Path) -> None:
    path = save(tmp_path / "m.mat", X107_FE_time=2 * DE, X107_DE_time=DE, X107RPM=[[1748]])
    recording = load_recording(path)
    np.testing.assert_array_equal(recording.samples, DE)
    assert (recording.axes, recording.unit, recording.sample_rate_hz) == (("DE",), "g", 12000.0)
    assert (recording.label, recording.group) == ("IR007", "m")
    assert recording.fields == {
        "cwru_file": 107, "rpm": 1748, "rpm_measured": True, "load_hp": 2, "fault": "inner_race",
        "fault_size_in": 0.007,
    }  # fmt: skip


def test_axes_of_a_catalogue_choose_channels_by_name(tmp_path: Path) -> None:
    path = save(tmp_path / "105.mat", X105_BA_time=3 * DE, X105_DE_time=DE, X105_FE_time=2 * DE)
    (tmp_path / "catalogue.toml").write_text('[defaults]\naxes = ["BA", "DE"]')
    recording = load_recording(path)
    np.testing.assert_array_equal(recording.samples, DE * [3, 1])
    assert (recording.axes, recording.label) == (("BA", "DE"), "IR007")
    (tmp_path / "catalogue.toml").write_text('[defaults]\naxes = ["Z"]')
    with refused(RecordingError, "unknown_axes", path=path, catalogue=("Z",), file=("DE", "FE", "BA")):
        load_recording(path)


def test_numbers_with_leading_zero_and_without_speed(tmp_path: Path) -> None:
    (tmp_path / "catalogue.toml").write_text("[defaults]\nsample_rate_hz = 48000")
    recording = load_recording(save(tmp_path / "98.mat", X098_DE_time=DE))
    assert (recording.label, recording.fields) == ("normal", {"cwru_file": 98, "load_hp": 1, "fault": "normal"})


def test_rate_of_the_healthy_recordings_is_not_guessed(tmp_path: Path) -> None:
    """CWRU recorded them at 48 kHz, not at 12 kHz like the faults."""
    with refused(RecordingError, "incomplete", missing=("sample_rate_hz",)):
        load_recording(save(tmp_path / "97.mat", X097_DE_time=DE))


def test_of_two_numbers_the_file_name_chooses(tmp_path: Path) -> None:
    both = {"X098_DE_time": DE, "X099_DE_time": 2 * DE, "X098RPM": 1772, "X099RPM": 1750}
    (tmp_path / "catalogue.toml").write_text("[defaults]\nsample_rate_hz = 48000")
    recording = load_recording(save(tmp_path / "99.mat", **both))
    np.testing.assert_array_equal(recording.samples, 2 * DE)
    assert recording.fields == {
        "cwru_file": 99, "rpm": 1750, "rpm_measured": True, "load_hp": 2, "fault": "normal",
    }  # fmt: skip
    with refused(RecordingError, "several_recordings", path=tmp_path / "normal_2.mat", numbers=(98, 99)) as caught:
        load_recording(save(tmp_path / "normal_2.mat", **both))
    assert "98.mat" in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "problem", "facts"),
    [
        ({"vibration": DE, "fs": 12000}, "incomplete", {"missing": ("unit",)}),
        ({}, "no_samples_found", {}),
        ({"X105_DE_time": DE, "X105_FE_time": DE[:2]}, "channel_shapes", {"shapes": [(2, 1), (3, 1)]}),
        ({"X105_DE_time": np.eye(3)}, "channel_shapes", {"shapes": [(3, 3)]}),
        ({"X105_DE_time": "text"}, "no_samples_found", {}),
        ({"X105_DE_time": 1j * DE}, "no_samples_found", {}),
        ({"X105_DE_time": {"a": 1}}, "no_samples_found", {}),
        ({"X105_DE_time": DE * np.nan}, "not_finite", {"count": 3, "recording": "a", "sample": 0, "axis": "DE"}),
        ({"X999_DE_time": DE}, "incomplete", {"missing": ("sample_rate_hz",)}),
    ],
)
def test_refuses(tmp_path: Path, variables: dict[str, Any], problem: str, facts: dict[str, Any]) -> None:
    with refused(RecordingError, problem, path=tmp_path / "a.mat", **facts):
        load_recording(save(tmp_path / "a.mat", **variables))


def test_refuses_an_empty_channel(tmp_path: Path) -> None:
    with refused(RecordingError, "no_samples", path=tmp_path / "105.mat"):
        load_recording(save(tmp_path / "105.mat", X105_DE_time=np.zeros((0, 1))))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "i2", "u2", "u1"])
def test_matlab_4(tmp_path: Path, dtype: str) -> None:
    signal = (100 + 50 * np.sin(np.arange(300.0))).astype(dtype)
    scipy_io.savemat(tmp_path / "a.mat", {"sig": np.column_stack([signal, signal]), "fs": 100, "note": "x"}, format="4")
    [raw] = read_mat(tmp_path / "a.mat", Request())
    np.testing.assert_array_equal(whole(raw.samples), np.column_stack([signal, signal]))
    assert dict(raw.stated) == {"sample_rate_hz": 100.0, "note": "x"}


@pytest.mark.parametrize("do_compression", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_every_sample_comes_back(tmp_path: Path, dtype: str, do_compression: bool) -> None:
    samples = np.random.default_rng(0).integers(0, 99, (500, 3)).astype(dtype)
    scipy_io.savemat(tmp_path / "a.mat", {"s": {"deep": {"data": samples.T}}}, do_compression=do_compression)
    [raw] = read_mat(tmp_path / "a.mat", Request())
    pieces = list(raw.samples.pieces(64))
    assert max(map(len, pieces)) <= 64 and pieces[0].dtype == dtype
    np.testing.assert_array_equal(np.concatenate(pieces), samples)


def test_a_compressed_file_says_what_memory_it_needs_before_it_is_unpacked(tmp_path: Path) -> None:
    scipy_io.savemat(tmp_path / "a.mat", {"data": np.zeros(10_000_000)}, do_compression=True)
    size = (tmp_path / "a.mat").stat().st_size
    assert size < 1_000_000
    tracemalloc.start()
    try:
        with refused(RecordingError, "needs_memory", path=tmp_path / "a.mat", limit_bytes=10_000_000) as caught:
            read_mat(tmp_path / "a.mat", Request(memory_bytes=10_000_000))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert caught.value.facts["needed_bytes"] == pytest.approx(size + 80_000_000, abs=1000)


def test_needs_no_scipy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "105.mat", X105_DE_time=DE)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    assert load_recording(path).samples.shape == (3, 1)
