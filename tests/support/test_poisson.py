from __future__ import annotations

import pytest

from drsn_edge.support.poisson import interval


@pytest.mark.parametrize("count", [0, 1, 2, 9, 100, 20_000])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_it_is_garwoods_interval(count: int, confidence: float) -> None:
    chi2 = pytest.importorskip("scipy.stats", reason="the oracle needs the extra `train`").chi2
    tail = (1 - confidence) / 2
    low, high = interval(count, confidence)
    assert low == pytest.approx(chi2.ppf(tail, 2 * count) / 2 if count else 0.0, rel=1e-7)
    assert high == pytest.approx(chi2.ppf(1 - tail, 2 * count + 2) / 2, rel=1e-7)
