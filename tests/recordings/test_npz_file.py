"""NumPy archives: the documented layout, and what is refused."""

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
from drsn_edge.recordings.loading.load import load_recording, load_recordings

COMPLETE: dict[str, Any] = {"x": np.arange(6.0).reshape(2, 3), "fs": 100, "axes": ["X", "Y"], "unit": "g"}


def save(folder: Path, name: str = "a.npz", without: str = "", **keys: Any) -> Path:
    """Write COMPLETE, changed by `keys`."""
    path = folder / name
    np.savez(path, **{key: value for key, value in {**COMPLETE, **keys}.items() if key != without})
    return path


def test_last_dimension_is_time(tmp_path: Path) -> None:
    recording = load_recording(save(tmp_path))
    np.testing.assert_array_equal(recording.samples, [[0, 3], [1, 4], [2, 5]])
    assert recording.samples.dtype == np.float32
    assert (recording.name, recording.group, recording.label) == ("a", "a", None)
    assert (recording.sample_rate_hz, recording.axes, recording.unit) == (100.0, ("X", "Y"), "g")


def test_last_dimension_is_time_even_where_the_sizes_suggest_otherwise(tmp_path: Path) -> None:
    with refused(RecordingError, "wrong_axis_count", names=("X", "Y"), channels=500, samples=2) as caught:
        load_recording(save(tmp_path, x=np.zeros((500, 2))))
    assert "transpose" in str(caught.value)


def test_missing_axes_of_a_transposed_array_ask_for_the_layout(tmp_path: Path) -> None:
    with refused(RecordingError, "incomplete", missing=("axes",)) as caught:
        load_recording(save(tmp_path, x=np.zeros((500, 2)), without="axes"))
    assert 'axes = [""]}]   # fill in 500 names of axes for 2 samples each' in str(caught.value)


def test_one_dimensional_recordings_need_an_axis_too(tmp_path: Path) -> None:
    assert load_recording(save(tmp_path, x=np.arange(3), axes=["X"])).samples.shape == (3, 1)
    with refused(RecordingError, "incomplete", missing=("axes",)):
        load_recording(save(tmp_path, x=np.arange(3), without="axes"))


def test_scalars_become_fields_and_other_arrays_do_not(tmp_path: Path) -> None:
    path = save(
        tmp_path, label=b"worn", group=7, rpm=np.float32(1797), ok=np.bool_(True), note=["n"], bias=[1.0, 2.0], c=1j
    )
    recording = load_recording(path)
    assert (recording.label, recording.group) == ("worn", "7")
    assert recording.fields == {"rpm": 1797.0, "ok": True, "note": "n"}
    assert all(type(value) in (str, int, float, bool) for value in recording.fields.values())


def test_captures_are_recordings_of_one_group(tmp_path: Path) -> None:
    path = save(tmp_path, x=np.arange(24).reshape(12, 2, 1), number=np.arange(12) * 10, label="ok")
    recordings = load_recordings(tmp_path)
    assert [recording.name for recording in recordings] == [f"a#{k}" for k in range(12)]
    assert {recording.group for recording in recordings} == {"a"}
    assert {recording.label for recording in recordings} == {"ok"}
    assert recordings[11].fields == {"number": 110}
    np.testing.assert_array_equal(load_recording(f"{path}#11").samples, recordings[11].samples)


def test_as_many_captures_as_axes_keep_their_axes(tmp_path: Path) -> None:
    save(tmp_path, x=np.zeros((2, 2, 5)), label=["good", "bad"])
    recordings = load_recordings(tmp_path)
    assert [(recording.axes, recording.label) for recording in recordings] == [
        (("X", "Y"), "good"),
        (("X", "Y"), "bad"),
    ]


def test_a_file_of_captures_needs_a_choice(tmp_path: Path) -> None:
    path = save(tmp_path, x=np.zeros((3, 2, 5)))
    with refused(RecordingError, "several_captures", path=path, captures=3) as caught:
        load_recording(path)
    assert "a.npz#0 to #2" in str(caught.value)
    with refused(RecordingError, "no_such_capture", path=path, capture=3, captures=3):
        load_recording(f"{path}#3")


