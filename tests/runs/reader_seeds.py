"""Valid recordings of every format, to be damaged: those of tests/fixtures, and further ones with other features."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from recording_files import SMALL_FILES

from firmware_bridge.wire.frames import FrameWriter
from firmware_bridge.wire.messages import Hello, MessageType, SamplesPayload, encode_hello, encode_samples
from firmware_bridge.wire.raw_log import DATA, NOTE, encode_segment

WAVE = np.sin(np.arange(64.0)).reshape(32, 2)


class Seed(NamedTuple):
    """A recording without a fault.

    Attributes:
        format: Name of its format.
        name: Name of its file.
        files: Contents by name: the file, and what has to lie beside it.
        values: What a catalogue states of it.
    """

    format: str
    name: str
    files: Mapping[str, bytes]
    values: Mapping[str, Any] = {}


def seeds_of(name: str) -> list[Seed]:
    """Return the seeds of a format."""
    small = [
        Seed(each.format, f"105{each.suffix}", {f"105{each.suffix}": each.make()}, getattr(each, "values", {}))
        for each in SMALL_FILES.values()
        if each.format == name
    ]
    return small + [each if isinstance(each, Seed) else Seed(name, *each) for each in _MORE.get(name, list)()]


def _one(name: str, content: bytes, **values: Any) -> tuple[str, dict[str, bytes], dict[str, Any]]:
    return name, {name: content}, values


def _tables() -> list[Any]:
    rows = [(k, 0.01 * k, *row) for k, row in enumerate(WAVE)]
    german = "Zeit (s);X (m/s²);Bemerkung;Y (m/s²)\r\n" + "".join(
        f"{t:.3f};{x:.4f};gut;{y:.4f}\r\n" for _, t, x, y in rows
    )
    stamped = "# bench 3\n# rate: 100 Hz\ndate,x [g],y [g]\n" + "".join(
        f"2026-01-01T00:00:{t:09.6f}Z,{x},{y}\n" for _, t, x, y in rows
    )
    quoted = '"time of day","x, g","y ""g"""\n' + "".join(
        f'"23:59:59.{k:03d}","{x:e}","{y:e}"\n' for k, _, x, y in rows
    )
    return [
        _one("a.csv", german.replace(".", ",").encode("utf-16")),
        _one("b.csv", stamped.encode()),
        _one("c.txt", "".join(f"  {x:+.3e}   {y:+.3e}\n" for _, _, x, y in rows).encode()),
        _one("d.csv", quoted.encode(), time_column="time of day"),
        _one("e.tsv", "".join(f"{1700000000000 + k // 4}\t{k % 16}\t{x}\t{y}\n" for k, _, x, y in rows).encode()),
        _one("f.csv", ",".join(f"{x:.3f}" for x in WAVE.ravel()).encode()),
        _one("g.csv", b"sep=;\nh;min;s;us;x\n" + "".join(f"1;2;3;{10 * k};{x}\n" for k, _, x, _ in rows).encode()),
    ]


def wav(kind: int, width: int, samples: bytes, size: int | None = None, order: str = "<", extra: bytes = b"") -> bytes:
    """Return a sound file of two channels with a stated size of its samples."""
    form = (
        struct.pack(order + "HHIIHH", 0xFFFE if extra else kind, 2, 8000, 16000 * width, 2 * width, 8 * width) + extra
    )
    size = len(samples) if size is None else size
    chunks = b"fmt " + struct.pack(order + "I", len(form)) + form + b"LIST" + struct.pack(order + "I", 4) + b"INFO"
    chunks += b"data" + struct.pack(order + "I", size) + samples
    return (b"RIFF" if order == "<" else b"RIFX") + struct.pack(order + "I", 4 + len(chunks)) + b"WAVE" + chunks


def _sounds() -> list[Any]:
    bytes_of_24 = np.arange(6 * 40, dtype=np.uint8).tobytes()
    extra = struct.pack("<HHIH", 22, 16, 3, 1) + bytes.fromhex("000000001000800000aa00389b71")
    return [
        _one("a.wav", wav(1, 3, bytes_of_24)),
        _one("b.wav", wav(3, 4, WAVE.astype("<f4").tobytes(), 0xFFFFFFFF)),
        _one("c.wav", wav(1, 2, bytes_of_24, extra=extra)),
        _one("d.wav", wav(1, 2, bytes_of_24, order=">")),
    ]


def _saved(save: Callable[..., None], *positional: Any, **named: Any) -> bytes:
    file = io.BytesIO()
    save(file, *positional, **named)
    return file.getvalue()


def _archives() -> list[Any]:
    captures = np.stack([WAVE.T, -WAVE.T, 2 * WAVE.T])
    foreign = {"vibration": WAVE, "time": np.arange(32) / 100, "fs": 100.0, "note": "bench"}
    return [
        _one("a.npz", _saved(np.savez_compressed, x=captures, fs=100, unit="g", rpm=np.array([1, 2, 3]))),
        _one("b.npz", _saved(np.savez, **foreign)),
    ]


