"""Every command documents itself, its example parses, and the README knows it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from drsn_edge.cli.main import cli
from drsn_edge.noise import NOISE_KINDS

README = Path(__file__).parents[2] / "README.md"
COMMANDS = sorted(cli.commands)


def help_of(name: str) -> str:
    command = cli.commands[name]
    return command.get_help(click.Context(command, info_name=name))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_with_an_example_that_parses(name: str) -> None:
    text = help_of(name)
    _, _, after = text.partition("Example:\n")
    example = shlex.split(after.strip().splitlines()[0])
    assert example[:2] == ["drsn-edge", name]
    context = cli.commands[name].make_context(name, example[2:])
    assert not context.args


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    options = [option for option in cli.commands[name].params if isinstance(option, click.Option)]
    assert options
    assert [option.name for option in options if not (option.help or "").strip()] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_shows_every_command(name: str) -> None:
    text = README.read_text()
    assert f"drsn-edge {name}" in text or f"make {name}" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_print_json(name: str) -> None:
    assert "--json" in help_of(name)


def test_a_short_help_fits_each_command() -> None:
    for name in COMMANDS:
        assert cli.commands[name].get_short_help_str(200).endswith(".")


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
