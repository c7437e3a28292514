"""The reference: every command has its page, and pages that are printed from the code say what the code says now."""

from __future__ import annotations

import importlib.util
import re
import sqlite3
from pathlib import Path
from types import ModuleType

import click
import pytest

from drsn_edge.cli.main import cli
from drsn_edge.monitor.sinks.history_file import TABLES, open_history
from drsn_edge.recordings.metadata import MEANINGS, RESERVED_KEYS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
COMMANDS = [
    *((name, ()) for name, command in cli.commands.items() if not isinstance(command, click.Group)),
    *((name, tuple(group.commands)) for name, group in cli.commands.items() if isinstance(group, click.Group)),
]


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_reference", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _loaded(REFERENCE / "generate.py")


@pytest.mark.parametrize("path", generate.pages(), ids=lambda path: str(path.relative_to(REFERENCE)))
def test_a_page_shows_what_the_code_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert generate.filled(text) == text, "type: python docs/reference/generate.py"


def test_every_part_is_on_one_page() -> None:
    found = [
        name for path in generate.pages() for name in re.findall(r"<!-- generated: ([\w-]+) -->", path.read_text())
    ]
    assert sorted(found) == sorted(generate.PARTS)


@pytest.mark.parametrize(("name", "inner"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_has_a_page_with_its_options_and_an_example(name: str, inner: tuple[str, ...]) -> None:
    text = (REFERENCE / "commands" / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n") and f"drsn-edge {name}" in text
    shown = re.findall(r"^\.\. command:: (.+)$", text, re.M)
    assert shown == ([f"{name} {each}" for each in inner] or [name])
    for each in inner:
        assert f"\n## {name} {each}\n" in text and f"drsn-edge {name} {each}" in text


def test_every_page_of_a_command_is_one_and_is_in_the_list() -> None:
    pages = {path.stem for path in (REFERENCE / "commands").glob("*.md")} - {"index"}
    assert pages == set(cli.commands)
    toctree = (REFERENCE / "commands" / "index.md").read_text(encoding="utf-8").partition("```{toctree}")[2]
    assert toctree.split("```")[0].split()[1:] == list(cli.commands)


def test_every_column_of_a_history_is_described(tmp_path: Path) -> None:
    connection = open_history(tmp_path / "history.sqlite")
    shown = generate.PARTS["history"]()
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert len(names) == 6
    for (table,) in names:
        part = shown.partition(f"### {table}\n")[2].partition("\n### ")[0]
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        assert re.findall(r"^\| `(\w+)`", part, re.M) == columns
    connection.close()


def test_what_describes_a_column_is_no_part_of_the_statement() -> None:
    plain = [re.sub(r" *--.*", "", statement) for statement in TABLES]
    with_words, without = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    for statement, short in zip(TABLES, plain, strict=True):
        with_words.execute(statement)
        without.execute(short)
    for (table,) in without.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        query = f"PRAGMA table_info({table})"
        assert with_words.execute(query).fetchall() == without.execute(query).fetchall()


def test_every_reserved_key_of_a_catalogue_has_its_meaning() -> None:
    assert set(MEANINGS) == RESERVED_KEYS


def test_a_key_without_a_meaning_is_noticed() -> None:
    class Undescribed:
        """Nothing is said of the key."""

        name: str = ""

    assert generate.meanings(Undescribed) == {}
