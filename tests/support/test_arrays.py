"""Archives of arrays that lie about themselves: refused before they cost more than they are."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.load import load_recording
from drsn_edge.recordings.raw import Request, file_bytes
from drsn_edge.recordings.readers.registry import FORMATS
from drsn_edge.support.arrays import Form, archive_of, read_arrays, typed_arrays
from drsn_edge.support.invalid import InvalidValueError

MOST = 1 << 20


def npy(shape: str, descr: str = "<f4", content: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """Return a member that claims a shape and has some bytes."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text) + 1)
    return b"\x93NUMPY" + bytes(version) + size + text.encode() + b"\n" + content


def archive(*members: bytes, method: int = zipfile.ZIP_STORED, name: str = "a") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for number, member in enumerate(members):
            file.writestr(f"{name}{number}.npy", member)
    return buffer.getvalue()


def saved(save: Any = np.savez, **arrays: Any) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def test_what_numpy_wrote_comes_back() -> None:
    arrays = {"x": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.eye(3, 2)), "t": np.array("é"), "n": 7}
    for save, deflated in ((np.savez, False), (np.savez, True), (np.savez_compressed, True)):
        found = read_arrays(saved(save, **arrays), MOST, deflated=deflated)
        assert set(found) == set(arrays)
        for name, values in arrays.items():
            np.testing.assert_array_equal(found[name], values)
            assert found[name].dtype == np.asarray(values).dtype
    assert read_arrays(saved(none=np.zeros((0, 5))), MOST)["none"].shape == (0, 5)


def with_size(data: bytes, size: int) -> bytes:
    """Return an archive whose only member claims another unpacked size, in its own header and in the directory."""
    changed = bytearray(data)
    directory = data.index(b"PK\1\2")
    struct.pack_into("<I", changed, data.index(b"PK\3\4") + 22, size)
    struct.pack_into("<I", changed, directory + 24, size)
    return bytes(changed)


ZEROS = npy("(50000000,)", "<i1", bytes(50_000_000))
LIES = {
    "petabytes": archive(npy("(1000000, 1000000, 1000)", content=bytes(64))),
    "terabytes of a structure": archive(npy("()", "V1000000000000", bytes(64))),
    "more than an integer holds": archive(npy("(9223372036854775807, 4)", content=bytes(64))),
    "so many digits": archive(npy("(" + "9" * 5000 + ",)", content=bytes(64))),
    "two negative sizes": archive(npy("(-4, -4)", content=bytes(64))),
    "no bytes each": archive(npy("(1000000000000,)", "V0")),
    "nothing by something": archive(npy("(0, 1000000000000000000000)")),
    "true for a size": archive(npy("(True, 2.0)", content=bytes(8))),
    "less than is there": archive(npy("(2,)", content=bytes(64))),
    "a deep header": archive(npy("(" * 4000 + ")" * 4000, content=bytes(64), version=(2, 0))),
    "a long header": archive(npy("(2,)" + " " * 500_000, content=bytes(8), version=(2, 0))),
    "a later version": archive(npy("(2,)", content=bytes(8), version=(3, 0))),
    "objects": saved(x=np.array([{}], dtype=object)),
    "a bomb": archive(ZEROS, method=zipfile.ZIP_DEFLATED),
    "a bomb that calls itself small": with_size(archive(ZEROS, method=zipfile.ZIP_DEFLATED), 100),
    "another compression": archive(npy("(2,)", content=bytes(8)), method=zipfile.ZIP_BZIP2),
    "many members": archive(*[npy("()", content=bytes(4))] * 300),
    "all of them too large": archive(*[npy("(150000,)", content=bytes(600_000))] * 2),
    "no zip": b"PK\5\6",
    "nothing": b"",
    "cut": saved(x=np.arange(50.0))[:-30],
    "one bit": saved(x=np.arange(50.0)).replace(struct.pack("<d", 7.0), struct.pack("<d", 7.5)),
}


@pytest.mark.parametrize("lie", sorted(LIES))
@pytest.mark.parametrize("deflated", [False, True])
def test_a_lie_is_refused(lie: str, deflated: bool) -> None:
    with pytest.raises(InvalidValueError) as raised:
        read_arrays(LIES[lie], MOST, deflated=deflated)
    assert "\n" not in str(raised.value) and 1 <= len(str(raised.value)) <= 400


def test_two_members_of_one_name_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("x.npy", npy("()", content=bytes(4)))
        file.writestr("x.npy", npy("()", content=bytes(4)))
    with refused(InvalidValueError, "duplicate_member"):
        read_arrays(buffer.getvalue(), MOST)


