"""Separator, decimal sign, encoding and header of tables as programs write them."""

from __future__ import annotations

import codecs
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from refusals import refused

from firmware_bridge.errors import TableError
from firmware_bridge.tables.dialect import Dialect, dialect_of
from firmware_bridge.tables.grid import grids_of
from firmware_bridge.tables.numbers import Numbers


def read(data: bytes, block_bytes: int = 1 << 20) -> tuple[Dialect, Numbers]:
    """Return the dialect of a table, and the numbers of all its columns."""
    dialect = dialect_of(data, is_all=True)
    columns = range(dialect.n_columns)
    pieces = [grid.numbers(columns) for grid in grids_of(io.BytesIO(data), dialect, columns, block_bytes)]
    return dialect, np.concatenate(pieces)


SEPARATORS = [",", ";", "\t", " ", "   ", ", ", " ; ", ";\t", "\t "]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"]
ABOVE = ["", "# rate 2 kHz\n# µ²\n", "Title\nDate\tx\nKind:;5\n\n", "sep=;\n" * 2, "% a\n%b\n\n"]


@given(
    values=arrays(
        np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-1e6, 1e6, width=32)
    ),
    separator=st.sampled_from(SEPARATORS),
    decimal=st.sampled_from(".,"),
    encoding=st.sampled_from(ENCODINGS),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    above=st.sampled_from(ABOVE),
    has_header=st.booleans(),
    has_trailing=st.booleans(),
    block_bytes=st.sampled_from([1 << 20, 64]),
)
def test_any_table_in_any_dialect_comes_back_equal(
    values: Numbers, separator: str, decimal: str, encoding: str, end: str, above: str,
    has_header: bool, has_trailing: bool, block_bytes: int,
) -> None:  # fmt: skip
    if "," in separator or values.shape[1] == 1:  # one column of 1,5 is two columns, unless its digits tell
        decimal = "."
    rows = [separator.join(f"{value:.9f}".replace(".", decimal) for value in row) for row in values]
    names = [f"a{column}é" for column in range(values.shape[1])]
    lines = ([separator.join(names)] if has_header else []) + rows
    tail = separator.strip(" ")[:1] if has_trailing and values.shape[1] > 1 else ""
    text = above + "".join(line + tail + "\n" for line in lines)
    dialect, got = read(text.replace("\n", end).encode(encoding), block_bytes)
    np.testing.assert_array_equal(got, np.array([[float(f"{value:.9f}") for value in row] for row in values]))
    if has_header:
        assert dialect.header.names == tuple(names)


@pytest.mark.parametrize(
    ("text", "names", "units"),
    [
        ("#time,x,y\n0.1,2.5,3.5\n0.2,1.5,2.5\n", ("time", "x", "y"), ()),
        ("# t x y z\n0.1 2.5 3.5 1.5\n", ("t", "x", "y", "z"), ()),
        ("% t, x, y\n0.1 2.5 3.5\n", ("t", "x", "y"), ()),
        ("Time;Acc X\n(s);(m/s²)\n0,1;2,5\n", ("Time", "Acc X"), ("(s)", "(m/s²)")),
        ("Time\tX\ns\tg\n\n0.1\t2.5\n", ("Time", "X"), ("s", "g")),
        ('"a, b","c"\n0.5,1.5\n', ("a, b", "c"), ()),
        (",0,1\n0,0.5,1.5\n1,0.7,1.1\n", ("", "0", "1"), ()),
        ("0,1,2\n0.5,1.5,0.1\n-0.5,1.0,0.2\n", ("0", "1", "2"), ()),
        ("X_Value\tUntitled\tComment\n0.000\t0.5\n0.001\t0.7\n", ("X_Value", "Untitled"), ()),
        ('"x" "y"\n"1" 0.5 0.6\n"2" 0.7 0.8\n', ("", "x", "y"), ()),
        ("Measurement of today\n0.1,2.5,3.5\n", (), ()),
    ],
)
def test_names_and_units(text: str, names: tuple[str, ...], units: tuple[str, ...]) -> None:
    header = dialect_of(text.encode(), is_all=True).header
    assert (header.names, header.units) == (names, units)


