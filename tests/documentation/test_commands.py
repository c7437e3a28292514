"""Commands of the docs exist with their options, also where no test runs them, and no block hides from the runner."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from blocks import ROOT

from drsn_edge.cli.main import cli

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^ *(?P<ticks>`{3,})(?P<kind>[^\n`]*)\n(?P<body>.*?)^ *(?P=ticks)$", re.DOTALL | re.MULTILINE)
SHELL = {"console", "sh", "bash", "shell"}
PARTS = {"COMMAND", "mon", "--his"}
"""What stands for any command, and what a reader types before the shell completes it."""
CALL = re.compile(r"(?<![\w/.])(?:[\w./-]+/)?drsn-edge +(?P<rest>[a-z-][^|;&#>)\n]*)")


def calls(text: str) -> Iterator[str]:
    """Yield what follows `drsn-edge` in the commands of a page's blocks and in its code in lines."""
    for block in BLOCK.finditer(text):
        if block["kind"].strip() in SHELL:
            typed = block["body"].replace("\\\n", " ")
            if block["kind"].strip() == "console":
                typed = "\n".join(line for line in typed.splitlines() if line.startswith("$ "))
            for call in CALL.finditer(typed):
                yield call["rest"]
    for code in re.findall(r"`(drsn-edge [^`]+)`", BLOCK.sub("", text)):
        yield code.removeprefix("drsn-edge ")


def words_of(rest: str) -> list[str]:
    """Return the words of a call; code in lines may have one quote of a pair."""
    try:
        return shlex.split(rest)
    except ValueError:
        return rest.split()


def is_option_of(word: str, command: click.Command) -> bool:
    """Return whether a word such as `--json` or `--key=FILE` is an option of a command."""
    options = {each for option in command.params for each in (*option.opts, *option.secondary_opts)}
    return re.sub(r"^(--[\w-]*).*", r"\1", word) in options | {"--help"} | PARTS


def unknown(rest: str) -> str | None:
    """Return the first word of a call that is no command and no option of it, None if all are known."""
    command: click.Command = cli
    words = words_of(rest)
    for number, word in enumerate(words):
        if word == "--":
            return unknown(" ".join(["monitor", *map(shlex.quote, words[number + 1 :])]))
        if word.startswith("--"):
            if not is_option_of(word, command):
                return word
        elif isinstance(command, click.Group) and not word.startswith("-"):
            if word not in command.commands:
                return None if word in PARTS else word
            command = command.commands[word]
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_exists(page: Path) -> None:
    assert {rest: word for rest in calls(page.read_text(encoding="utf-8")) if (word := unknown(rest))} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_stand_in_blocks_that_the_runner_sees(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    hidden = [
        block["body"]
        for block in BLOCK.finditer(text)
        if block["kind"].strip() != "console" and re.search(r"^(\$ )?(sudo )?drsn-edge ", block["body"], re.MULTILINE)
    ]
    assert hidden == [] and re.findall(r"^(?: {4}|\t)(?:\$ )?drsn-edge .*", BLOCK.sub("", text), re.MULTILINE) == []


@pytest.mark.parametrize(
    ("rest", "word"),
    [
        ("train --data x --holdout y", "--holdout"),
        ("gateway show", "show"),
        ("service install --name a -- --port x --jsn", "--jsn"),
        ("bundle sign x --key=y", None),
        ("-v monitor --port 'a b' --no-unknown", None),
    ],
)
def test_what_does_not_exist_is_found(rest: str, word: str | None) -> None:
    assert unknown(rest) == word
