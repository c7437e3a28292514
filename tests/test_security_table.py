"""The table of bounds in docs/security.md: complete rows, and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COLUMNS = ["input", "who can send it", "size", "time", "count", "character set", "what happens beyond", "test"]


def rows() -> list[list[str]]:
    text = (ROOT / "docs" / "security.md").read_text().partition("## Every input from outside")[2]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_has_its_columns() -> None:
    assert rows()[0] == COLUMNS and len(rows()) > 20


@pytest.mark.parametrize("row", rows()[2:], ids=lambda row: row[0])
def test_each_input_has_a_bound_and_a_test_that_exists(row: list[str]) -> None:
    assert len(row) == len(COLUMNS) and row[1] and row[6]
    assert any(row[2:6]) or "refused" in row[6] or "runs" in row[6] or "believed" in row[6]
    file, named = "", 0
    for path, name in re.findall(r"(tests/[\w/]+\.py)?(?:::(\w+))?", row[7]):
        if path:
            assert (ROOT / path).is_file(), f"docs/security.md names {path}, which is not there"
            file = (ROOT / path).read_text()
        if name:
            assert f"def {name}(" in file, name
        named += bool(path or name)
    assert named
