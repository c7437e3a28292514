"""Whole networks of the family, every tensor bit for bit against TFLite's reference kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from drsn_edge.models.config import BLOCK_KINDS, preset
from drsn_edge.models.drsn import build_model
from quantize.convert import to_int8
from quantize.engine import Engine
from quantize.engine import engine as engine_module

from .conftest import Reference, windows_for

NETWORKS = [("nano", kind) for kind in BLOCK_KINDS] + [
    ("spectral", "rsbu-cw"), ("spectral-dense", "rsbu-cs"), ("small", "rsbu-cw"), ("paper", "rsbu-cw")
]  # fmt: skip
WINDOWS = {"nano": 256, "small": 1024, "paper": 256}


def untrained(name: str, kind: str) -> bytes:
    """Return the int8 file of a preset whose batch normalisations are no identities."""
    keras.utils.set_random_seed(3)
    model = build_model(preset(name, window=WINDOWS.get(name, 128), n_axes=2, n_classes=5, block=kind))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.get_weights()[0].shape
            values = (rng.uniform(0.5, 1.5, shape), *rng.normal(0, 0.3, (2, *shape)), rng.uniform(0.5, 1.5, shape))
            layer.set_weights(values)
    return to_int8(model, rng.normal(size=(24, *model.input_shape[1:])).astype(np.float32)).data


@pytest.mark.parametrize(("name", "kind"), NETWORKS, ids=lambda part: part)
def test_every_tensor_of_every_network(name: str, kind: str) -> None:
    model = untrained(name, kind)
    engine, reference = Engine(model), Reference(model)
    windows = windows_for(reference.shape, n=3)
    ours = engine.trace(windows)
    assert len(ours) == len(engine.file.operators) + 1
    theirs = reference.trace(windows, tuple(ours))
    for index, codes in ours.items():
        np.testing.assert_array_equal(codes, theirs[index], err_msg=engine.file.tensors[index].name)


def test_a_trained_network_on_its_own_windows(trained: Any, int8: Any) -> None:
    engine = Engine(int8.data)
    given = engine.quantization(engine.input)
    codes = np.clip(np.rint(trained.inputs / given.scale) + given.zero_point, -128, 127).astype(np.int8)
    theirs = Reference(int8.data).trace(codes, engine.outputs)[engine.outputs[0]]
    found = engine.run(codes)
    np.testing.assert_array_equal(found, theirs)
    assert np.mean(found.argmax(axis=1) == trained.labels) > 0.9


def test_the_float_twin_is_the_keras_model(trained: Any, int8: Any) -> None:
    engine = Engine(int8.data)
    expected = np.asarray(trained.model.predict(trained.inputs, verbose=0))
    found = engine.trace_float(trained.inputs)[engine.outputs[0]]
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.03 * expected.std()


def test_how_many_windows_come_together_does_not_matter(tones_model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Engine(tones_model)
    windows = windows_for((1, *whole.file.tensors[whole.input].shape[1:]))
    monkeypatch.setattr(engine_module, "_CHUNK_ELEMENTS", 5000)
    pieces = Engine(tones_model)
    assert pieces._chunk < len(windows) < whole._chunk
    found = whole.run(windows)
    np.testing.assert_array_equal(found, pieces.run(windows))
    np.testing.assert_array_equal(found, np.concatenate([whole.run(window[None]) for window in windows]))
    np.testing.assert_array_equal(found[::-1], whole.run(windows[::-1]))
    np.testing.assert_array_equal(found, whole.trace(windows)[whole.outputs[0]])
    assert whole.run(windows[:0]).shape == (0, 3)


def test_the_engine_needs_numpy_only(tones_model: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(tones_model)
    code = (
        "import sys, pathlib, numpy as np, quantize.engine\n"
        f"engine = quantize.engine.Engine(pathlib.Path({str(tmp_path / 'model.tflite')!r}).read_bytes())\n"
        "assert engine.run(np.zeros((2, 1, 96, 2), np.int8)).shape == (2, 3)\n"
        "heavy = {'tensorflow', 'keras', 'ai_edge_litert', 'scipy', 'drsn_edge'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == 0, done.stderr
