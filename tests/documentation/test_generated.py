"""Pages and pictures that programs write are what the programs write now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from drsn_edge.reproduce.sweep import read_results
from drsn_edge.reproduce.tables import as_markdown

ROOT = Path(__file__).parents[2]


def test_the_picture_of_the_rooms_is_what_its_program_draws(tmp_path: Path):
    program = ROOT / "benchmarks" / "pictures" / "architecture.py"
    subprocess.run([sys.executable, program, "--write", tmp_path / "drawn.svg"], check=True)
    drawn = (tmp_path / "drawn.svg").read_text(encoding="utf-8")
    assert drawn == (ROOT / "docs" / "pictures" / "architecture.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "program"),
    [("INT8.md", "int8_tables.py"), ("RUNTIMES.md", "runtime_tables.py"), ("MONITOR.md", "monitor_tables.py")],
)
def test_tables_are_those_of_the_results(page: str, program: str, tmp_path: Path):
    results, page_path = ROOT / "docs" / "results", tmp_path / page
    command: list[str | Path] = [
        sys.executable,
        ROOT / "benchmarks" / program,
        "--results",
        results,
        "--write",
        page_path,
    ]
    subprocess.run(command, check=True)
    written = page_path.read_text(encoding="utf-8")
    assert written == (ROOT / "docs" / page).read_text(encoding="utf-8"), f"write docs/{page} again with {program}"


def test_the_page_of_accuracies_is_that_of_its_results():
    results = read_results(ROOT / "docs" / "results" / "accuracy.jsonl")
    assert as_markdown(results) == (ROOT / "docs" / "ACCURACY.md").read_text(encoding="utf-8")
