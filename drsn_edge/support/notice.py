"""What a person reads on stderr while something runs: a note, or a warning.

Whatever tells (`tell`, `say`) takes a `str`. A plain one is a warning: something is wrong. Good news, and what needs
nobody's attention, is a `Notice`; every layer between keeps one callable, and the command line prints the word:

    tell("The history cannot be written: No space left on device.")     # Warning: The history cannot ...
    tell(Notice("pump 1.1.0 has worked for 300 s and is confirmed."))   # Note: pump 1.1.0 has ...
    tell(about("pump 3", text))                                         # whichever `text` is, with the machine's name
"""

from __future__ import annotations

from firmware_bridge.support.shown import printable

_LONGEST = 4000


class Notice(str):
    """A text that is no warning."""

    __slots__ = ()


def about(machine: str, text: str) -> str:
    """Return a text with the name of the machine that it is about; a note stays one."""
    named = f"{machine}: {text}"
    return Notice(named) if isinstance(text, Notice) else named


def as_line(text: object) -> str:
    """Return a text, or an error, as it is printed: on one line, without what a terminal obeys."""
    return f"{'Note' if isinstance(text, Notice) else 'Warning'}: {printable(text, _LONGEST)}"
