"""Which variables hold the samples: the layouts of public data sets and of people's own files, as dictionaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import RawRecording, Request, whole
from drsn_edge.recordings.readers.choice import recordings_in
from drsn_edge.recordings.readers.found import File
from drsn_edge.recordings.readers.variables import Closed, Group, Items, Node, Texts, leaf_of

N = 2000
A, B, C = np.random.default_rng(0).standard_normal((3, N))
PATH = Path("K001.mat")


def node(value: Any) -> Node:
    """Return plain values as a tree: dictionaries are structs, lists are cells, texts and numbers are themselves."""
    if isinstance(value, dict):
        return Group({name: node(each) for name, each in value.items()})
    if isinstance(value, list):
        return Items(tuple(node(each) for each in value))
    if isinstance(value, str):
        return Texts((value,))
    return value if isinstance(value, (Group, Items, Texts, Closed)) else leaf_of(np.atleast_2d(value))


def read(variables: dict[str, Any], path: Path = PATH, **stated: Any) -> list[RawRecording]:
    """Return the recordings of a file with these variables."""
    root = node(variables)
    assert isinstance(root, Group)
    return recordings_in(File(root, path, Request(stated), "a file", most_dimensions=2))


def one(
    variables: dict[str, Any], path: Path = PATH, **stated: Any
) -> tuple[np.ndarray[Any, Any], dict[str, Any], str]:
    """Return samples, stated values and remarks of the only recording."""
    [raw] = read(variables, path, **stated)
    assert raw.capture is None
    return whole(raw.samples), dict(raw.stated), " ".join(raw.remarks)


def channel(name: str, values: Any, raster: str) -> dict[str, Any]:
    """Return a channel as Paderborn's measuring program writes it."""
    return {"Name": name, "Type": 3.0, "Data": values, "Raster": raster}


