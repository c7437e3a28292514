"""Compare the time of one network on LiteRT and on ONNX Runtime, int8 and float32, on this machine.

    pip install onnx onnxruntime
    python benchmarks/engines.py --run runs/cwru --model cwru.drsn [--results docs/results/engines.json]

RUN is the run folder of the bundle; its Keras model is the float32 network, and its calibration windows give ONNX
Runtime's own int8 its ranges. TensorFlow must be installed, as for every training.

litert int8                the bundle
litert float32             the run's network
onnxruntime float32        the same file as ONNX
onnxruntime static int8    that ONNX file after `quantize_static` with QDQ, weights by channel
onnxruntime QDQ of ours    the bundle's int8 file as ONNX: the same integers, scales and zero points

One process with one thread runs all of them. Each round runs every engine a few times in a new random order and
measures the processor time of the thread. A figure is the median over the rounds. An inference is one window as a
program makes it: the input is set, the network runs, and the logits are fetched. `same_class_share`: share of the
hold-out windows to which an engine gives the class that `litert float32` gives.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from int8_models import float32
from machine import machine
from numpy.typing import NDArray
from onnx_networks import to_onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from drsn_edge.bundle.bundle import read_bundle
from drsn_edge.runtime.classifier import quantize_int8
from drsn_edge.runtime.interpreters import open_interpreter
from drsn_edge.signal.network_input import network_input
from drsn_edge.training.run_folder import load_run

_RUNS_PER_ROUND = 8
_WINDOWS = 64
"""Windows that are taken in turn while time is measured."""

Engine = Callable[[NDArray[Any]], NDArray[Any]]
"""From one window, shape (1, 1, steps, channels), in the type of the network's input, to its logits."""


def on_litert(model: bytes) -> Engine:
    _, interpreter = open_interpreter(model, "litert")
    taken, given = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(window: NDArray[Any]) -> NDArray[Any]:
        interpreter.set_tensor(taken, window)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(given))

    return run


def on_onnxruntime(model: bytes) -> Engine:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda window: np.asarray(session.run(None, {"input": window})[0])


class _Windows(CalibrationDataReader):  # type: ignore[misc]  # its type is not known where it is not installed
    """Calibration windows for `quantize_static`."""

    def __init__(self, inputs: NDArray[np.float32]) -> None:
        self._left: Iterator[NDArray[np.float32]] = iter(inputs)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        window = next(self._left, None)
        return None if window is None else {"input": window[None]}


def static_int8(model: bytes, calibration: NDArray[np.float32]) -> bytes:
    """Return ONNX Runtime's own int8 form of a float32 network."""
    with tempfile.TemporaryDirectory() as name:
        given, ready, made = (Path(name, file) for file in ("float32.onnx", "ready.onnx", "int8.onnx"))
        given.write_bytes(model)
        quant_pre_process(str(given), str(ready), skip_symbolic_shape=True)  # every shape is a number
        quantize_static(
            str(ready), str(made), _Windows(calibration), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return made.read_bytes()


def measure_rounds(engines: dict[str, Engine], windows: dict[str, NDArray[Any]], rounds: int) -> dict[str, list[float]]:
    """Return processor time per inference in microseconds, of each engine and round."""
    taken: dict[str, list[float]] = {name: [] for name in engines}
    order, shuffle = list(engines), random.Random(0).shuffle
    for number in range(rounds):
        shuffle(order)
        for name in order:
            run, window = engines[name], windows[name][number % _WINDOWS][None]
            run(window)  # the engine before has left the caches to itself
            begin = time.thread_time_ns()
            for _ in range(_RUNS_PER_ROUND):
                run(window)
            taken[name].append((time.thread_time_ns() - begin) / 1000 / _RUNS_PER_ROUND)
    return taken


def compared(run_folder: Path, bundle_file: Path, rounds: int) -> list[dict[str, Any]]:
    """Return the figures of each engine."""
    run, bundle = load_run(run_folder), read_bundle(bundle_file)
    calibration, held_out = (
        network_input(each.windows, run.contract, each.speeds_hz) for each in (run.calibration, run.held_out)
    )
    real = float32(run.model)
    as_onnx = to_onnx(real)
    files = {
        "litert int8": bundle.network,
        "litert float32": real,
        "onnxruntime float32": as_onnx,
        "onnxruntime static int8": static_int8(as_onnx, calibration),
        "onnxruntime QDQ of ours": to_onnx(bundle.network),
    }
    engines = {
        name: on_litert(data) if name.startswith("litert") else on_onnxruntime(data) for name, data in files.items()
    }
    ours = bundle.manifest.input
    codes = quantize_int8(held_out, ours.scale, ours.zero_point)
    inputs = {name: codes if name in ("litert int8", "onnxruntime QDQ of ours") else held_out for name in files}
    classes = {name: [int(run(each[None]).argmax()) for each in inputs[name]] for name, run in engines.items()}
    taken = measure_rounds(engines, inputs, rounds)
    return [
        {
            "engine": name,
            "median_us": round(statistics.median(taken[name]), 1),
            "p10_us": round(float(np.percentile(taken[name], 10)), 1),
            "against_litert_int8": round(
                statistics.median(a / b for a, b in zip(taken[name], taken["litert int8"], strict=True)), 2
            ),
            "bytes": len(data),
            "same_class_share": round(float(np.mean(np.equal(classes[name], classes["litert float32"]))), 4),
            "accuracy": round(float(np.mean(np.equal(classes[name], run.held_out.labels))), 4),
        }
        for name, data in files.items()
    ]


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder of the bundle")
    parser.add_argument("--model", type=Path, required=True, help="bundle")
    parser.add_argument("--rounds", type=int, default=1000, help=f"of {_RUNS_PER_ROUND} inferences of every engine")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    report = {
        "command": "benchmarks/engines.py",
        "machine": {**machine(), "onnxruntime": version("onnxruntime"), "onnx": version("onnx")},
        "model": given.model.name,
        "rounds": given.rounds,
        "engines": compared(given.run, given.model, given.rounds),
    }
    print(json.dumps(report, indent=1))
    if given.results:
        given.results.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
