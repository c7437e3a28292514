"""NumPy arrays in a file of their own: every order, type and shape comes back, in pieces, and objects are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import RawRecording, Request, whole
from drsn_edge.recordings.readers.npy_file import read_npy

SIGNAL = np.sin(np.arange(300.0))


def read(folder: Path, values: Any, **stated: Any) -> list[RawRecording]:
    """Write an array and read it."""
    np.save(folder / "a.npy", values)
    return read_npy(folder / "a.npy", Request(stated))


@given(
    n_axes=st.integers(1, 5),
    dtype=st.sampled_from(["<f8", ">f4", "<f2", "i1", ">i2", "<u4", "<i8"]),
    turned=st.booleans(),
    fortran=st.booleans(),
    most=st.sampled_from([1, 7, 1000]),
)
def test_every_layout_comes_back(
    tmp_path_factory: pytest.TempPathFactory, n_axes: int, dtype: str, turned: bool, fortran: bool, most: int
) -> None:
    samples = np.random.default_rng(n_axes).integers(-9, 9, (40, n_axes)).astype(dtype)
    stored = samples.T if turned else samples
    folder = tmp_path_factory.mktemp("npy")
    [raw] = read(folder, np.asfortranarray(stored) if fortran else np.ascontiguousarray(stored))
    pieces = list(raw.samples.pieces(most))
    assert max(map(len, pieces)) <= most
    np.testing.assert_array_equal(np.concatenate(pieces), samples)
    assert pieces[0].dtype.newbyteorder("=") == np.dtype(dtype).newbyteorder("=")
    assert (raw.samples.n_samples, raw.samples.n_channels) == samples.shape


def test_a_vector_has_no_name(tmp_path: Path) -> None:
    [raw] = read(tmp_path, SIGNAL)
    assert dict(raw.stated) == {} and whole(raw.samples).shape == (300, 1)


def test_fields_are_channels_and_a_rising_one_is_the_time(tmp_path: Path) -> None:
    rows = np.zeros(300, [("t_ms", "<f8"), ("X", "<f4"), ("note", "S4"), ("Y", ">i2")])
    rows["t_ms"], rows["X"], rows["Y"] = np.arange(300) * 2.0, SIGNAL, 100 * SIGNAL
    [raw] = read(tmp_path, rows)
    assert dict(raw.stated) == {"axes": ("X", "Y"), "sample_rate_hz": pytest.approx(500)}
    assert "t_ms" in raw.remarks[0]
    np.testing.assert_array_equal(whole(raw.samples), np.column_stack([rows["X"], rows["Y"]]))


def test_three_dimensions_are_captures(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((4, 2, 300))
    found = read(tmp_path, values)
    assert [raw.capture for raw in found] == [0, 1, 2, 3]
    for raw, expected in zip(found, values, strict=True):
        np.testing.assert_array_equal(whole(raw.samples), expected.T)


def test_axes_of_the_catalogue_tell_what_is_time(tmp_path: Path) -> None:
    square = np.arange(25.0).reshape(5, 5)
    with refused(RecordingError, "which_is_time", shape=(5, 5)):
        read(tmp_path, square)
    [raw] = read(tmp_path, np.arange(12.0).reshape(3, 4), axes=("X", "Y", "Z"))
    assert (raw.samples.n_samples, raw.samples.n_channels) == (4, 3)


def test_windows_that_were_cut_before_are_no_channels(tmp_path: Path) -> None:
    with refused(RecordingError, "which_is_time", shape=(100, 2048)):
        read(tmp_path, np.zeros((100, 2048), np.float32))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (np.array([{"a": 1}] * 20, dtype=object), "damaged"),
        (np.zeros((20, 1), "V0"), "damaged"),
        (np.zeros(20, complex), "no_samples_found"),
        (np.zeros(20, "U3"), "no_samples_found"),
        (np.zeros(20, "datetime64[ms]"), "no_samples_found"),
        (np.zeros((0, 3)), "no_samples_found"),
        (np.zeros((2, 3, 4, 50)), "no_samples_found"),
    ],
)
def test_refuses(tmp_path: Path, values: Any, problem: str) -> None:
    with refused(RecordingError, problem, path=tmp_path / "a.npy"):
        np.save(tmp_path / "a.npy", values, allow_pickle=True)
        read_npy(tmp_path / "a.npy", Request())


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (10**12,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f8', 'fortran_order': 0, 'shape': (4,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (4,)}",
        "__import__('os').abort()",
        "(" * 900,
        "",
    ],
)
def test_a_header_is_a_plain_value_and_claims_no_more_than_the_file_holds(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.npy").write_bytes(
        b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(64)
    )
    with refused(RecordingError, "damaged"):
        read_npy(tmp_path / "a.npy", Request())
