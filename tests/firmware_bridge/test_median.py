"""The median has the bits of NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from firmware_bridge.support.median import median_of


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int32])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 50, 127, 128, 2048])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_the_median_has_the_bits_of_numpy(dtype: type, n: int, shape: tuple[int, ...]) -> None:
    values: np.ndarray = (1000 * np.random.default_rng(n).normal(size=(n, *shape))).astype(dtype)
    expected = np.median(values, axis=0)
    found = median_of(values)
    assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


@given(arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e300, 1e300)))
def test_the_median_is_that_of_numpy_for_any_finite_values(values: np.ndarray) -> None:
    assert np.array_equal(median_of(values), np.median(values))


def test_a_list_of_arrays_has_the_median_of_each_place() -> None:
    assert np.array_equal(median_of([np.array([1.0, 9.0]), np.array([3.0, 7.0]), np.array([2.0, 8.0])]), [2.0, 8.0])
