"""Makes text from outside safe to print and to store: no terminal controls, no lone surrogates, no line ends."""

from __future__ import annotations

LONGEST = 1000


def printable(text: object, longest: int = LONGEST) -> str:
    r"""Return a text with every character that is not printable replaced by its escape (`\x1b`, `\u202e`).

    Args:
        text: Text from outside: from a gateway, a log, a device, or the name of a process.
        longest: Most characters in the result; a text that was cut ends with "...".
    """
    taken = str(text)[: longest + 1]
    shown = "".join(each if each.isprintable() else _escaped(each) for each in taken)
    return shown if len(shown) <= longest else shown[: max(longest - 3, 0)] + "..."


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
