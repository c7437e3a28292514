"""Cells to numbers: every bit as `float` reads them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.tables.numbers import PAD, floats


class NotANumberError(Exception):
    """The cell at a position is no number."""


def parsed(cells: list[str], decimal: str = ".") -> list[float]:
    """Return the numbers of cells that stand between commas, or semicolons if the comma is the decimal sign."""
    separator = b"," if decimal == "." else b";"
    text = b" " * PAD + b"".join(cell.encode() + separator for cell in cells)
    data = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(data == separator[0])
    starts = np.concatenate([[PAD], ends[:-1] + 1])
    return floats(data, starts, ends, decimal, NotANumberError).tolist()


def same(got: list[float], expected: list[float]) -> bool:
    """Compare bit by bit, so that -0.0 is not 0.0, except for NaN."""
    return len(got) == len(expected) and all(
        (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
        for a, b in zip(got, expected, strict=True)
    )


FORMATS = st.sampled_from(
    ["{:.6f}", "{:.0f}", "{:.9g}", "{:.17g}", "{:+.3f}", "{:.8e}", "{:.18E}", "{!r}", " {:8.4f} "]
)


@given(st.lists(st.tuples(st.floats(allow_nan=True), FORMATS), min_size=1, max_size=30))
def test_any_number_in_any_notation(written: list[tuple[float, str]]) -> None:
    cells = [form.format(value) for value, form in written]
    assert same(parsed(cells), [float(cell) for cell in cells])


@given(st.lists(st.from_regex(r"[+-]?[0-9]{0,18}\.?[0-9]{1,18}([eE][+-]?[0-9]{1,3})?", fullmatch=True), min_size=1))
def test_any_digits(cells: list[str]) -> None:
    assert same(parsed(cells), [float(cell) for cell in cells])
    assert same(parsed([cell.replace(".", ",") for cell in cells], ","), [float(cell) for cell in cells])


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1.0D+00", 1.0), ("-2.5d-3", -0.0025), ("1.", 1.0), (".5", 0.5), ("+7", 7.0), ("\t 3 ", 3.0), ("−4", -4.0),
     ("inf", math.inf), ("-Infinity", -math.inf), ("-0.000", -0.0), ('"8"', 8.0), ("1e400", math.inf)],
)  # fmt: skip
def test_other_notations(cell: str, value: float) -> None:
    assert same(parsed([cell]), [value])


@pytest.mark.parametrize(
    "cell", ["", " ", "-", ".", "e5", "1e", "1e+", "1.2.3", "--1", "1-2", "0x10", "1_000", "1 2", "abc", "1.5g", "١"]
)
def test_what_is_no_number_is_found(cell: str) -> None:
    with pytest.raises(NotANumberError) as caught:
        parsed(["1", cell, "3"])
    assert caught.value.args == (1,)
