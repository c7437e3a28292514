from __future__ import annotations

import pytest

from drsn_edge.support.f_quantile import f_quantile

EXACT = [
    (0.5, 4, 12, 0.8885),
    (0.9, 8, 8, 2.5893),
    (0.99, 4, 24, 4.2184),
    (0.99, 12, 18, 3.3706),
    (0.99, 24, 72, 2.0595),
]
"""scipy.stats.f.ppf, to four decimals."""


@pytest.mark.parametrize(("share", "above", "below", "exact"), EXACT)
def test_it_is_close_to_the_exact_quantile(share: float, above: int, below: int, exact: float) -> None:
    assert f_quantile(share, above, below) == pytest.approx(exact, rel=0.03)


def test_with_few_degrees_of_freedom_it_is_too_large_rather_than_too_small() -> None:
    assert 15.977 < f_quantile(0.99, 4, 4) < 1.2 * 15.977


def test_a_share_too_close_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match="approximation"):
        f_quantile(1 - 1e-9, 4, 4)
