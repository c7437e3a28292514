"""Keras works on the backend that KERAS_BACKEND names, but for conversion."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
from drsn_edge.cli.progress import {load}
from drsn_edge.errors import TrainingError
try:
    {load}()
    import keras
    print(keras.backend.backend())
except TrainingError as exc:
    print("jax" if "unset KERAS_BACKEND" in str(exc) else exc)
"""


@pytest.mark.parametrize(("load", "backend"), [("load_keras", "jax"), ("load_tensorflow", "tensorflow")])
def test_only_conversion_insists_on_tensorflow(load: str, backend: str) -> None:
    """Where JAX is not installed, the error says what to do."""
    pytest.importorskip("keras", reason="loading Keras needs the extra `train`")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(load=load)],
        capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "jax"}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == backend
