"""A minute of coverage-guided fuzzing of each decoder; ten are in `make proof`, and in docs/results/fuzz.json."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
FUZZ = ROOT / "tests" / "firmware_bridge" / "fuzz_run.py"


def test_fuzzing_the_decoders_finds_nothing(need: Callable[..., None], tmp_path: Path) -> None:
    need("python3.11", "clang", "make")
    command = [sys.executable, FUZZ, "--seconds", "60", "--results", tmp_path / "fuzz.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "fuzz.json").read_text())
    assert found["python"]["runs"] > 1000 and found["firmware"]["runs"] > 10_000
