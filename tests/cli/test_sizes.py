"""Sizes as options take them."""

from __future__ import annotations

import click
import pytest

from drsn_edge.cli.options import Size, size_bytes


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("2GB", 2 * 10**9), ("500 MB", 5 * 10**8), ("1.5kB", 1500), ("1000000", 10**6), ("7b", 7), ("1tb", 10**12)],
)
def test_sizes(text: str, n_bytes: int) -> None:
    assert size_bytes(text) == n_bytes == Size().convert(text, None, None)


@pytest.mark.parametrize("text", ["", "GB", "2 apples", "-1GB", "1e9", "\u0662GB", "nan"])
def test_what_is_no_size(text: str) -> None:
    assert size_bytes(text) is None
    with pytest.raises(click.BadParameter):
        Size().convert(text, None, None)


@pytest.mark.parametrize("text", ["0", "999999", "9" * 400, "2000000TB"])
def test_out_of_range(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Size(10**6).convert(text, None, None)
