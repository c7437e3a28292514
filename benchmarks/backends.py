"""Compare all backends on the hold-out windows of a run: differences of logits and classes, and rounding of operators.

    python benchmarks/backends.py --model cwru.drsn --run run/ --windows 1000

Prints JSON. Exit code 0 only if the NumPy engine equals LiteRT's reference kernels in every code and no two backends
differ in the class of more than --max-flips of the windows.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from drsn_edge.bundle.bundle import Bundle, read_bundle
from drsn_edge.runtime.classifier import quantize_int8
from drsn_edge.signal.network_input import network_input
from drsn_edge.training.run_folder import read_run
from quantize.backends import (
    NUMPY,
    OPTIMISED,
    REFERENCE,
    XNNPACK,
    compare_backends,
    open_backends,
    operator_differences,
)


def main() -> int:
    arguments = parse_arguments(__doc__)
    bundle = read_bundle(arguments.model)
    inputs_q = held_out_codes(bundle, arguments.run, arguments.windows)
    comparisons = compare_backends(open_backends(bundle.network), inputs_q)
    operators = {
        name: [asdict(each) for each in operator_differences(bundle.network, inputs_q[::20], name)]
        for name in (REFERENCE, OPTIMISED, XNNPACK)
    }
    report = {
        "model": arguments.model.name,
        "comparisons": [asdict(each) for each in comparisons],
        "operators_on_every_20th_window": operators,
    }
    print(json.dumps(report))
    exact = all(each.equal for each in comparisons if {each.first, each.second} == {NUMPY, REFERENCE})
    flips = max(each.class_flips / each.windows for each in comparisons)
    return 0 if exact and flips <= arguments.max_flips else 1


def held_out_codes(bundle: Bundle, folder: Path, most: int) -> np.ndarray:
    """Return the network's inputs for hold-out windows of the run, shape (n, 1, steps, channels)."""
    held_out = read_run(folder).held_out
    chosen = np.linspace(0, len(held_out) - 1, min(most, len(held_out))).astype(np.int64)
    windows = held_out.pick(chosen)
    inputs = network_input(windows.windows, bundle.manifest.contract, windows.speeds_hz)
    return quantize_int8(inputs, bundle.manifest.input.scale, bundle.manifest.input.zero_point)


def parse_arguments(doc: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="bundle to run")
    parser.add_argument("--run", type=Path, required=True, help="run folder that the bundle was converted from")
    parser.add_argument(
        "--windows", type=int, default=1000, help="highest number of windows, spread evenly (default: 1000)"
    )
    parser.add_argument(
        "--max-flips",
        type=float,
        default=0.001,
        help="highest share of windows with another class, 0 to 1 (default: 0.001)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
