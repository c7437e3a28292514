"""Printing: results as JSON or text on stdout, notes for a person on stderr. Commands write nowhere else.

Each write is flushed, so that a pipe sees it at once. The error of a broken pipe passes on to click, which ends
the command quietly.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import click

from drsn_edge.support.json_text import json_text
from drsn_edge.support.notice import as_line
from quantize.quiet import audible_stderr

SCHEMA = 1
"""Version of the JSON objects that commands print. Formats of files have version numbers of their own."""


def print_json(kind: str, values: Mapping[str, Any]) -> None:
    """Print one JSON object as a line: schema version, type and `values`, with null for NaN and infinity."""
    print_values({"schema": SCHEMA, "type": kind, **values})


def print_values(values: Any) -> None:
    """Print plain values whose form is defined elsewhere, such as metrics of a run, as one line of JSON."""
    print_text(json_text(values))


def print_text(text: str, *, end: str = "\n") -> None:
    """Print text on stdout."""
    click.echo(f"{text}{end}", nl=False)


def note(text: str, *, end: str = "\n") -> None:
    """Print a note, a warning or a step on stderr."""
    with audible_stderr() as stderr:
        if stderr is not None:
            click.echo(f"{text}{end}", file=stderr, nl=False)


def say(text: object) -> None:
    """Print a notice (`drsn_edge.support.notice`) on stderr, and ignore a stderr that cannot be written."""
    with suppress(OSError, ValueError):
        note(as_line(text))