def test_a_file_without_captures_has_no_capture_to_choose(tmp_path: Path) -> None:
    with refused(RecordingError, "no_such_capture", capture=0, captures=0):
        load_recording(f"{save(tmp_path)}#0")


@pytest.mark.parametrize(
    ("keys", "problem", "facts"),
    [
        ({"x": np.zeros((1, 1, 1, 1))}, "wrong_shape", {"got": [1, 1, 1, 1]}),
        ({"x": np.float64(3)}, "wrong_shape", {"got": []}),
        ({"x": np.zeros((2, 0))}, "wrong_shape", {"got": [2, 0]}),
        ({"x": np.zeros((0, 2, 5))}, "wrong_shape", {"got": [0, 2, 5]}),
        ({"x": np.array([["a"]])}, "not_real_numbers", {"what": "x", "got": "<U1"}),
        ({"x": np.zeros((2, 3), dtype=complex)}, "not_real_numbers", {"what": "x", "got": "complex128"}),
        ({"x": np.zeros((2, 3), dtype=bool)}, "not_real_numbers", {"what": "x", "got": "bool"}),
        ({"sample_rate_hz": 200}, "stated_twice", {"key": "sample_rate_hz", "values": (100.0, 200.0)}),
        ({"axes": ["X"]}, "wrong_axis_count", {"names": ("X",), "channels": 2}),
    ],
)
def test_refuses(tmp_path: Path, keys: dict[str, Any], problem: str, facts: dict[str, Any]) -> None:
    with refused(RecordingError, problem, path=tmp_path / "a.npz", **facts):
        load_recording(save(tmp_path, **keys))


@pytest.mark.parametrize("keys", [{"x": np.array([[None]])}, {"note": np.array({"a": 1})}])
def test_refuses_arrays_of_objects(tmp_path: Path, keys: dict[str, Any]) -> None:
    with refused(RecordingError, "damaged", path=tmp_path / "a.npz", kind="objects") as caught:
        load_recording(save(tmp_path, **keys))
    assert f"'{next(iter(keys))}.npy'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "key", "got"),
    [
        ("fs", 0, "sample_rate_hz", "0"),
        ("fs", -5.0, "sample_rate_hz", "-5.0"),
        ("fs", np.nan, "sample_rate_hz", "nan"),
        ("fs", np.inf, "sample_rate_hz", "inf"),
        ("fs", True, "sample_rate_hz", "True"),
        ("fs", "100", "sample_rate_hz", "'100'"),
        ("fs", np.arange(100000), "sample_rate_hz", "[0, 1, 2, 3, 4, 5, ...]"),
        ("axes", ["X", "X"], "axes", "['X', 'X']"),
        ("axes", "XY", "axes", "'XY'"),
        ("unit", "", "unit", "''"),
        ("label", 1.5, "label", "1.5"),
        ("label", ["a", "b", "c"], "label", "['a', 'b', 'c']"),
    ],
)
def test_refuses_values_that_a_key_does_not_take(tmp_path: Path, name: str, value: Any, key: str, got: str) -> None:
    with refused(RecordingError, "wrong_value", place=f"{tmp_path / 'a.npz'}, key {name}", key=key, got=got):
        load_recording(save(tmp_path, **{name: value}))


def test_refuses_an_archive_without_samples(tmp_path: Path) -> None:
    with refused(RecordingError, "no_samples_found"):
        load_recording(save(tmp_path, without="x"))


def test_says_where_samples_are_not_finite(tmp_path: Path) -> None:
    x = np.zeros((2, 9))
    x[1, 4:6] = np.nan, np.inf
    x[0, 7] = 1e300  # too large for float32
    with refused(RecordingError, "not_finite", recording="a", count=3, sample=4, axis="Y"):
        load_recording(save(tmp_path, x=x))


@given(x=arrays(np.float32, array_shapes(min_dims=2, max_dims=2), elements=st.floats(-1e6, 1e6, width=32)))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, x: np.ndarray[Any, Any]) -> None:
    path = save(tmp_path_factory.mktemp("npz"), x=x, axes=[f"axis {k}" for k in range(len(x))])
    np.testing.assert_array_equal(load_recording(path).samples, x.T)
