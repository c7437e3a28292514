"""Parquet: every sample as pyarrow wrote it, in pieces; what is no axis is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recording_files import SAMPLES, parquet_bytes
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import RawRecording, Request, whole
from drsn_edge.recordings.readers.parquet_file import read_parquet

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")

X, Y = SAMPLES.T


def read(path: Path, data: bytes, **values: Any) -> RawRecording:
    """Write a file and read it."""
    path.write_bytes(data)
    (raw,) = read_parquet(path, Request(values))
    return raw


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
@pytest.mark.parametrize(
    "options", [{}, {"row_group_size": 7}, {"compression": "zstd"}, {"use_dictionary": False}], ids=str
)
def test_equals_what_was_written(tmp_path: Path, dtype: str, options: dict[str, Any]) -> None:
    values = np.random.default_rng(4).integers(0, 100, (2, 100)).astype(dtype)
    raw = read(tmp_path / "a.parquet", parquet_bytes({"x": values[0], "y": values[1]}, **options))
    np.testing.assert_array_equal(np.concatenate(list(raw.samples.pieces(33))), values.T)
    assert (raw.samples.n_samples, raw.stated["axes"]) == (100, ("x", "y"))


def test_columns_that_hold_no_numbers_are_left_out_and_named(tmp_path: Path) -> None:
    columns = {
        "x": X,
        "note": ["a"] * 20,
        "kind": pyarrow.array(["a", "b"] * 10).dictionary_encode(),
        "nested": [[1.0, 2.0]] * 20,
        "is_on": [True] * 20,
    }
    raw = read(tmp_path / "a.parquet", parquet_bytes(columns))
    np.testing.assert_array_equal(whole(raw.samples), X[:, None])
    said = " ".join(raw.remarks)
    assert all(name in said for name in ("note", "kind", "nested", "is_on"))
    with refused(RecordingError, "no_axis", path=tmp_path / "b.parquet"):
        read(tmp_path / "b.parquet", parquet_bytes({"note": ["a"] * 20}))


def test_names_with_dots_and_names_that_are_there_twice(tmp_path: Path) -> None:
    raw = read(tmp_path / "a.parquet", parquet_bytes({"acc.x": X, "acc.y": Y}))
    np.testing.assert_array_equal(whole(raw.samples), SAMPLES)
    twice = pyarrow.table([X, Y, Y], names=["x", "y", "y"])
    pyarrow.parquet.write_table(twice, tmp_path / "b.parquet")
    raw = read(tmp_path / "b.parquet", (tmp_path / "b.parquet").read_bytes())
    assert raw.stated["axes"] == ("x",) and "has the name of another one" in raw.remarks[0]


@pytest.mark.parametrize(
    "stamps",
    [
        np.arange(20) * 0.01,
        1_700_000_000 + np.arange(20) * 0.01,
        1_700_000_000_000 + 10 * np.arange(20),
        1_700_000_000_000_000_000 + 10_000_000 * np.arange(20),
        np.datetime64("2026-01-02T03:04:05", "ns") + 10_000_000 * np.arange(20),
        np.datetime64("2026-01-02T03:04:05", "ms") + 10 * np.arange(20),
        10_000 * np.arange(20).astype("m8[us]"),
    ],
    ids=["seconds", "epoch", "epoch in ms", "epoch in ns", "timestamp[ns]", "timestamp[ms]", "duration[us]"],
)
@pytest.mark.parametrize("name", ["timestamp", "__index_level_0__"])
def test_clocks_give_the_rate_and_are_no_axes(tmp_path: Path, stamps: Any, name: str) -> None:
    raw = read(tmp_path / "a.parquet", parquet_bytes({name: stamps, "Acc x (m/s^2)": X, "Acc y (m/s^2)": Y}))
    assert raw.stated == {"axes": ("Acc x", "Acc y"), "unit": "m/s2", "sample_rate_hz": pytest.approx(100, rel=1e-4)}
    assert raw.rate_spread is not None and raw.rate_spread < 1e-3
    assert "is a clock" in raw.remarks[0]


def test_a_clock_is_measured_over_the_whole_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    n = 200_000
    stamps = np.datetime64("2026-01-02", "us") + np.cumsum(rng.integers(300, 325, n))
    raw = read(tmp_path / "a.parquet", parquet_bytes({"t": stamps, "x": rng.normal(size=n), "n": np.arange(n)}))
    assert raw.stated["sample_rate_hz"] == pytest.approx(1e6 / 312, rel=1e-3)
    assert raw.rate_spread == pytest.approx(25 / 12**0.5 / 312, rel=0.1)
    assert raw.stated["axes"] == ("x",) and any("counter" in remark for remark in raw.remarks)


def test_missing_samples_are_found_by_the_clock(tmp_path: Path) -> None:
    stamps = np.arange(200) * 0.01 + np.where(np.arange(200) > 99, 0.5, 0)
    data = parquet_bytes({"time_s": stamps, "x": np.random.default_rng(7).normal(size=200)})
    with refused(RecordingError, "uneven_times", path=tmp_path / "a.parquet", sample=99):
        read(tmp_path / "a.parquet", data)
    raw = read(tmp_path / "a.parquet", data, time_column="-")
    assert "sample_rate_hz" not in raw.stated


def test_missing_samples_are_found_by_a_counter(tmp_path: Path) -> None:
    seq, x = np.delete(np.arange(3000), [2500, 2501]), np.random.default_rng(7).normal(size=2998)
    with refused(RecordingError, "missing_samples", missing=2, sample=2499, column="seq"):
        read(tmp_path / "a.parquet", parquet_bytes({"seq": seq, "x": x}))
    raw = read(tmp_path / "b.parquet", parquet_bytes({"seq": seq, "x": x}), time_column="-")
    assert raw.samples.n_channels == 1


def test_a_catalogue_chooses_columns(tmp_path: Path) -> None:
    data = parquet_bytes({"x": X, "y": Y, "z": X + Y})
    for values in ({"axes": ("z", "x")}, {"variable": ("z", "x")}):
        raw = read(tmp_path / "a.parquet", data, **values)
        np.testing.assert_array_equal(whole(raw.samples), np.stack([X + Y, X], axis=1))
        assert raw.stated["axes"] == ("z", "x")


def test_missing_values_are_not_finite(tmp_path: Path) -> None:
    raw = read(tmp_path / "a.parquet", parquet_bytes({"x": [1.0, None, 3.0], "n": pyarrow.array([1, 2, None])}))
    np.testing.assert_array_equal(whole(raw.samples), [[1, 1], [np.nan, 2], [3, np.nan]])


def test_refuses_a_file_that_swells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = parquet_bytes({"x": np.zeros(200_000)})
    assert read(tmp_path / "a.parquet", data).samples.n_samples == 200_000  # a sensor that was dead throughout
    monkeypatch.setattr("drsn_edge.recordings.readers.parquet_file.MAX_RECORDING_BYTES", 1000)
    monkeypatch.setattr("drsn_edge.recordings.readers.parquet_file._MOST_SWELLING", 10)
    with refused(RecordingError, "swells", rows=200_000, size=len(data)):
        read(tmp_path / "a.parquet", data)


def test_says_how_to_get_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = parquet_bytes()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with refused(RecordingError, "package_missing", package="pyarrow", extra="formats"):
        read(tmp_path / "a.parquet", data)
