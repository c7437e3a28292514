"""Run one bundle on six runtimes with the same windows, and compare their logits.

    python benchmarks/runtimes.py --model cwru.drsn --run run/ --windows 1000 >> docs/results/runtimes.jsonl

LiteRT and tflite-runtime on x86-64, both on an emulated aarch64 Pi, tflite-runtime on an emulated armv7l Pi, and the
NumPy engine, whose arithmetic is that of TFLite's reference kernels: the others are compared with it. tflite-runtime
has no wheel beyond Python 3.11; this script needs 3.11 or 3.10 for all six.

Exit code 0 only if no runtime gives another class than the NumPy engine to more than --max-flips of the windows.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
from backends import held_out_codes, parse_arguments
from emulated_pi import LOCKS, REPOSITORY, EmulatedPi, cache_folder, done, fresh, run

from drsn_edge.bundle.bundle import read_bundle
from quantize.backends import compare_logits

GUEST = """
import sys
import numpy as np
from drsn_edge.runtime.classifier import Classifier
model, windows, logits, runtime = sys.argv[1:]
np.save(logits, Classifier(open(model, "rb").read(), runtime).codes_of(np.load(windows)))
"""


def main() -> int:
    arguments = parse_arguments(__doc__)
    bundle = read_bundle(arguments.model)
    inputs_q = held_out_codes(bundle, arguments.run, arguments.windows)
    with tempfile.TemporaryDirectory() as folder:
        logits = all_logits(Path(folder), bundle.network, inputs_q)
    comparisons = [compare_logits("numpy", name, logits["numpy"], each) for name, each in logits.items()][1:]
    equal = [
        [first, second]
        for number, first in enumerate(logits)
        for second in list(logits)[number + 1 :]
        if np.array_equal(logits[first], logits[second])
    ]
    report = {
        "model": arguments.model.name,
        "comparisons": [
            {**asdict(each), "flip_margins_lsb": flip_margins(logits["numpy"], logits[each.second])}
            for each in comparisons
        ],
        "equal": equal,
    }
    print(json.dumps(report))
    return 0 if all(each.class_flips <= arguments.max_flips * each.windows for each in comparisons) else 1


def flip_margins(reference_q: np.ndarray, other_q: np.ndarray) -> list[int]:
    """Return of each window that gets another class how far its two best logits are apart, in the reference's steps."""
    flipped = reference_q[reference_q.argmax(axis=1) != other_q.argmax(axis=1)].astype(np.int64)
    best = np.sort(flipped, axis=1)
    return sorted((best[:, -1] - best[:, -2]).tolist())


def all_logits(folder: Path, model: bytes, inputs_q: np.ndarray) -> dict[str, np.ndarray]:
    """Return the codes of the logits by runtime, the NumPy engine's first."""
    paths = [folder / name for name in ("model.tflite", "windows.npy", "logits.npy", "guest.py")]
    paths[0].write_bytes(model)
    np.save(paths[1], inputs_q)
    paths[3].write_text(GUEST)
    here = [sys.executable]
    places = {
        "numpy": (here, "numpy", str(REPOSITORY)),
        "litert x86-64": (here, "litert", str(REPOSITORY)),
        "tflite-runtime x86-64": (here, "tflite-runtime", f"{tflite_runtime()}:{REPOSITORY}"),
        **{f"{kind} aarch64": (pi(folder, kind), kind, None) for kind in ("litert", "tflite-runtime")},
        "tflite-runtime armv7l": (pi(folder, "armv7l"), "tflite-runtime", None),
    }
    found = {}
    for name, (python, runtime, packages) in places.items():
        print(name, file=sys.stderr)
        environment = {} if packages is None else {"PYTHONPATH": packages}
        run([*python, str(paths[3]), *map(str, paths[:3]), runtime], environment=environment)
        found[name] = np.load(paths[2])
    return found


def pi(folder: Path, kind: str) -> list[str]:
    return [str(EmulatedPi(kind).program(folder / kind))]


def tflite_runtime() -> Path:
    """Return a folder of packages with tflite-runtime and its NumPy 1 for this Python."""
    folder, lock = cache_folder() / "packages-here", LOCKS / "tflite-runtime.txt"
    wanted = f"{sys.version} {lock.read_text()}"
    if fresh(folder, wanted):
        pip = [sys.executable, "-m", "pip", "install", "-q", "--require-hashes", "--only-binary=:all:"]
        run([*pip, "-r", str(lock), "--target", str(folder)])
        done(folder, wanted)
    return folder


if __name__ == "__main__":
    sys.exit(main())
