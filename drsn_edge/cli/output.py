"""What commands print: JSON and text on stdout, words for whoever watches on stderr. Commands write nowhere else.

Each write is flushed, so that a pipe sees it at once. A reader that has had enough ends the command quietly: the error
of a broken pipe passes through here to click.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import click

from drsn_edge.support.json_text import json_text
from drsn_edge.support.notice import as_line

SCHEMA = 1
"""Version of the JSON objects that commands print. Files have numbers of their own, where their format is defined."""


def print_json(kind: str, values: Mapping[str, Any]) -> None:
    """Print one JSON object in a line: the schema's number, its type, and `values`; null for NaN and infinity."""
    print_values({"schema": SCHEMA, "type": kind, **values})


def print_values(values: Any) -> None:
    """Print in one line plain values whose form is defined elsewhere, as a run's metrics or a report."""
    print_text(json_text(values))


def print_text(text: str, *, end: str = "\n") -> None:
    """Print text on stdout."""
    click.echo(f"{text}{end}", nl=False)


def note(text: str, *, end: str = "\n") -> None:
    """Print a note, a warning or a step that is done, on stderr."""
    click.echo(f"{text}{end}", err=True, nl=False)


def say(text: object) -> None:
    """Tell a person on stderr (see `drsn_edge.support.notice`). A stderr that cannot be written ends nothing."""
    with suppress(OSError, ValueError):
        note(as_line(text))
