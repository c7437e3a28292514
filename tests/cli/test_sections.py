"""Help in sections: each option of a long command is under the title that it belongs to."""

from __future__ import annotations

import click
import pytest

from drsn_edge.cli.main import cli
from drsn_edge.cli.sections import SectionedCommand, section, section_of

SECTIONED = sorted(name for name, command in cli.commands.items() if isinstance(command, SectionedCommand))


def titles(name: str) -> list[str]:
    command = cli.commands[name]
    shown = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    return list(dict.fromkeys(str(section_of(each)) for each in shown))


def lines_of(name: str) -> list[str]:
    command = cli.commands[name]
    return command.get_help(click.Context(command, info_name=name, terminal_width=80)).splitlines()


def test_monitor_is_grouped_by_what_an_option_is_about() -> None:
    assert titles("monitor") == ["Source", "Model", "Decision", "Outputs", "Output over MQTT", "Display"]
    assert titles("train") == ["Data", "Network and training", "Run"]


@pytest.mark.parametrize("name", SECTIONED)
def test_every_option_stands_once_in_its_section(name: str) -> None:
    lines, title, found = lines_of(name), "", {}
    for line in lines:
        if line and not line.startswith(" "):
            title = line.removesuffix(":")
        elif line.startswith("  -"):
            flag = next(word for word in line.replace(",", " ").split() if word.startswith("--"))
            assert flag not in found
            found[flag] = title
    for option in cli.commands[name].params:
        if isinstance(option, click.Option) and not option.hidden:
            flag = next(each for each in option.opts if each.startswith("--"))
            assert section_of(option) is not None and found.pop(flag) == section_of(option), flag
    assert found == {"--help": titles(name)[-1]}


def test_long_commands_have_sections() -> None:
    options = {name: [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
               for name, command in cli.commands.items()}  # fmt: skip
    assert {name for name, found in options.items() if len(found) > 12} <= set(SECTIONED)


def test_a_long_name_has_a_line_of_its_own_and_texts_share_a_column() -> None:
    @click.command(cls=SectionedCommand)
    @click.argument("file")
    @section("First", click.option("--one", help="Text."), click.option("--a-name-that-is-far-too-long", help="Text."))
    @section("Second", click.option("--another", help="Text."))
    @click.option("--free", help="Text.")
    def tool(**_: object) -> None:
        """Do it."""

    lines = tool.get_help(click.Context(tool, info_name="tool", terminal_width=80)).splitlines()
    at = lines.index("First:")
    assert lines[at + 2].strip() == "--a-name-that-is-far-too-long TEXT" and lines[at + 4] == "Second:"
    assert {line.index("Text.") for line in lines if "Text." in line} == {18}
    assert [line.split()[0] for line in lines[at + 5 :]] == ["--another", "--free", "--help"]


def test_the_short_help_of_every_command_is_whole_at_80_columns() -> None:
    for group in (cli, *(each for each in cli.commands.values() if isinstance(each, click.Group))):
        text = group.get_help(click.Context(group, info_name="drsn-edge", terminal_width=80))
        assert "..." not in text.partition("Commands:")[2], group.name
