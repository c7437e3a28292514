"""The directive `command` of a command's page: what `--help` says, by sphinx-click.

    .. command:: bundle show

The options are read from the command when the site is built, so that a page cannot drift from `--help`. They stand
under the titles that `--help` has, and examples are blocks that can be copied.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx_click.ext import ClickDirective

from drsn_edge.cli.main import cli
from drsn_edge.cli.sections import section_of

_EXAMPLE = ("Example:", "Examples:")


class CommandPart(ClickDirective):  # type: ignore[misc]  # sphinx-click has no types
    """Usage, options and example of one command, without a heading of its own: the page has it."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Return the nodes."""
        self.env = self.state.document.settings.env
        self.env.note_reread()  # the commands may have changed, though the page has not
        command: click.Command = cli
        for name in self.arguments[0].split():
            if not isinstance(command, click.Group) or name not in command.commands:
                raise self.error(f"there is no command {self.arguments[0]}")
            command = command.commands[name]
        (section,) = self._generate_nodes(f"drsn-edge {self.arguments[0]}", command, None, "none", None)
        return [each for each in section.children if not isinstance(each, nodes.title)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive, and connect to what sphinx-click reads."""
    app.add_directive("command", CommandPart)
    app.connect("sphinx-click-process-description", _example_as_block)
    app.connect("sphinx-click-process-options", _forms_of_addresses)
    app.connect("sphinx-click-process-options", _under_titles)
    return {"parallel_read_safe": True}


def _example_as_block(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Turn the lines under "Example:" of a command's help into a block of commands that can be copied."""
    plain = [line.removeprefix("| ").strip() for line in lines]
    start = next((number for number, line in enumerate(plain) if line in _EXAMPLE), None)
    if start is None:
        return
    end = next((number for number in range(start + 1, len(plain)) if not plain[number]), len(plain))
    block = [".. code-block:: sh", "", *(f"    {line}" for line in plain[start + 1 : end])]
    lines[start:end] = ["", *block, ""]


def _forms_of_addresses(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Keep docutils from making links of forms such as ssh://[USER@]HOST and USER@HOST, which lead nowhere."""
    lines[:] = [re.sub(r"(?<=http|.ssh)(?=://[\[A-Z])|(?<=[A-Z])(?=@[A-Z])", r"\\", line) for line in lines]


def _under_titles(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Put the options of one section of `--help` behind each other, under its title."""
    shown = [each for each in context.command.params if isinstance(each, click.Option) and not each.hidden]
    titles = [section_of(option) for option in shown]
    starts = [number for number, line in enumerate(lines) if line.startswith(".. option::")]
    if not any(titles) or len(starts) != len(shown):
        return
    ends = [*starts[1:], len(lines)]
    sections: dict[str, list[str]] = {}
    for title, start, end in zip(titles, starts, ends, strict=True):
        sections.setdefault(title or "Other", []).extend(lines[start:end])
    lines[:] = [line for title, part in sections.items() for line in (f".. rubric:: {title}", "", *part)]
