"""Help in sections: options of one purpose stand together under a title."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_WIDEST_NAME = 24
"""Columns for the names of options; a longer one has a line of its own."""

_TITLE = "section"
"""The attribute of an option that holds the title of its section."""


def section(title: str, *options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Return a decorator that adds options to a command under one title.

    Args:
        title: Title in the help of a `SectionedCommand`.
        options: Decorators as `click.option` returns them, in the order of the help.
    """

    def add(command: Command) -> Command:
        before = len(getattr(command, "__click_params__", ()))
        for option in reversed(options):
            command = option(command)
        for param in getattr(command, "__click_params__")[before:]:  # noqa: B009  # click's own attribute
            setattr(param, _TITLE, title)
        return command

    return add


def section_of(param: click.Parameter) -> str | None:
    """Return the title of the section that an option was added under, None if there is none."""
    title: str | None = getattr(param, _TITLE, None)
    return title


class SectionedCommand(click.Command):
    """A command whose help shows the options by section, in the order in which the sections were declared.

    An option without a section, such as --help, is shown in the last one.
    """

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, with one column for the names of all options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        unsectioned: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            row = None if isinstance(param, click.Argument) else param.get_help_record(ctx)
            title = section_of(param)
            if row is not None:
                (unsectioned if title is None else sections.setdefault(title, [])).append(row)
        last = next(reversed(sections), "Options")
        sections.setdefault(last, []).extend(unsectioned)
        names = [len(name) for rows in sections.values() for name, _ in rows]
        width = max((length for length in names if length <= _WIDEST_NAME), default=_WIDEST_NAME)
        formatter.write_paragraph()
        for title, rows in sections.items():
            formatter.write_heading(title)
            with formatter.indentation():
                formatter.write_dl([(f"{name:{width}}", text) for name, text in rows], col_max=width)