def test_lines_between_header_and_end_are_skipped() -> None:
    text = "x,y\n\n1.5,2\n\n# a remark\n3,4.5,\n\n"
    dialect, got = read(text.encode())
    assert got.tolist() == [[1.5, 2.0], [3.0, 4.5]] and dialect.first_line == 3


def test_quoted_separators_in_columns_of_text() -> None:
    data = b'x,note,y\n1.5,"a, b",2\n2.5,"",3\n'
    dialect = dialect_of(data, is_all=True)
    (grid,) = grids_of(io.BytesIO(data), dialect, [0, 2])
    assert grid.numbers([0, 2]).tolist() == [[1.5, 2.0], [2.5, 3.0]]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("0,05\n-0,12\n1,07\n", [[0.05], [-0.12], [1.07]]),
        ('"1,5","2,5"\n"3,5","4,5"\n', [[1.5, 2.5], [3.5, 4.5]]),
        ("1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("1,5 2,5\n3,5 4,5\n", [[1.5, 2.5], [3.5, 4.5]]),
    ],
)
def test_decimal_commas(text: str, rows: list[list[float]]) -> None:
    assert read(text.encode())[1].tolist() == rows


@pytest.mark.parametrize("text", ["1.234,56;2.345,67\n", "1,234.5;2,345.6\n", '"1,234.5"\t"2,345.6"\n', "1.234.567\n"])
def test_thousands_separators_are_refused(text: str) -> None:
    with refused(TableError, "thousands_separators"):
        dialect_of((text * 3).encode(), is_all=True)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x00\x01\x02\xff" * 100, "not_text"),
        (b"\x7fELF\x02\x01\x01" + bytes(100), "not_text"),
        (b"lorem ipsum dolor\n" * 100, "no_table"),
        (b"1.5," * 1000, "line_too_long"),
        (b"   \n \n", "no_samples"),
        (codecs.BOM_UTF8, "no_samples"),
        (b"x,y\n", "no_samples"),
    ],
)
def test_what_is_no_table(data: bytes, problem: str) -> None:
    with refused(TableError, problem):
        dialect_of(data, is_all=problem != "line_too_long")


@pytest.mark.parametrize(
    ("text", "problem", "facts"),
    [
        ("x,y\n1,2\n3,4\n5,oops\n", "not_a_number", {"line": 4, "column": "y", "got": "oops"}),
        ("1 2\n3 4\n5\n", "value_count", {"line": 3, "expected": 2, "got": 1}),
        ("x;y\n1;2\n3;1.000,5\n", "not_a_number", {"line": 3, "got": "1.000,5"}),
        ("x,y\n1,2\n3,\n5,6\n", "not_a_number", {"line": 3, "got": ""}),
        ("x,y\n1,2\n3,4,5\n5,6\n", "value_count", {"line": 3, "got": 3}),
    ],
)
def test_a_line_that_does_not_fit(text: str, problem: str, facts: dict[str, object]) -> None:
    for block_bytes in (8, 1 << 20):
        with refused(TableError, problem, **facts):
            read(text.encode(), block_bytes)


def test_text_of_a_file_is_shown_shortly_and_without_controls() -> None:
    with refused(TableError, "not_a_number") as caught:
        read(b"x\n" + b"1.5\n" * 9 + b"\x1b[31m" * 50 + b"\n")
    assert "\x1b" not in str(caught.value) and len(str(caught.value)) < 200


def test_an_endless_line_in_a_table_is_refused() -> None:
    data = b"x,y\n1,2\n" + b"3," * (1 << 20)
    dialect = dialect_of(data[: 1 << 20], is_all=False)
    with refused(TableError, "line_too_long", line=3):
        for _ in grids_of(io.BytesIO(data), dialect, [0]):
            pass
