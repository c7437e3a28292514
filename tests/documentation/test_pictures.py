"""Pictures that are drawn from the code are those that the pages show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_picture_of_the_rooms_is_what_its_program_draws(tmp_path: Path):
    program = ROOT / "benchmarks" / "pictures" / "architecture.py"
    subprocess.run([sys.executable, program, "--write", tmp_path / "drawn.svg"], check=True)
    drawn = (tmp_path / "drawn.svg").read_text(encoding="utf-8")
    assert drawn == (ROOT / "docs" / "pictures" / "architecture.svg").read_text(encoding="utf-8")
