"""HDF5 and MATLAB 7.3: what h5py writes comes back, and nothing leaves the file or swells."""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recording_files import matlab_7_3_bytes
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import RawRecording, Request, whole
from drsn_edge.recordings.readers.hdf5_file import read_hdf5
from drsn_edge.recordings.readers.mat_file import read_mat

h5py = pytest.importorskip("h5py")

SAMPLES = np.random.default_rng(0).standard_normal((1000, 3))
STORAGE: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": (70, 2)},
    "deflated": {"chunks": (70, 2), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "LZF": {"chunks": (1000, 1), "compression": "lzf"},
    "resizable": {"maxshape": (None, 3)},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where to write."""
    return tmp_path / "a.h5"


def read(path: Path, memory_bytes: int = 1 << 30, **stated: Any) -> list[RawRecording]:
    """Read a file."""
    return read_hdf5(path, Request(stated, memory_bytes))


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "i1", ">i2", "<u4", "<i8"])
@pytest.mark.parametrize("storage", STORAGE.values(), ids=STORAGE)
def test_every_sample_comes_back(path: Path, storage: dict[str, Any], dtype: str) -> None:
    samples = (100 * SAMPLES).astype(np.float32 if "u" in dtype else dtype).astype(dtype)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=samples, **storage)
        file.create_dataset("group/turned", data=samples.T)
    for variable in ("data", "/group/turned"):
        [raw] = read(path, variable=variable)
        pieces = list(raw.samples.pieces(64))
        assert max(map(len, pieces)) <= 64
        np.testing.assert_array_equal(np.concatenate(pieces), samples)


def test_attributes_of_the_dataset_and_of_groups_around_it(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs.update({"fs": 1.0, "machine": "pump", "rpm": 1500})
        group = file.create_group("run")
        group.attrs.update({"sample_rate": 12000.0, "rpm": np.int16(1480)})
        data = group.create_dataset("acc", data=SAMPLES)
        data.attrs.update({"units": "m/s^2", "axes": ["x", "y", "z"]})
    [raw] = read(path)
    assert dict(raw.stated) == {
        "sample_rate_hz": 12000.0, "unit": "m/s2", "axes": ("x", "y", "z"), "rpm": 1480, "machine": "pump",
    }  # fmt: skip


def test_groups_of_the_same_names_are_captures(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for number in range(3):
            group = file.create_group(f"run {number}")
            group["vib"] = SAMPLES[: 500 + number, 0]
            group["time"] = np.arange(500 + number) / 200
            group.attrs["label"] = f"class {number}"
    found = read(path)
    assert [(raw.capture, raw.stated["label"], raw.stated["sample_rate_hz"]) for raw in found] == [
        (number, f"class {number}", pytest.approx(200)) for number in range(3)
    ]
    assert [raw.samples.n_samples for raw in found] == [500, 501, 502]


def test_pandas_names_the_columns_of_its_blocks(path: Path) -> None:
    with h5py.File(path, "w") as file:
        frame = file.create_group("frame")
        frame.attrs["pandas_type"] = np.bytes_("frame")
        frame["axis0"] = frame["block0_items"] = np.array([b"X", b"Y", b"Z"])
        frame["block0_values"] = SAMPLES
        index = frame.create_dataset("axis1", data=1_700_000_000_000_000_000 + np.arange(1000) * 10_000_000)
        index.attrs["kind"] = np.bytes_("datetime64")
    [raw] = read(path)
    assert dict(raw.stated) == {"axes": ("X", "Y", "Z"), "sample_rate_hz": pytest.approx(100)}


@pytest.mark.parametrize("variable", [None, "measured.channels", ("measured.channels.X", "channels.Y")])
def test_matlab_7_3(tmp_path: Path, variable: Any) -> None:
    (tmp_path / "measured.mat").write_bytes(matlab_7_3_bytes())
    [raw] = read_mat(tmp_path / "measured.mat", Request({} if variable is None else {"variable": variable}))
    assert dict(raw.stated) == {"sample_rate_hz": 12000.0, "axes": ("X", "Y")}
    np.testing.assert_array_equal(whole(raw.samples), np.sin([[k, k + 1] for k in range(40)]))


def test_nothing_outside_the_file_is_opened(path: Path) -> None:
    other = path.with_name("other.h5")
    with h5py.File(other, "w") as file:
        file["secret"] = SAMPLES
    path.with_name("raw.bin").write_bytes(bytes(8000))
    with h5py.File(path, "w") as file:
        file["external"] = h5py.ExternalLink(str(other), "/secret")
        file["through"] = h5py.SoftLink("/external")
        file["circle"] = h5py.SoftLink("/circle")
        file.create_group("hard")["again"] = file["/"]
        file.create_dataset("stored", (1000,), "f8", external=[(str(path.with_name("raw.bin")), 0, 8000)])
        layout = h5py.VirtualLayout((1000, 3), "f8")
        layout[:] = h5py.VirtualSource(str(other), "secret", (1000, 3))
        file.create_virtual_dataset("virtual", layout)
    with refused(RecordingError, "no_samples_found") as caught:
        read(path)
    assert "data in another file" in str(caught.value)
    for variable in ("external", "through", "stored", "virtual", "circle/circle"):
        with refused(RecordingError, "unknown_variable"):
            read(path, variable=variable)


def test_a_block_that_swells_is_refused_before_it_is_unpacked(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (1000,), "f8", chunks=(1000,), compression="gzip")
        data.id.write_direct_chunk((0,), zlib.compress(bytes(20_000_000)))
    [raw] = read(path, memory_bytes=10_000_000)
    with refused(RecordingError, "damaged", kind="swells"):
        whole(raw.samples)


@pytest.mark.parametrize("size", [0, 2**32 - 1])
def test_a_block_of_an_impossible_size_does_not_end_the_process(path: Path, size: int) -> None:
    """Without the check, the checksum filter of HDF5 ended the process by signal 11."""
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=SAMPLES, **STORAGE["deflated"])
        stored = file["data"].id.get_chunk_info(0).size
    index = struct.pack("<II", stored, 0)
    data = path.read_bytes()
    assert index in data
    path.write_bytes(data.replace(index, struct.pack("<II", size, 0)))
    with refused(RecordingError, "no_samples_found"):
        read(path)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"shape": (10**13,), "chunks": (1000,)}, "more than the limit"),
        ({"shape": (10**7,), "chunks": (10**7,)}, "blocks that take more memory"),
        ({"shape": (10**5,), "chunks": (1000,)}, "never written"),
        ({"shape": (10**3,), "chunks": (100,), "scaleoffset": 2}, "filter 6"),
    ],
)
def test_what_is_not_read_is_said(path: Path, options: dict[str, Any], why: str) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", dtype="f8", **options)
    with refused(RecordingError, "no_samples_found") as caught:
        read(path, memory_bytes=10_000_000)
    assert why in str(caught.value)


def test_a_shape_that_an_attribute_claims_is_not_believed(path: Path) -> None:
    with h5py.File(path, "w", libver="latest", track_order=True) as file:
        data = file.create_dataset("data", data=SAMPLES)
        data.attrs["many"] = np.zeros(5000)
        data.attrs["fs"] = 100.0
    [raw] = read(path)
    assert dict(raw.stated) == {"sample_rate_hz": 100.0}


def test_without_h5py_the_message_says_what_to_type(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = SAMPLES
    monkeypatch.setitem(sys.modules, "h5py", None)
    with refused(RecordingError, "package_missing", package="h5py", extra="formats") as caught:
        read(path)
    assert "pip install" in str(caught.value)
