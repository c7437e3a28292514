"""Texts of others: whatever is in them, a terminal shows them and obeys none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.support.shown import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Ünicode 漢字 ²", "plain, Ünicode 漢字 ²"),
        ("\x1b]0;owned\x07\x1b[31mred", "\\x1b]0;owned\\x07\\x1b[31mred"),
        ("\ud800", "\\ud800"),
        ("\x9b31m", "\\x9b31m"),
        ("a\r\nb\t\x00\x7f", "a\\r\\nb\\t\\x00\\x7f"),
        ("\u202egnp.exe\u2028", "\\u202egnp.exe\\u2028"),
        (3, "3"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: object, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(), max_size=60), st.integers(3, 40))
def test_any_text_is_text_and_short(text: str, longest: int) -> None:
    shown = printable(text, longest)
    assert shown.isprintable() and len(shown) <= longest
    shown.encode()
    assert printable(shown, longest) == shown
    if text.isprintable() and len(text) <= longest:
        assert shown == text


def test_a_long_text_is_cut() -> None:
    assert printable("x" * 10**6) == "x" * 997 + "..."
    assert printable("\x1b" * 300) == ("\\x1b" * 250)[:997] + "..."
