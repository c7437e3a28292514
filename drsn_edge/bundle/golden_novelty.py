"""Golden novelties: real windows and their novelties, by which a gateway verifies a bundle without a network.

They are the same member as the golden vectors of a network (`drsn_edge.bundle.golden`), with other arrays. Novelty uses
floating point, whose last digits differ between machines and versions of NumPy; the manifest has the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.golden import MEMBER, as_counts, check_golden, golden_arrays, in_unit, some_of
from drsn_edge.errors import BundleError
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.windows import FloatArray
from drsn_edge.support.arrays import Form, archive_of

_FORMS = {
    "counts": Form(np.int16, 3),
    "scales": Form(np.float64, 1, exact=True),
    "novelties": Form(np.float64, 1, exact=True),
}

TOLERANCE = 0.001
"""Tolerance of a novelty: 0.1 % of the limit, or of the novelty if that is larger. Novelties of CWRU's healthy
recordings were at most 7e-6 off on x86-64, aarch64 and armv7l, with NumPy 1.24, 1.26 and 2.4."""


@dataclass(frozen=True)
class GoldenNovelty:
    """Windows and their novelties.

    Attributes:
        counts: Windows, shape (n, window, axes), int16 like a sensor's counts.
        scales: Unit of the contract per count of each window, shape (n,).
        novelties: Novelty of each window, shape (n,).
    """

    counts: NDArray[np.int16]
    scales: NDArray[np.float64]
    novelties: NDArray[np.float64]

    def windows(self) -> FloatArray:
        """Return the windows in the contract's unit, shape (n, window, axes)."""
        return in_unit(self.counts, self.scales)

    def deviation(self, found: NDArray[np.floating]) -> float:
        """Return the largest deviation of novelties, shape (n,), from the golden ones; NaN if one is not finite.

        It is in multiples of the limit of novelty, and for a golden novelty above 1 in multiples of that novelty.
        """
        return float((np.abs(found - self.novelties) / np.maximum(self.novelties, 1.0)).max())


def make_golden_novelty(novelty: Novelty, contract: SignalContract, windows: FloatArray) -> GoldenNovelty:
    """Return golden novelties of some of these windows.

    Args:
        novelty: Novelty detection as a gateway reads it.
        contract: Signal contract of the windows.
        windows: Shape (n, window, axes), n >= 1, in the contract's unit.
    """
    counts, scales = as_counts(windows[some_of(len(windows), contract)])
    novelties = novelty.novelty(in_unit(counts, scales)).astype(np.float64)
    return GoldenNovelty(counts, scales, novelties)


def golden_novelty_to_bytes(golden: GoldenNovelty) -> bytes:
    """Return the bytes of the member; the same novelties give the same bytes."""
    return archive_of(**vars(golden))


def golden_novelty_of(bundle: Bundle) -> GoldenNovelty | None:
    """Return the golden novelties of a bundle without a network; None if it has none.

    Raises:
        BundleError: If they are damaged or do not fit the manifest.
    """
    data, contract = bundle.extras.get(MEMBER), bundle.manifest.contract
    if data is None:
        return None
    arrays = golden_arrays(data, _FORMS)
    n = len(arrays["counts"])
    shapes = {"counts": (n, contract.window, len(contract.axes)), "scales": (n,), "novelties": (n,)}
    check_golden(arrays, shapes)
    golden = GoldenNovelty(**arrays)
    if not (np.isfinite(golden.novelties).all() and (golden.novelties >= 0).all()):
        words = f"novelties in {MEMBER} must be finite and at least 0, but some are not. Make the bundle again."
        raise BundleError(words, "golden_novelties", member=MEMBER)
    return golden
