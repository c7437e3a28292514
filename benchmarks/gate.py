"""Measure the time of the health gate, and the damage to a model that it finds.

    python benchmarks/gate.py --model cwru.drsn --results docs/results/gate.json

The time is that of `run_gate` including its process. Damage is one flipped bit of one random weight in the model of a
bundle with unchanged golden vectors, like a bundle whose author signed a damaged file.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from machine import machine

from drsn_edge.bundle.bundle import MODEL, Bundle, read_bundle, sha256, write_bundle
from drsn_edge.bundle.golden import golden_of
from drsn_edge.errors import GateError
from drsn_edge.gateway.health_gate import run_gate
from drsn_edge.runtime.classifier import Classifier
from quantize.tflite.file import read_model

GATES, SEED = 9, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--flips", type=int, default=400)
    parser.add_argument("--results", type=Path, required=True)
    arguments = parser.parse_args()
    bundle = read_bundle(arguments.model)
    times_s = []
    for _ in range(GATES):
        began = time.perf_counter()
        measured = run_gate(arguments.model)
        times_s.append(time.perf_counter() - began)
    result = {
        "machine": machine(),
        "bundle_bytes": arguments.model.stat().st_size,
        "golden_windows": measured.windows,
        "gate_s": round(statistics.median(times_s), 3),
        "gate_longest_s": round(max(times_s), 3),
        "by_bit": {bit: found_by(bundle, bit, arguments.flips) for bit in (0, 3, 5, 6, 7)},
    }
    arguments.results.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def found_by(bundle: Bundle, bit: int, flips: int) -> dict[str, float | str]:
    """Return the share of flips of this bit of a weight that change a golden logit, and what changes them otherwise."""
    golden = golden_of(bundle)
    assert golden is not None
    weights = [
        each.data for each in read_model(bundle.network).tensors if each.data is not None and each.type == "INT8"
    ]
    places = [(bundle.model.index(data), len(data)) for data in weights]
    draw = random.Random(SEED)
    found, classes, refused = 0, 0, 0
    for number in range(flips):
        start, length = draw.choices(places, [size for _, size in places])[0]
        model = bytearray(bundle.network)
        model[start + draw.randrange(length)] ^= 1 << bit
        logits_q = Classifier(bytes(model), "numpy").codes_of(golden.inputs_q)
        differs = bool((logits_q != golden.logits_q).any())
        found += differs
        classes += bool((logits_q.argmax(axis=1) != golden.logits_q.argmax(axis=1)).any())
        if differs and number < 20:
            refused += gate_refuses(bundle, bytes(model))
    shown = min(flips, 20)
    return {
        "flips": flips,
        "found": round(found / flips, 3),
        "change_a_class": round(classes / flips, 3),
        "refused_by_the_whole_gate_of_the_first": f"{refused} of {shown}",
    }


def gate_refuses(bundle: Bundle, model: bytes) -> bool:
    manifest = replace(bundle.manifest, parts={**bundle.manifest.parts, MODEL: sha256(model)})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.drsn"
        write_bundle(Bundle(manifest, model, bundle.extras), path)
        try:
            run_gate(path)
        except GateError:
            return True
    return False


if __name__ == "__main__":
    main()
