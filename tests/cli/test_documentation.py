"""Every command documents itself and its example parses; tests/documentation/test_reference.py demands its page."""

from __future__ import annotations

import shlex
import subprocess
import sys

import click
import pytest

from drsn_edge.cli.main import cli
from drsn_edge.signal.names import NOISE_KINDS

GROUPS = {name: command for name, command in cli.commands.items() if isinstance(command, click.Group)}
COMMANDS = sorted(
    [name for name in cli.commands if name not in GROUPS]
    + [f"{name} {inner}" for name, group in GROUPS.items() for inner in group.commands]
)


def command_of(name: str) -> click.Command:
    first, _, inner = name.partition(" ")
    return GROUPS[first].commands[inner] if inner else cli.commands[first]


def help_of(name: str) -> str:
    command = command_of(name)
    return command.get_help(click.Context(command, info_name=name))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_with_an_example_that_parses(name: str) -> None:
    text = help_of(name)
    _, _, after = text.partition("Example:\n")
    example = shlex.split(after.strip().splitlines()[0])
    words = ["drsn-edge", *name.split()]
    assert example[: len(words)] == words
    context = command_of(name).make_context(name, example[len(words) :])
    assert not context.args


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_a_group_says_what_it_is_for_with_an_example(name: str) -> None:
    assert f"Example:\n    drsn-edge {name} " in GROUPS[name].get_help(click.Context(GROUPS[name], info_name=name))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    options = [option for option in command_of(name).params if isinstance(option, click.Option)]
    assert options
    assert [option.name for option in options if not (option.help or "").strip()] == []


@pytest.mark.parametrize("name", [*COMMANDS, *GROUPS])
def test_help_fits_a_terminal_of_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command = GROUPS[name] if name in GROUPS else command_of(name)
    context = click.Context(command, info_name=f"drsn-edge {name}", max_content_width=110)
    assert [line for line in command.get_help(context).splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "agent"])  # it speaks frames
def test_every_command_can_print_json(name: str) -> None:
    assert "--json" in help_of(name)


def test_a_short_help_fits_each_command() -> None:
    for name in COMMANDS:
        assert command_of(name).get_short_help_str(200).endswith(".")


def test_commands_start_without_what_they_do_not_need() -> None:
    """Help must not wait for TensorFlow."""
    heavy = ["tensorflow", "keras", "scipy", "matplotlib", "rich", "serial", "numpy", "sklearn", "jinja2"]
    script = f"import sys, drsn_edge.cli.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", ["train", "simulate"])
def test_help_names_every_kind_of_noise(name: str) -> None:
    """The help spells them out, because importing them would load NumPy."""
    text = " ".join(help_of(name).split())
    assert all(kind in text for kind in NOISE_KINDS)
