"""One window, two windows."""

from __future__ import annotations

from drsn_edge.support.wording import counted


def test_a_number_has_its_noun() -> None:
    assert [counted(n, "window") for n in (0, 1, 2)] == ["0 windows", "1 window", "2 windows"]
    assert counted(2, "axis", "axes") == "2 axes" and counted(1, "axis", "axes") == "1 axis"
