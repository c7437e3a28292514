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
    np.testing.assert_array_equal(whole(raw.samples)[:, 0], X)
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
    assert raw.stated["axes"] == ("x",) and "another column has its name" in raw.remarks[0]


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
