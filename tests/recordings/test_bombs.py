"""Small files that claim or become a lot: refused, without taking the memory. Each is read in a process of its own."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recording_files import edge_impulse

_MOST_MB = 320
"""Growth of the peak of resident memory beyond that of the imports, told to take 64 MB: room for the library."""

_READ = """
import json, sys
from pathlib import Path
from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import Request
from drsn_edge.recordings.readers.registry import FORMATS

def memory(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field + ":")) / 1024

def outcome(format, path):
    try:
        raws = FORMATS[format].read(Path(path), Request({}, 64 << 20))
        return sum(len(piece) for raw in raws for piece in raw.samples.pieces(1 << 16))
    except RecordingError as exc:
        return exc.problem

format, valid, path = sys.argv[1:]
first = outcome(format, valid)
before = memory("VmHWM")
print(json.dumps([first, outcome(format, path), memory("VmHWM") - before]))
"""


def outcome(format: str, valid: bytes, bomb: bytes, folder: Path) -> tuple[Any, Any]:
    """Read a valid file, then a bomb, in one process, and return what came of them; fail if memory grew much."""
    (folder / "valid").write_bytes(valid)
    (folder / "bomb").write_bytes(bomb)
    assert len(bomb) < 4 << 20
    command = [sys.executable, "-c", _READ, format, str(folder / "valid"), str(folder / "bomb")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second, grown_mb = json.loads(done.stdout)
    assert grown_mb < _MOST_MB
    return first, second


def zeros(megabytes: int, wbits: int = zlib.MAX_WBITS) -> bytes:
    """Return a deflated stream of so many megabytes of zeros, about a kilobyte for each."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    one = packing.compress(bytes(1 << 20)) + packing.flush(zlib.Z_FULL_FLUSH)
    body = one * megabytes + b"\x03\x00"
    # The checksum is wrong: a reader that arrives there has swollen.
    return body if wbits < 0 else b"\x78\xda" + body + b"\0\0\0\0"


def saved(save: Callable[..., None], *positional: Any, **named: Any) -> bytes:
    file = io.BytesIO()
    save(file, *positional, **named)
    return file.getvalue()


@pytest.mark.parametrize("claimed", [200, (2 << 30) - 1, 1000])
def test_an_archive(claimed: int, tmp_path: Path) -> None:
    """A member of 2 GB of zeros, which states its size, or any other."""
    valid = saved(np.savez, x=np.arange(40.0), fs=100)
    with zipfile.ZipFile(io.BytesIO(valid)) as archive:
        header = archive.read("x.npy")[:128].replace(b"(40,)", b"(9" + b"9" * 8 + b",)")
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    stream = packing.compress(header) + packing.flush(zlib.Z_FULL_FLUSH) + zeros(2000, -zlib.MAX_WBITS)
    sizes = struct.pack("<III", 0, len(stream), claimed)
    local = struct.pack("<4s5H", b"PK\3\4", 20, 0, 8, 0, 33) + sizes + struct.pack("<HH", 5, 0) + b"x.npy"
    entry = struct.pack("<4s6H", b"PK\1\2", 20, 20, 0, 8, 0, 33) + sizes + struct.pack("<HHHHHII", 5, 0, 0, 0, 0, 0, 0)
    body = local + stream
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(entry) + 5, len(body), 0)
    assert outcome("npz", valid, body + entry + b"x.npy" + end, tmp_path)[1] in ("damaged", "needs_memory")


@pytest.mark.parametrize("claimed", [None, 1 << 31])
def test_a_compressed_variable_of_matlab(claimed: int | None, tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    valid = saved(scipy_io.savemat, {"x": np.arange(40.0)}, do_compression=True)
    inner = zlib.decompress(valid[136:])
    if claimed is not None:
        inner = inner[:4] + struct.pack("<I", claimed) + inner[8:]
    packing = zlib.compressobj()
    stream = packing.compress(inner) + packing.flush(zlib.Z_FULL_FLUSH) + zeros(1500, -zlib.MAX_WBITS) + b"\0\0\0\0"
    bomb = valid[:128] + struct.pack("<II", 15, len(stream)) + stream
    assert outcome("mat", valid, bomb, tmp_path) == (40, "damaged" if claimed is None else "needs_memory")


@pytest.fixture
def h5py() -> Any:
    return pytest.importorskip("h5py")


def hdf5(h5py: Any, fill: Callable[[Any], None]) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as written:
        written.create_dataset("x", data=np.sin(np.arange(1000.0)), chunks=(500,), compression="gzip")
        fill(written["x"])
    return file.getvalue()


def test_a_deflated_block_of_hdf5(h5py: Any, tmp_path: Path) -> None:
    valid = hdf5(h5py, lambda x: None)
    bomb = hdf5(h5py, lambda x: x.id.write_direct_chunk((500,), zeros(1500)))
    assert outcome("hdf5", valid, bomb, tmp_path) == (1000, "damaged")


def test_a_text_of_hdf5_that_states_four_gigabytes(h5py: Any, tmp_path: Path) -> None:
    valid = hdf5(h5py, lambda x: x.attrs.create("unit", "squat"))
    heap = valid.index(b"GCOL")
    place = next(at for at in range(len(valid)) if valid[at : at + 12] == struct.pack("<IQ", 5, heap) and at != heap)
    bomb = valid[:place] + struct.pack("<I", 0xFFFFFFF0) + valid[place + 4 :]
    assert outcome("hdf5", valid, bomb, tmp_path) == (1000, "damaged")


def test_an_array_of_hdf5_that_was_hardly_written(h5py: Any, tmp_path: Path) -> None:
    def fill(x: Any) -> None:
        y = x.parent.create_dataset("y", (400_000_000,), "f8", chunks=(1000,))
        del x.parent["x"]
        y[:1000] = 1.0

    valid = hdf5(h5py, lambda x: None)
    assert outcome("hdf5", valid, hdf5(h5py, fill), tmp_path) == (1000, "no_samples_found")


def test_a_page_of_parquet(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    n = 16_000_000
    how: dict[str, Any] = {
        "row_group_size": n,
        "data_page_size": 1 << 30,
        "max_rows_per_page": n,
        "write_batch_size": n,
    }
    how |= {"compression": "gzip", "compression_level": 1, "use_dictionary": False}
    valid = saved(lambda file: parquet.write_table(pyarrow.table({"x": np.sin(np.arange(40.0))}), file))
    bomb = saved(lambda file: parquet.write_table(pyarrow.table({"x": np.zeros(n)}), file, **how))
    assert outcome("parquet", valid, bomb, tmp_path) == (40, "damaged")


def test_a_nested_json(tmp_path: Path) -> None:
    valid = json.dumps(edge_impulse()).encode()
    for bomb in (b'{"payload":' + b"[" * 3_000_000, b'{"payload":[' + b"[]," * 1_000_000 + b"0]}"):
        assert outcome("edge-impulse", valid, bomb, tmp_path)[1] in ("damaged", "needs_memory", "no_payload")
