"""Words that a reader stumbles over do not come back: in the docs, in help texts, and in what the code says.

The rules are those of CONTRIBUTING.md. This test knows only the words that have come back before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from drsn_edge.cli.main import cli

ROOT = Path(__file__).parents[2]
STUMBLES = {
    r"\banew\b": "again",
    r", too\b(?! (?:long|short|large|small|many|few|old|new|early|late|loud|slow)\b)": "also",
    r"\btakes? turns\b": "rotate",
    r"^(?:Likewise|Its|Of it|The same of)\b": "the thing itself",
    r"\bthere, too\b": "the place",
    r"\bat that\b(?! (?:time|point|moment|rate))": "nothing",
}
PACKAGES = ("drsn_edge", "quantize", "firmware_bridge")


def texts() -> Iterator[Path]:
    yield from ROOT.glob("*.md")
    for folder in ("docs", *PACKAGES, "examples", "benchmarks"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in (".md", ".py"))


def stumbles(text: str) -> list[str]:
    return [
        f"line {number}: {line.strip()} (say: {plain})"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, plain in STUMBLES.items()
        if re.search(pattern, line.strip())
    ]


@pytest.mark.parametrize("path", sorted(texts()), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_text_has_none_of_the_words_that_make_readers_stumble(path: Path):
    assert stumbles(path.read_text(encoding="utf-8")) == []


def test_such_a_word_is_found():
    assert len(stumbles("Start it anew.\nThis one, too, and that.\nLikewise here.\n")) == 3


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for part, below in command.commands.items():
            yield from commands(below, f"{name} {part}")


ALL = list(commands(cli, "drsn-edge"))
OPTIONS = [
    (f"{name} {option.opts[0]}", option)
    for name, command in ALL
    for option in command.params
    if isinstance(option, click.Option) and not option.hidden
]


@pytest.mark.parametrize(("name", "command"), ALL[1:], ids=[name for name, _ in ALL[1:]])
def test_the_list_of_commands_shows_whole_sentences(name: str, command: click.Command):
    short = command.get_short_help_str(limit=61)
    assert re.fullmatch(r"[A-Z].*[^.]\.", short), short


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=[name for name, _ in OPTIONS])
def test_the_help_of_an_option_is_a_sentence_of_its_own(name: str, option: click.Option):
    words = option.help or ""
    assert re.match(r"[A-Z`/0-9-]", words), words
    assert words.rstrip().endswith((".", ").", "]")), words
    assert not re.match(r"(?:Of|Its|From there|With|Likewise|Also)\b", words), words
