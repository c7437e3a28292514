"""What grown lines of the shaft resemble."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from drsn_edge.signal.shaft_lines import ORDERS, name_of_lines

USUAL = np.full(len(ORDERS), 0.1)


def grown(**orders: float) -> NDArray[np.float64]:
    """Return usual powers with some lines replaced; `o15` is 1.5 times the shaft speed."""
    powers = USUAL.copy()
    for name, power in orders.items():
        powers[ORDERS.index(int(name[1:]) / 10)] = power
    return powers


@pytest.mark.parametrize(
    ("powers", "name"),
    [
        (USUAL, None),
        (USUAL * 1.9, None),
        (grown(o10=5.0), "imbalance"),
        (grown(o10=2.0, o20=5.0), "misalignment"),
        (grown(o10=1.0, o20=1.0), None),
        (grown(o05=1.0, o10=1.0, o15=1.0, o20=1.0), "looseness"),
        (grown(o10=1.0, o20=1.0, o30=1.0, o40=1.0), None),
        (grown(o05=1.0, o10=1.0, o20=1.0), None),
    ],
)
def test_the_lines_that_grew_decide(powers: NDArray[np.float64], name: str | None) -> None:
    assert name_of_lines(powers, USUAL, 0.0) == name


def test_the_lines_must_hold_half_of_the_change() -> None:
    powers = grown(o10=1.1)
    assert name_of_lines(powers, USUAL, 1.9) == "imbalance"
    assert name_of_lines(powers, USUAL, 2.1) is None


def test_without_a_healthy_machine_nothing_is_named() -> None:
    assert name_of_lines(grown(o10=5.0), np.full(len(ORDERS), np.inf), 0.0) is None
