"""The result of one training in one inner fold, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.windows import FloatArray


@dataclass(frozen=True)
class FoldLogits:
    """The logits of the windows that a fold holds out.

    Attributes:
        fold: Number of the fold, from 0.
        rows: Their numbers among all judged windows, shape (m,).
        logits: Shape (conditions, m, branches, outputs); output number i belongs to class i % classes.
        failure: Why there are no logits; empty if there are.
    """

    fold: int
    rows: NDArray[np.int64]
    logits: FloatArray
    failure: str = ""