def test_a_lie_costs_no_memory(tmp_path: Path) -> None:
    """All of them in a process that has 100 MB more than it needs to begin."""
    for number, data in enumerate(LIES.values()):
        (tmp_path / f"{number}.npz").write_bytes(data)
    code = (
        "import resource, sys, pathlib, drsn_edge.support.arrays as arrays\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "data = 1024 * int(status.split('VmData:')[1].split()[0]) + 100_000_000\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (data, data))\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).glob('*.npz')):\n"
        "    for deflated in (False, True):\n"
        "        try: arrays.read_arrays(path.read_bytes(), 1 << 20, deflated=deflated)\n"
        "        except ValueError as exc: assert 'memory' not in str(exc), path\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("lie", ["petabytes", "many members", "another compression"])
def test_a_recording_that_lies_is_one_clear_sentence(tmp_path: Path, lie: str) -> None:
    (tmp_path / "a.npz").write_bytes(LIES[lie])
    with refused(RecordingError, "damaged", path=tmp_path / "a.npz"):
        load_recording(tmp_path / "a.npz")


def test_a_recording_that_unpacks_to_more_than_it_may_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(100_000), fs=100, axes=["x"], unit="g")
    with refused(RecordingError, "needs_memory", path=tmp_path / "a.npz", limit_bytes=10_000):
        FORMATS["npz"].read(tmp_path / "a.npz", Request(memory_bytes=10_000))
    size = (tmp_path / "a.npz").stat().st_size
    with refused(RecordingError, "needs_memory", path=tmp_path / "a.npz", needed_bytes=size, limit_bytes=100):
        file_bytes(tmp_path / "a.npz", 100)


FORMS = {"level": Form(np.float64, 0), "codes": Form(np.int8, 2), "name": Form(np.str_, 0)}
TOGETHER = {"mean": Form(np.float32, 1), "spread": Form(np.float32, 1)}
WHOLE = {"level": 3, "codes": np.zeros((2, 3), np.int8), "name": "pump"}


def test_arrays_come_in_their_forms_and_others_are_left() -> None:
    found = typed_arrays(archive_of(**WHOLE, other=1.0), 10_000, FORMS, TOGETHER)
    assert list(found) == ["level", "codes", "name"]
    assert found["level"].dtype == np.float64 and float(found["level"]) == 3 and str(found["name"]) == "pump"
    both = typed_arrays(archive_of(**WHOLE, mean=[1.0], spread=[2]), 10_000, FORMS, TOGETHER)
    assert both["spread"].dtype == np.float32


@pytest.mark.parametrize(("written", "taken"), [(np.int32(7), True), (np.int64(7), True), (7.0, False), (True, False)])
def test_a_whole_number_may_be_one_of_a_machine_of_32_bits(written: Any, taken: bool) -> None:
    data, form = archive_of(windows=written), {"windows": Form(np.int64, 0)}
    if taken:
        assert int(typed_arrays(data, 10_000, form)["windows"]) == 7
        return
    with refused(InvalidValueError, "wrong_dtype", array="windows"):
        typed_arrays(data, 10_000, form)


@pytest.mark.parametrize("kind", [np.int32, np.float16, ">f8"])
def test_an_exact_form_takes_its_own_type_alone(kind: Any) -> None:
    form = {"scales": Form(np.float64, 1, exact=True)}
    assert typed_arrays(archive_of(scales=np.ones(2)), 10_000, form)
    with refused(InvalidValueError, "wrong_dtype", array="scales"):
        typed_arrays(archive_of(scales=np.ones(2, kind)), 10_000, form)


@pytest.mark.parametrize(
    ("changes", "problem", "facts"),
    [
        ({"level": "loud"}, "no_numbers", {"array": "level"}),
        ({"level": True}, "no_numbers", {"array": "level"}),
        ({"level": [1.0]}, "wrong_ndim", {"array": "level", "expected": 0, "got": 1}),
        ({"codes": np.zeros((2, 3), np.int16)}, "wrong_dtype", {"array": "codes", "expected": "int8", "got": "int16"}),
        ({"name": 3}, "wrong_dtype", {"array": "name", "got": "int64"}),
        ({"mean": [1.0]}, "missing_array", {"array": "spread"}),
    ],
)
def test_an_array_of_another_form_is_named(changes: dict[str, Any], problem: str, facts: dict[str, Any]) -> None:
    with refused(InvalidValueError, problem, **facts):
        typed_arrays(archive_of(**{**WHOLE, **changes}), 10_000, FORMS, TOGETHER)


def test_an_array_that_is_missing_is_named() -> None:
    with refused(InvalidValueError, "missing_array", array="codes"):
        typed_arrays(archive_of(level=1.0, name="pump"), 10_000, FORMS)
