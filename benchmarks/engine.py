"""Measure the NumPy engine's time for one window, in ms, and that of LiteRT.

    OMP_NUM_THREADS=1 python benchmarks/engine.py                     # the preset `small`, untrained
    OMP_NUM_THREADS=1 python benchmarks/engine.py --model cwru.drsn   # a bundle, or a .tflite file

Prints JSON: medians of interleaved runs on one thread, as elapsed time and as processor time. On shared cores only the
processor time is meaningful. Without --model, the extra `train` is required. The variable is needed because BLAS reads
its number of threads when it is loaded.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import machine

from drsn_edge.bundle.bundle import read_bundle
from quantize.backends import open_backends
from quantize.engine import Engine

SHAPE: dict[str, Any] = {"window": 1024, "n_axes": 3, "n_classes": 13}


def main() -> None:
    arguments = parse_arguments()
    model = read_model_of(arguments.model) if arguments.model else untrained(arguments.network)
    started = time.perf_counter()
    engine = Engine(model)
    prepared_ms = 1e3 * (time.perf_counter() - started)
    shape = engine.file.tensors[engine.input].shape[1:]
    windows = np.random.default_rng(0).integers(-128, 128, (arguments.batch, *shape)).astype(np.int8)
    tasks: dict[str, Callable[[], Any]] = {
        name: partial(run, windows[:1]) for name, run in open_backends(model).items()
    }
    tasks["numpy_batch_per_window"] = lambda: engine.run(windows)
    wall_ms, cpu_ms = interleaved(tasks, arguments.repeats)
    for times in (wall_ms, cpu_ms):
        times["numpy_batch_per_window"] /= arguments.batch
    report = {
        "model": str(arguments.model or arguments.network),
        "window_shape": list(shape),
        "prepare_ms": round(prepared_ms, 2),
        "median_wall_ms": {name: round(value, 4) for name, value in wall_ms.items()},
        "median_cpu_ms": {name: round(value, 4) for name, value in cpu_ms.items()},
        "batch": arguments.batch,
        "repeats": arguments.repeats,
        "machine": {**machine(), "numpy": np.__version__},
    }
    print(json.dumps(report))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="bundle or .tflite file to run")
    parser.add_argument("--network", default="small", help="preset to convert if --model is missing (default: small)")
    parser.add_argument("--batch", type=int, default=64, help="windows per batch (default: 64)")
    parser.add_argument("--repeats", type=int, default=200)
    return parser.parse_args()


def read_model_of(path: Path) -> bytes:
    return path.read_bytes() if path.suffix == ".tflite" else read_bundle(path).network


def untrained(network: str) -> bytes:
    """Return the int8 file of a preset with random weights."""
    import keras

    from drsn_edge.models.config import preset
    from drsn_edge.models.drsn import build_model
    from quantize.convert import to_int8

    keras.utils.set_random_seed(0)
    model = build_model(preset(network, **SHAPE))
    noise = np.random.default_rng(0).normal(size=(32, *model.input_shape[1:])).astype(np.float32)
    return to_int8(model, noise).data


def interleaved(tasks: dict[str, Callable[[], Any]], repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the median elapsed time and processor time of each task in ms; the tasks run in rotation."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            wall, cpu = time.perf_counter(), time.thread_time()
            task()
            times[name].append((1e3 * (time.perf_counter() - wall), 1e3 * (time.thread_time() - cpu)))
    wall_ms, cpu_ms = ({name: median(pair[k] for pair in pairs) for name, pairs in times.items()} for k in (0, 1))
    return wall_ms, cpu_ms


if __name__ == "__main__":
    main()
