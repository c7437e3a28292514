"""The median without `numpy.median`, which imports numpy.ma: 12 to 17 ms at the start of a monitor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def median_of(values: ArrayLike) -> NDArray[Any]:
    """Return the median along the first axis, with the bits of `numpy.median(values, axis=0)`.

    Args:
        values: Finite numbers, shape (n, ...), n >= 1. Integers give float64, float32 gives float32.
    """
    given = np.asarray(values)
    low, high = (len(given) - 1) // 2, len(given) // 2
    middle = np.partition(given, (low, high), axis=0)[low : high + 1]
    found: NDArray[Any] = np.add.reduce(middle, axis=0) / len(middle)
    return found
