"""The Makefile: every target that `make help` lists has one rule."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_target_that_help_lists_has_one_rule() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    listed = re.findall(r'@echo "make ([\w-]+) ', text)
    ruled = re.findall(r"^([\w-]+):(?!=)", text, re.M)
    assert len(listed) > 10 and all(ruled.count(target) == 1 for target in listed), listed


def test_make_reads_it_without_a_warning() -> None:
    done = subprocess.run(["make", "-n", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
