from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drsn_edge.signal.evidence import Evidence, combined, windows_in

NOVELTIES = st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("time_s", "window_s", "hop_s", "count"),
    [(1.0, 1.0, 0.5, 1), (1.0, 0.2, 0.1, 9), (1.0, 0.25, 0.25, 4), (1.0, 2.0, 1.0, 1), (1.0, 0.3, 0.2, 5)],
)
def test_so_many_windows_last_for_the_time(time_s: float, window_s: float, hop_s: float, count: int) -> None:
    assert windows_in(time_s, window_s, hop_s) == count
    assert window_s + (count - 1) * hop_s >= time_s - 1e-9


@given(values=NOVELTIES, count=st.integers(1, 12))
def test_it_is_the_median_of_successive_novelties(values: list[float], count: int) -> None:
    found = combined(np.array(values), count)
    expected = [np.median(values[at : at + count]) for at in range(len(values) - count + 1)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@given(values=NOVELTIES)
def test_windows_one_by_one_give_the_same_bits_as_all_together(values: list[float]) -> None:
    evidence = Evidence(0.2, 0.1, 0.6)
    found = [evidence.take(0.1 * at, each) for at, each in enumerate(values)]
    assert found[:4] == [combined(np.array(values[:n]), n)[0] for n in range(1, min(4, len(values)) + 1)]
    assert found[4:] == combined(np.array(values), 5).tolist()


@given(knocks=st.lists(st.integers(0, 8), max_size=4, unique=True))
def test_a_knock_is_no_evidence_however_strong(knocks: list[int]) -> None:
    values = np.full(9, 0.5)
    values[knocks] = np.inf
    assert combined(values, 9) == 0.5


def test_after_a_gap_or_a_step_back_it_starts_again() -> None:
    evidence = Evidence(0.2, 0.1, 0.4)
    assert [evidence.take(start, value) for start, value in ((0.0, 1.0), (0.1, 2.0), (0.2, 4.0))] == [1.0, 1.5, 2.0]
    assert evidence.take(0.3, 5.0) == 4.0
    assert [evidence.take(start, 7.0) for start in (0.5, 0.6)] == [7.0, 7.0]
    assert evidence.take(0.4, 8.0) == 8.0


def test_a_novelty_that_is_no_number_is_unlike_everything() -> None:
    assert combined(np.array([np.nan, np.nan, 0.5]), 3) == math.inf
    evidence = Evidence(0.2, 0.1, 0.2)
    assert evidence.take(0.0, math.nan) == math.inf
