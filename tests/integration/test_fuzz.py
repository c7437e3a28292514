"""A minute of coverage-guided fuzzing of each reader of strangers' bytes; ten are in `make proof` (docs/results)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
FUZZ = ROOT / "tests" / "fuzz_run.py"


def test_fuzzing_finds_nothing(need: Callable[..., None], tmp_path: Path) -> None:
    need("python3.11", "clang", "make")
    command = [sys.executable, str(FUZZ), "--seconds", "60", "--results", str(tmp_path / "fuzz.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "fuzz.json").read_text())
    assert (
        min(found[what]["runs"] for what in ("python", "bundle", "agent")) > 1000 and found["firmware"]["runs"] > 10_000
    )
