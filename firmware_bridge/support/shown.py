"""Texts of others, as they may be shown and kept: no control of a terminal, no half characters, no end of a line."""

from __future__ import annotations

LONGEST = 1000


def printable(text: object, longest: int = LONGEST) -> str:
    r"""Return a text with all that a terminal would obey, or could not show, as its escape (`\x1b`, `\u202e`).

    Args:
        text: Of somebody else: a gateway, a log, a device, the name of a process.
        longest: Characters of the result; what is cut off is shown as "...".
    """
    taken = str(text)[: longest + 1]
    shown = "".join(each if each.isprintable() else _escaped(each) for each in taken)
    return shown if len(shown) <= longest else shown[: max(longest - 3, 0)] + "..."


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
