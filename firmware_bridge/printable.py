"""Text of strangers on its way to a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return a text with all that a terminal would act on (control characters, escape sequences) as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
