"""Numbers without a header: what states their form, and what is said where nothing does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recording_files import SAMPLES
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.load import load_recording, load_recordings
from drsn_edge.recordings.raw import RawRecording, Request, whole
from drsn_edge.recordings.readers.binary_file import has_sidecar, read_binary

COUNTS = (SAMPLES * 8).astype(np.int16) + 40


def read(path: Path, data: bytes, **values: Any) -> RawRecording:
    """Write a file and read it."""
    path.write_bytes(data)
    (raw,) = read_binary(path, Request(values))
    return raw


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "dtype",
    [*(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)), "float32", "float64", "i2", "f4"],
)
def test_every_type_by_the_catalogue(tmp_path: Path, dtype: str, order: str) -> None:
    stored = np.dtype(order + np.dtype(dtype).str[1:])
    data = COUNTS.astype(stored).tobytes()
    raw = read(tmp_path / "a.bin", data, dtype=order + dtype, axes=("x", "y"))
    np.testing.assert_array_equal(whole(raw.samples), COUNTS)
    assert whole(raw.samples).dtype == np.dtype(dtype) and raw.stated == {}


@pytest.mark.parametrize("name", ["a.toml", "a.bin.toml", "a.json", "a.bin.json"])
def test_a_file_of_the_same_name_states_the_form(tmp_path: Path, name: str) -> None:
    keys = {"dtype": "int16", "axes": ["x", "-"], "sample_rate_hz": 3200, "unit": "g", "scale": 0.5, "skip_bytes": 3}
    toml = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    (tmp_path / name).write_text(toml if name.endswith("toml") else json.dumps(keys))
    raw = read(tmp_path / "a.bin", b"abc" + COUNTS.tobytes())
    np.testing.assert_array_equal(whole(raw.samples), 0.5 * COUNTS[:, :1])
    assert raw.stated == {"axes": ("x",), "sample_rate_hz": 3200.0, "unit": "g"}
    assert has_sidecar(tmp_path / "a.bin") and not has_sidecar(tmp_path / "b.bin")


def test_the_scale_of_a_catalogue_comes_before_that_of_the_sidecar(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('dtype = "int16"\naxes = ["x", "y"]\nscale = 0.5\n')
    (tmp_path / "a.bin").write_bytes(COUNTS.tobytes())
    (tmp_path / "catalogue.toml").write_text('[defaults]\nunit = "g"\nsample_rate_hz = 100\n')
    np.testing.assert_array_equal(load_recording(tmp_path / "a.bin").samples, 0.5 * COUNTS)
    (tmp_path / "catalogue.toml").write_text('[defaults]\nunit = "g"\nsample_rate_hz = 100\nscale = 0.25\n')
    np.testing.assert_array_equal(load_recording(tmp_path / "a.bin").samples, 0.25 * COUNTS)


def test_a_folder_is_searched_for_files_with_a_sidecar(tmp_path: Path) -> None:
    for name in ("a.bin", "firmware.bin", "b.dat"):
        (tmp_path / name).write_bytes(COUNTS.tobytes())
    (tmp_path / "a.toml").write_text('dtype = "int16"\naxes = ["x", "y"]\nsample_rate_hz = 100\nunit = "g"\n')
    assert [recording.name for recording in load_recordings(tmp_path)] == ["a"]
    keys = "dtype = 'int16'\naxes = ['x', 'y']\nsample_rate_hz = 100\nunit = 'g'\n"
    (tmp_path / "catalogue.toml").write_text(f"[[recordings]]\nfile = 'b.dat'\n{keys}")
    assert [recording.name for recording in load_recordings(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [("ri16_le", "<i2"), ("ri16_be", ">i2"), ("ru8", "u1"), ("ri32_le", "<i4"), ("rf32_le", "<f4"), ("rf64_be", ">f8")],
)
def test_sigmf(tmp_path: Path, datatype: str, dtype: str) -> None:
    meta = {"core:datatype": datatype, "core:sample_rate": 51200, "core:num_channels": 2, "core:version": "1.0.0"}
    (tmp_path / "a.sigmf-meta").write_text(json.dumps({"global": meta, "captures": [], "annotations": []}))
    raw = read(tmp_path / "a.sigmf-data", COUNTS.astype(dtype).tobytes())
    np.testing.assert_array_equal(whole(raw.samples), COUNTS)
    assert raw.stated == {"sample_rate_hz": 51200.0}


@pytest.mark.parametrize(
    "meta", [{"core:datatype": "cf32_le"}, {}, {"core:datatype": "ri16_le", "core:num_channels": 0}]
)
def test_refuses_complex_samples_and_wrong_numbers_of_channels(tmp_path: Path, meta: dict[str, Any]) -> None:
    (tmp_path / "a.sigmf-meta").write_text(json.dumps({"global": meta}))
    with pytest.raises(RecordingError) as caught:
        read(tmp_path / "a.sigmf-data", COUNTS.tobytes())
    assert caught.value.problem in ("wrong_dtype", "wrong_value")


def test_says_what_to_write_where_nothing_states_the_form(tmp_path: Path) -> None:
    with refused(RecordingError, "no_dtype", advised=tmp_path / "a.toml") as caught:
        read(tmp_path / "a.bin", COUNTS.tobytes())
    assert 'dtype = "int16"' in str(caught.value) and str(caught.value).count("\n") < 3


@pytest.mark.parametrize("dtype", ["O", "object", "complex64", "S4", "i3", "=i2", "int16, int16", "<", "datetime64"])
def test_refuses_other_types(tmp_path: Path, dtype: str) -> None:
    with refused(RecordingError, "wrong_dtype", path=tmp_path / "a.bin"):
        read(tmp_path / "a.bin", COUNTS.tobytes(), dtype=dtype)


def test_half_a_sample_at_the_end_is_left_out_and_said(tmp_path: Path) -> None:
    raw = read(tmp_path / "a.bin", COUNTS.tobytes() + b"abc", dtype="int16", axes=("x", "y"))
    assert raw.samples.n_samples == len(COUNTS) and "3 bytes" in raw.remarks[0]


def test_a_wrong_sidecar_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    with refused(RecordingError, "damaged", path=tmp_path / "a.json"):
        read(tmp_path / "a.bin", COUNTS.tobytes())
    (tmp_path / "a.toml").write_text("dtype = 3")
    with refused(RecordingError, "wrong_value", key="dtype"):
        read(tmp_path / "a.bin", COUNTS.tobytes())