def _arrays() -> list[Any]:
    return [
        _one("a.npy", _saved(np.save, (WAVE.T * 1000).astype(">i2"))),
        _one("b.npy", _saved(np.save, np.stack([WAVE.T, WAVE.T]).astype("f4"))),
        _one("c.npy", _saved(np.save, np.arange(40.0))),
    ]


def _logs() -> list[Any]:
    writer, hello = (
        FrameWriter(),
        Hello(1, "bench", "1", "fake", ("x", "y"), "g", 1 / 1024, 32.0, 1000.0, signs=(1, -1)),
    )
    kinds = [(NOTE, (10**18, b'recording: {"label": "worn", "group": "a"}'))]
    kinds += [(DATA, (10**18, writer.encode(MessageType.HELLO, encode_hello(hello))))]
    for first in range(0, 1200, 100):
        payload = SamplesPayload(1, first, 1000 * first, np.full((100, 2), first % 1000, np.int16))
        came = 10**18 + 1_000_000 * (first + 100)
        kinds.append((DATA, (came, writer.encode(MessageType.SAMPLES, encode_samples(payload)))))
    return [_one("a.drsnlog", b"".join(encode_segment(kind, 5, k, [chunk]) for k, (kind, chunk) in enumerate(kinds)))]


def _numbers() -> list[Any]:
    data = (WAVE * 1000).astype("<i2").tobytes()
    toml = b'# bench\ndtype = "<i2"\naxes = ["x", "y"]\nsample_rate_hz = 100\nunit = "g"\nscale = 0.1\nskip_bytes = 8\n'
    sigmf = {"global": {"core:datatype": "ri16_le", "core:sample_rate": 100.0, "core:num_channels": 2}, "captures": []}
    return [
        ("a.bin", {"a.bin": data, "a.toml": toml}),
        ("a.bin", {"a.bin": data, "a.json": json.dumps({"dtype": "int16", "axes": ["x", "-"], "unit": "g"}).encode()}),
        ("a.sigmf-data", {"a.sigmf-data": data, "a.sigmf-meta": json.dumps(sigmf).encode()}),
    ]


def _columns() -> list[Any]:
    pyarrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    values = [None, *WAVE[1:, 0].tolist()]
    table = pyarrow.table(
        {"t": np.arange(32), "x": pyarrow.array(values), "y": WAVE[:, 1].astype("f4"), "s": ["a"] * 32}
    )
    versions = ({"version": "1.0", "compression": "gzip"}, {"data_page_version": "2.0", "compression": "zstd"})
    written = (
        _saved(lambda file, **how: parquet.write_table(table, file, row_group_size=10, **how), **each)
        for each in versions
    )
    return [_one("a.parquet", each, variable=("y",)) for each in written]


def _measured() -> list[Any]:
    nptdms: Any = import_module("nptdms")
    stated = {"wf_increment": 0.01, "unit_string": "g", "NI_Number_Of_Scales": 1, "NI_Scaling_Status": "unscaled"}
    stated |= {
        "NI_Scale[0]_Scale_Type": "Linear",
        "NI_Scale[0]_Linear_Slope": 0.5,
        "NI_Scale[0]_Linear_Y_Intercept": 1.0,
    }
    file = io.BytesIO()
    with nptdms.TdmsWriter(file) as writer:
        for part in (WAVE[:10], WAVE[10:]):
            channels = [
                nptdms.ChannelObject("motor", n, (1000 * v).astype("i2"), stated)
                for n, v in zip("xy", part.T, strict=True)
            ]
            writer.write_segment([nptdms.RootObject({"name": "bench"}), *channels])
        writer.write_segment([nptdms.ChannelObject("notes", "text", ["a", "bc"])])
    return [_one("a.tdms", file.getvalue())]


def _packed() -> list[Any]:
    """Return Fortran's arrays of MATLAB with a compressed struct in big-endian order, written by hand."""
    name, values = b"vibration", np.sin(np.arange(40.0)).astype(">f8").tobytes()

    def element(kind: int, content: bytes) -> bytes:
        return struct.pack(">II", kind, len(content)) + content + bytes(-len(content) % 8)

    matrix = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 40, 1))
    matrix += element(1, name) + element(9, values)
    packed = zlib.compress(element(14, matrix))
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    return [_one("a.mat", header + struct.pack(">II", 15, len(packed)) + packed)]


_MORE: Mapping[str, Callable[[], list[Any]]] = {
    "table": _tables,
    "wav": _sounds,
    "npz": _archives,
    "npy": _arrays,
    "mat": _packed,
    "drsnlog": _logs,
    "binary": _numbers,
    "parquet": _columns,
    "tdms": _measured,
}