PADERBORN: dict[str, Any] = {
    "K001": {
        "Info": {"author": "me"},
        "X": [
            channel("Mech_4kHz", np.arange(N // 16) / 4000, "Mech_4kHz"),
            channel("HostService", np.arange(N) / 64000, "HostService"),
        ],
        "Y": [
            channel("force", C[: N // 16], "Mech_4kHz"),
            channel("phase_current_1", B, "HostService"),
            channel("temp_2_bearing_module", [20.0, 21.0, 22.0], "Temp_1Hz"),
            channel("vibration_1", A, "HostService"),
        ],
        "Description": {"General": {"x": 1.0}},
    }
}


def test_a_vector_with_its_rate() -> None:
    for rate in (
        {"fs": 51200.0},
        {"Fs": 51200},
        {"sample_rate": "51200"},
        {"sampling_freq_kHz": 51.2},
        {"dt": 1 / 51200},
    ):
        samples, stated, _ = one({"data": A[:, np.newaxis], "load_N": 200.0, **rate})
        np.testing.assert_array_equal(samples, A[:, np.newaxis])
        assert stated == {"axes": ("data",), "sample_rate_hz": pytest.approx(51200), "load_N": 200.0}


def test_a_struct_as_mfpt_has_it() -> None:
    """`rate` is the shaft's there."""
    samples, stated, _ = one({"bearing": {"sr": 97656.0, "gs": A, "load": 270.0, "rate": 25.0}})
    assert stated == {"axes": ("gs",), "sample_rate_hz": 97656.0, "load": 270.0, "rate": 25.0}
    assert samples.shape == (N, 1)


def test_channels_of_several_rates_as_paderborn_has_them() -> None:
    samples, stated, remarks = one(PADERBORN)
    np.testing.assert_array_equal(samples[:, 0], A)
    assert stated["axes"] == ("vibration_1",) and stated["sample_rate_hz"] == pytest.approx(64000)
    assert "Y.force (1 x 125)" in remarks and "X.HostService is a clock" in remarks


@pytest.mark.parametrize(
    ("variable", "axes", "rate"),
    [
        ("Y.vibration_1", ("vibration_1",), 64000),
        ("K001.Y.vibration_1", ("vibration_1",), 64000),
        ("Y[3]", ("vibration_1",), 64000),
        ("Y[3].Data", ("vibration_1",), 64000),
        ("Y(1)", ("force",), 4000),
        (("Y.vibration_1", "Y.phase_current_1"), ("vibration_1", "phase_current_1"), 64000),
    ],
)
def test_the_key_variable_chooses(variable: Any, axes: tuple[str, ...], rate: float) -> None:
    _, stated, _ = one(PADERBORN, variable=variable)
    assert (stated["axes"], stated["sample_rate_hz"]) == (axes, pytest.approx(rate))


def test_axes_of_the_catalogue_choose_by_name() -> None:
    samples, stated, _ = one(PADERBORN, axes=("force",))
    assert samples.shape == (N // 16, 1) and stated["axes"] == ("force",)


def test_axes_of_the_catalogue_name_arrays_in_their_order_if_the_names_do_not_fit() -> None:
    samples, stated, _ = one({"acc_1": A, "acc_2": B, "speed": C}, axes=("X", "Y", "-"))
    assert samples.shape == (N, 3) and "axes" not in stated
    samples, stated, _ = one({"acc_1": A, "acc_2": B, "speed": C}, axes=("X", "Y"))
    assert samples.shape == (N, 2) and "axes" not in stated


def test_vectors_of_equal_length_are_channels_and_a_rising_one_is_time() -> None:
    samples, stated, remarks = one({"y": B, "t": np.arange(N) / 1000, "x": A[:, np.newaxis], "n": np.arange(N)})
    np.testing.assert_array_equal(samples, np.column_stack([B, A]))
    assert stated == {"axes": ("y", "x"), "sample_rate_hz": pytest.approx(1000)}
    assert "t is a clock (1000 Hz" in remarks


@pytest.mark.parametrize(
    ("name", "step", "stated", "rate"),
    [
        ("t_ms", 0.5, {}, 2000),
        ("time", 500, {"time_unit": "us"}, 2000),
        ("clock", 1 / 2000, {"time_column": "clock"}, 2000),
        ("time", 1, {}, None),
        ("time", 1e6, {}, 1000),
    ],
)
def test_units_of_time(name: str, step: float, stated: dict[str, Any], rate: float | None) -> None:
    samples, found, remarks = one({"data": A, name: step * np.arange(N)}, **stated)
    assert found.get("sample_rate_hz") == (rate and pytest.approx(rate)) and samples.shape == (N, 1)
    assert name in remarks


def test_stamps_with_jitter_and_in_batches_give_the_mean_rate() -> None:
    jitter = np.arange(N) / 1000 + np.random.default_rng(1).uniform(0, 4e-4, N)
    [raw] = read({"data": A, "time": jitter})
    assert raw.stated["sample_rate_hz"] == pytest.approx(1000, rel=1e-3) and 0.1 < (raw.rate_spread or 0) < 0.3
    [raw] = read({"data": A, "time": np.repeat(np.arange(N // 10) / 100, 10)})
    assert raw.stated["sample_rate_hz"] == pytest.approx(1000, rel=0.01)


def test_missing_samples_are_found_by_the_clock() -> None:
    gap = np.delete(np.arange(N + 50) / 1000, slice(700, 750))
    with refused(RecordingError, "uneven_times", sample=699, count=1):
        read({"data": A, "time": gap})
    samples, stated, _ = one({"data": A, "time": gap}, time_column="-")
    assert samples.shape == (N, 1) and "sample_rate_hz" not in stated
    with refused(RecordingError, "time_column"):
        read({"data": A, "time": gap}, time_column="other")


def test_a_rate_in_the_file_counts_more_than_its_clock() -> None:
    _, stated, remarks = one({"data": A, "time": np.arange(N) / 990, "fs": 1000.0})
    assert stated["sample_rate_hz"] == 1000.0 and "its clock gives 990 Hz" in remarks


def test_a_signal_that_rises_slowly_is_no_clock() -> None:
    slow = np.cumsum(np.random.default_rng(2).uniform(0, 1, N))
    samples, _, _ = one({"data": A, "position": slow})
    assert samples.shape == (N, 2)


def test_units_choose_and_stand_behind_names() -> None:
    samples, stated, remarks = one({"x_g": A, "y_g": B, "speed": C})
    assert stated == {"axes": ("x", "y"), "unit": "g"} and "speed (1 x 2000)" in remarks
    np.testing.assert_array_equal(samples, np.column_stack([A, B]))


def test_a_ramp_alone_is_a_signal() -> None:
    samples, _, _ = one({"data": np.arange(N), "fs": 100.0})
    assert samples.shape == (N, 1)


@pytest.mark.parametrize("turned", [False, True])
def test_time_is_the_long_dimension_of_a_matrix(turned: bool) -> None:
    matrix = np.column_stack([A, B, C])
    samples, stated, _ = one({"signal": matrix.T if turned else matrix, "fs": 100.0})
    np.testing.assert_array_equal(samples, matrix)
    assert stated == {"sample_rate_hz": 100.0}
    _, stated, _ = one({"signal": matrix, "fs": 100.0, "channels": ["a", "b", "c"]})
    assert stated["axes"] == ("a", "b", "c")
    _, stated, _ = one({"signal": matrix, "fs": 100.0, "channels": ["a", "b", "c"]}, axes=("X", "-", "Z"))
    assert "axes" not in stated


def test_a_matrix_that_could_lie_either_way_is_refused() -> None:
    with refused(RecordingError, "which_is_time", shape=(40, 50)):
        read({"signal": A.reshape(40, 50)})
    samples, _, _ = one({"signal": A.reshape(40, 50), "time": np.arange(50) / 10})
    assert samples.shape == (50, 40)


def test_cells_and_arrays_of_structs_are_captures() -> None:
    found = read({"runs": [A, B[:1500]], "fs": 10.0})
    assert [(raw.capture, raw.samples.n_samples, raw.stated["axes"]) for raw in found] == [
        (0, N, ("runs",)), (1, 1500, ("runs",)),
    ]  # fmt: skip
    found = read({"runs": [{"acc": A, "fs": 10.0, "rpm": 1}, {"acc": B, "fs": 10.0, "rpm": 2}]})
    assert [raw.stated["rpm"] for raw in found] == [1, 2]
    _, stated, _ = one({"runs": [{"acc": A, "rpm": 1}, {"acc": B, "rpm": 2}]}, variable="runs[1].acc")
    assert stated["rpm"] == 2


def test_groups_named_like_axes_are_axes() -> None:
    samples, stated, _ = one({"X": {"data": A}, "Y": {"data": B}, "fs": 10.0})
    np.testing.assert_array_equal(samples, np.column_stack([A, B]))
    assert stated["axes"] == ("X", "Y")


def test_the_increment_of_time_beside_the_values_as_lms_writes_it() -> None:
    values = {
        "x_values": {"start_value": 0.0, "increment": 1 / 25600, "number_of_values": N},
        "y_values": {"values": A},
    }
    _, stated, _ = one({"Signal": values})
    assert stated["sample_rate_hz"] == pytest.approx(25600)


def test_variables_of_several_lengths_are_listed() -> None:
    with refused(RecordingError, "ambiguous", variables=("left", "right.a"), likely="left") as caught:
        read({"left": A, "right": {"a": B[:1000]}, "limits": [1.0, 2.0]})
    lines = str(caught.value).splitlines()
    assert len(lines) <= 3 and "right.a (1 x 1000)" in lines[0] and 'variable = "left"' in lines[1]


def test_names_of_a_file_reach_no_terminal_unescaped() -> None:
    evil = "\x1b[2J" + 500 * "a"
    with refused(RecordingError, "ambiguous") as caught:
        read({evil: A, f"{evil}b": B[:1000], **{f"v{k}": C[: 1001 + k] for k in range(500)}})
    assert "\x1b" not in str(caught.value) and len(str(caught.value)) < 1000
    assert len(str(caught.value).splitlines()) <= 3


def test_two_rates_that_differ_are_refused() -> None:
    with refused(RecordingError, "stated_twice", key="sample_rate_hz"):
        read({"data": A, "fs": 100.0, "dt": 0.1})


@pytest.mark.parametrize("variable", ["nothing", "data[0]", "fs", "data.x", ("data", "nothing")])
def test_a_variable_that_is_not_there(variable: Any) -> None:
    with refused(RecordingError, "unknown_variable"):
        read({"data": A, "fs": 100.0}, variable=variable)


def test_listed_variables_must_be_equally_long() -> None:
    with refused(RecordingError, "channel_shapes"):
        read({"a": A, "b": B[:1000]}, variable=("a", "b"))


def test_what_cannot_be_read_is_listed() -> None:
    with refused(RecordingError, "no_samples_found") as caught:
        read({"table": Closed("an object that only MATLAB reads"), "note": "x"})
    assert "table (an object that only MATLAB reads), note (text)" in str(caught.value)


def test_fields_that_mean_something_else_are_left_out() -> None:
    _, stated, _ = one(
        {"data": A, "scale": 2.0, "variable": "x", "axes": 5.0, "group": "", "label": "worn", "k": np.nan}
    )
    assert stated == {"axes": ("data",), "label": "worn"}
