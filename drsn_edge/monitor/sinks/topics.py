"""Names as levels of MQTT topics and as Home Assistant ids: unique and stable for any name in any alphabet.

topic_part("pump3")   pump3                  letters, digits, "_" and "-" stay as they are
topic_part("hall/1")  hall_1-x5f0c8d1e       other characters are replaced, and a hash of the whole name is added
topic_part("насос")   x0b1c2d3e              no character can stay
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """A topic of one machine.

    Attributes:
        name: Behind PREFIX/GATEWAY/MACHINE.
        content: What its messages are.
        when: When they are sent.
    """

    name: str
    content: str
    when: str


TOPICS = (
    Topic("status", "`online` or `offline`", "At each connection and at the end; last will when the line is cut."),
    Topic("state", "JSON: everything that holds, in one object", "At each change, and every 10 s while windows come."),
    Topic("decision", "JSON: the decision that holds", "At each change, in order; at the start NO_VERDICT."),
    Topic("alarm/NAME", "JSON: one alarm", "At each change, in order; CLEARED from the start."),
    Topic("severity", "JSON, with `--severity`", "Every 10 s at most, and when the zone changes."),
    Topic("summary", "JSON: the account of the run", "At the end."),
    Topic("acknowledge", "The name of an alarm; empty: all alarms", "Listened to, never sent."),
)
"""Every topic of a machine; all but `acknowledge` are retained and sent with QoS 1."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HASHED = re.compile(r"(.*-)?x[0-9a-f]{8}")
_OTHERS = re.compile(r"[^A-Za-z0-9_-]+")
_MOST_READABLE = 40


def topic_part(name: str) -> str:
    """Return a name as one level of a topic: 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-".

    A name that is already valid stays as it is. Of any other name the readable part stays, without accents, followed by
    the first 32 bits of its SHA-256. A name that looks like such a result also gets a hash, so that it stays unique.

    Args:
        name: Any text, also with lone surrogates.
    """
    if _PLAIN.fullmatch(name) and not _HASHED.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    without_accents = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    readable = _OTHERS.sub("_", without_accents)[:_MOST_READABLE].strip("_-")
    return f"{readable}-x{digest}" if readable else f"x{digest}"
