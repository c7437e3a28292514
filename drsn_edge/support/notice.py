"""Messages that a person reads on stderr while something runs: notes and warnings.

A callable `tell` or `say` takes a `str`. A plain `str` is a warning: something is wrong. A `Notice` is a note: good
news, or a fact that needs no action. Layers in between pass one callable on, and the command line prints the word:

    tell("The history cannot be written: No space left on device.")     # Warning: The history cannot ...
    tell(Notice("pump 1.1.0 has worked for 300 s and is confirmed."))   # Note: pump 1.1.0 has ...
    tell(about("pump 3", text))                                         # a note or a warning, after the machine's name
"""

from __future__ import annotations

from firmware_bridge.support.shown import printable

_LONGEST = 4000


class Notice(str):
    """A text that is a note, not a warning."""

    __slots__ = ()


def about(machine: str, text: str) -> str:
    """Return a text behind the name of the machine that it is about; a note stays a note."""
    named = f"{machine}: {text}"
    return Notice(named) if isinstance(text, Notice) else named


def as_line(text: object) -> str:
    """Return a text, or an error, as it is printed: on one line, without control characters."""
    return f"{'Note' if isinstance(text, Notice) else 'Warning'}: {printable(text, _LONGEST)}"
