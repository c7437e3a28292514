"""Tables as recordings: header, units, time stamps, and where exactly something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.load import load_recording
from drsn_edge.recordings.recording import Recording


def load(folder: Path, text: str | bytes, **defaults: str) -> Recording:
    """Write a CSV and a catalogue with `defaults` (values as TOML), and load the CSV."""
    (folder / "a.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    lines = ["[defaults]", *(f"{key} = {value}" for key, value in defaults.items())]
    (folder / "catalogue.toml").write_text("\n".join(lines))
    return load_recording(folder / "a.csv")


def test_header_gives_axes_and_unit_and_time_gives_the_rate(tmp_path: Path) -> None:
    recording = load(tmp_path, "x_mg, time_s ,y_mg\r\n1,0.000,4\r\n2,0.005,5\r\n\r\n3,0.010,6\r\n")
    np.testing.assert_array_equal(recording.samples, [[1, 4], [2, 5], [3, 6]])
    assert (recording.sample_rate_hz, recording.axes, recording.unit) == (200.0, ("x", "y"), "mg")


@pytest.mark.parametrize(("suffix", "unit"), [("_g", "g"), ("_mg", "mg"), ("_mps2", "m/s2")])
def test_unit_suffixes(tmp_path: Path, suffix: str, unit: str) -> None:
    recording = load(tmp_path, f"x_g{suffix}\n1\n", sample_rate_hz="10")
    assert (recording.unit, recording.axes) == (unit, ("x_g",))


def test_byte_order_mark_and_quotes_of_spreadsheets(tmp_path: Path) -> None:
    recording = load(tmp_path, '\ufeff"x_g","y_g"\n"1.5",2\n', sample_rate_hz="10")
    np.testing.assert_array_equal(recording.samples, [[1.5, 2]])


def test_unit_and_rate_from_the_catalogue(tmp_path: Path) -> None:
    recording = load(tmp_path, "x,y\n1,2\n", sample_rate_hz="10", unit='"counts"', axes='["y"]')
    assert (recording.unit, recording.axes, recording.samples.tolist()) == ("counts", ("y",), [[2.0]])


def test_nominal_rate_of_the_catalogue_stands_for_the_measured_one(tmp_path: Path) -> None:
    text = "time_s,x_g\n0,1\n0.0010004,2\n"
    assert load(tmp_path, text).sample_rate_hz == pytest.approx(999.6, abs=0.01)
    assert load(tmp_path, text, sample_rate_hz="1000").sample_rate_hz == 1000.0
    with refused(RecordingError, "contradiction", key="sample_rate_hz", catalogue=1010.0) as caught:
        load(tmp_path, text, sample_rate_hz="1010")
    assert caught.value.facts["file"] == pytest.approx(999.6, abs=0.01)


def test_time_stamps_rounded_to_microseconds_are_even(tmp_path: Path) -> None:
    lines = [f"{k / 12000:.6f},0" for k in range(1000)]
    assert load(tmp_path, "\n".join(["time_s,x_g", *lines])).sample_rate_hz == pytest.approx(12000, rel=1e-5)


def test_says_where_a_sample_was_lost(tmp_path: Path) -> None:
    lines = [f"{0.01 * k:.2f},0" for k in range(50) if k not in (20, 40)]
    where = {"step_s": 0.01, "count": 2, "got_s": 0.02, "sample": 19, "time_s": 0.19}
    with refused(RecordingError, "uneven_times", path=tmp_path / "a.csv", **where):
        load(tmp_path, "\n".join(["time_s,x_g", *lines]))


@pytest.mark.parametrize(
    ("text", "problem", "facts"),
    [
        ("\n", "no_samples", {}),
        ("1,2\n3,4\n", "incomplete", {"missing": ("sample_rate_hz", "axes", "unit")}),
        ("x_g\n", "no_samples", {}),
        ("x_g\n\n\n", "no_samples", {}),
        ("time_s\n1\n", "no_axis", {}),
        ("x_g,x_g\n1,2\n", "column_names", {"got": ("x", "x")}),
        ("x_g,,y_g\n1,2,3\n", "column_names", {"got": ("x", "", "y")}),
        ("x_g,y_mg\n1,2\n", "mixed_units", {"columns": ("x", "y")}),
        ("x_g,y\n1,2\n", "mixed_units", {"columns": ("x", "y")}),
        ("x_g,y_g\n1,2\n3,oops\n", "not_a_number", {"got": "oops", "line": 3, "column": "y_g"}),
        ("x_g,y_g\n1,2\n\n3,\n", "not_a_number", {"got": "", "line": 4, "column": "y_g"}),
        ("x_g,y_g\n1,2\n3\n", "value_count", {"expected": 2, "got": 1, "line": 3}),
        ("x_g,y_g\n1,2,3\n4,5,6\n", "value_count", {"expected": 2, "got": 3, "line": 2}),
        ("x_g\n1,5\n", "value_count", {"expected": 1, "got": 2, "line": 2}),
        ("time_s,x_g\n0,1\n1,nan\n", "not_finite", {"count": 1, "recording": "a", "sample": 1, "axis": "x"}),
        ("time_s,x_g\n0,1\n", "too_few_times", {"finite": 1, "lines": 1}),
        ("time_s,x_g\n0,1\nnan,2\n1,3\n", "too_few_times", {"finite": 2, "lines": 3}),
        ("time_s,x_g\n0,1\n0,2\n0,3\n", "times_do_not_rise", {"step_s": 0.0}),
        ("time_s,x_g\n2,1\n1,2\n0,3\n", "times_do_not_rise", {"step_s": -1.0}),
        ("file,label\na.npz,ok\n", "index", {}),
        ("x\n1\n", "incomplete", {"missing": ("sample_rate_hz", "unit")}),
    ],
)
def test_refuses(tmp_path: Path, text: str, problem: str, facts: dict[str, object]) -> None:
    with refused(RecordingError, problem, path=tmp_path / "a.csv", **facts):
        load(tmp_path, text)


def test_a_header_tells_two_columns_from_a_decimal_comma(tmp_path: Path) -> None:
    assert load(tmp_path, "x_g,y_g\n-0,0\n-0,05\n", sample_rate_hz="800").axes == ("x", "y")
    assert load(tmp_path, "x_g,y_g,z_g,w_g\n0,05,-0,0\n1,07,-0,0\n", sample_rate_hz="800").samples.shape == (2, 4)


@given(
    x=arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.floats(-1e6, 1e6, width=32)),
    rate=st.integers(1, 50000),
)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, x: np.ndarray[Any, Any], rate: int) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    table = np.column_stack([np.arange(len(x) + 1) / rate, np.vstack([x, x[:1]])])
    header = ",".join(["time_s", *(f"axis{k}_mps2" for k in range(x.shape[1]))])
    np.savetxt(path, table, delimiter=",", header=header, comments="", fmt="%.17g")
    recording = load_recording(path)
    np.testing.assert_array_equal(recording.samples[:-1], x)
    assert recording.sample_rate_hz == pytest.approx(rate)
