"""Measure memory and time of `drsn-edge look` on 1 GB of CSV, WAV and HDF5, beside each format's own library.

    python benchmarks/look_memory.py [--gigabytes 1] [--work FOLDER] [--results docs/results/look_memory.json]

Each file holds three axes of vibration. `look` runs in a fresh process, without a picture: it reads every sample,
checks windows for damage, and takes levels and spectra. The library reads the file as a whole and takes the RMS of each
axis: `numpy.loadtxt` for CSV (on a tenth of the file, times ten), `scipy.io.wavfile`, `h5py`. Memory is the largest
resident set of the process, seconds are by the wall clock. The files are deleted afterwards.

The exit code is 0 only if `look` stays below 200 MB with each of them.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from numpy.typing import NDArray

RATE_HZ, AXES, BLOCK = 26_667, 3, 1 << 18
LIMIT_MB = 200.0
LIBRARIES = {
    "csv": "import numpy, sys; x = numpy.loadtxt(sys.argv[1], delimiter=',', skiprows=1); print(x.std(axis=0))",
    "wav": "import scipy.io.wavfile as w, sys; r, x = w.read(sys.argv[1]); print(x.astype('f4').std(axis=0))",
    "h5": "import h5py, sys; x = h5py.File(sys.argv[1])['vibration'][:]; print(x.std(axis=0))",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    size = round(arguments.gigabytes * 1e9)
    report: dict[str, Any] = {"machine": machine(), "gigabytes": arguments.gigabytes, "limit_mb": LIMIT_MB}
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        for kind, write in (("csv", write_csv), ("wav", write_wav), ("h5", write_hdf5)):
            path = Path(folder) / f"vibration.{kind}"
            write(path, size)
            report[kind] = measured(kind, path)
            print(kind, json.dumps(report[kind]), flush=True)
            path.unlink()
    if arguments.results:
        arguments.results.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if all(report[kind]["look_mb"] < LIMIT_MB for kind in LIBRARIES) else 1


def measured(kind: str, path: Path) -> dict[str, Any]:
    """Return size, seconds and memory of `look` and of the library."""
    look_s, look_mb = ran(["drsn_edge.cli.main", "look", str(path), "--json"])
    shorter = tenth(path) if kind == "csv" else path
    library_s, library_mb = ran(["-c", LIBRARIES[kind], str(shorter)])
    times = 10 if shorter != path else 1
    return {
        "file_mb": round(path.stat().st_size / 1e6),
        "look_s": round(look_s, 1),
        "look_mb": round(look_mb, 1),
        "library_s": round(library_s * times, 1),
        "library_mb": round(library_mb, 1),
        "library_read_share": 1 / times,
    }


def ran(command: list[str]) -> tuple[float, float]:
    """Run Python with arguments, which must succeed; return seconds and the peak of its resident memory in MB."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _NOTED, *command], capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr}")
    return seconds, int(done.stderr.splitlines()[-1]) * 1024 / 1e6


_NOTED = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    if sys.argv[0] == "-c":
        code = sys.argv.pop(1)
        exec(code)
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    said = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    print("", said[0].split()[1], sep="\\n", file=sys.stderr)
"""
"""The peak is that of the process after its start; what `wait4` returns includes the memory of the parent."""


def vibration(seed: int) -> NDArray[np.float32]:
    """Return a block of vibration in g, shape (BLOCK, AXES)."""
    random = np.random.default_rng(seed)
    tone = 0.4 * np.sin(0.3 * np.arange(BLOCK))[:, None]
    return np.asarray(tone + 0.2 * random.standard_normal((BLOCK, AXES)) + [0.0, 0.0, 1.0], np.float32)


def write_csv(path: Path, size: int) -> None:
    rows = "".join(f"{x:.6f},{y:.6f},{z:.6f}\n" for x, y, z in vibration(0).tolist()).encode()
    with path.open("wb") as file:
        file.write(b"x_g,y_g,z_g\n")
        for _ in range(-(-size // len(rows))):
            file.write(rows)


def write_wav(path: Path, size: int) -> None:
    blocks = [np.asarray(vibration(seed) / 16 * 32767, "<i2").tobytes() for seed in range(8)]
    count = -(-size // len(blocks[0]))
    n_bytes = count * len(blocks[0])
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + n_bytes, b"WAVE", b"fmt ", 16, 1, AXES, RATE_HZ,
                         RATE_HZ * AXES * 2, AXES * 2, 16, b"data", n_bytes)  # fmt: skip
    with path.open("wb") as file:
        file.write(header)
        for number in range(count):
            file.write(blocks[number % len(blocks)])


def write_hdf5(path: Path, size: int) -> None:
    import h5py  # type: ignore[import-untyped]

    blocks = [vibration(seed) for seed in range(8)]
    count = -(-size // blocks[0].nbytes)
    with h5py.File(path, "w") as file:
        made = file.create_dataset("vibration", (count * BLOCK, AXES), "f4", chunks=(1 << 14, AXES))
        made.attrs.update(sample_rate_hz=float(RATE_HZ), unit="g")
        for number in range(count):
            made[number * BLOCK : (number + 1) * BLOCK] = blocks[number % len(blocks)]


def tenth(path: Path) -> Path:
    """Return a file that holds the first tenth of a CSV file, cut behind a line."""
    shorter = path.with_suffix(".tenth")
    with path.open("rb") as whole, shorter.open("wb") as part:
        for _ in range(100):
            part.write(whole.read(path.stat().st_size // 1000))
        part.write(whole.readline())
    return shorter


if __name__ == "__main__":
    sys.exit(main())
