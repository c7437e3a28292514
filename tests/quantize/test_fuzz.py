"""Some hundred mutations of `fuzz.py`, which takes any number of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .fuzz import KINDS, fuzz, mutated, used


def test_mutations_raise_nothing_but_quantize_errors(int8: Any, tiny_model: bytes) -> None:
    outcome = fuzz([int8.data, tiny_model], 600, seed=1)
    assert outcome.unexpected == []
    assert outcome.slowest_s < 10
    assert outcome.by_error["ModelFileError"] > 100  # the mutations do reach the tables
    assert outcome.by_error["ran"] > 50  # and leave some files whole
    assert set(outcome.by_kind) == set(KINDS)


def test_an_honest_file_runs(int8: Any) -> None:
    assert used(int8.data) == "ran"


def test_a_mutation_can_be_had_again(int8: Any) -> None:
    import random

    first, again = (mutated(int8.data, random.Random("1/7")) for _ in range(2))
    assert first == again and first[1] != int8.data


def test_the_script_says_what_it_found(tiny_model: bytes, tmp_path: Path) -> None:
    (tmp_path / "tiny.tflite").write_bytes(tiny_model)
    script = Path(__file__).with_name("fuzz.py")
    command = [sys.executable, str(script), "--count", "30", str(tmp_path / "tiny.tflite")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mutations"] == sum(json.loads(done.stdout)["outcomes"].values()) == 30
