"""Design of the anti-alias filter that a signal contract holds: nothing in, a filter out. Needs SciPy.

Up to 95 % of the band, the filter passes everything (ripple below 0.001 dB), and what would fold there is at least
72 dB lower. From 95 % to 105 % it falls like a root of a Nyquist filter: the power of what folds and of what is lost
add up to 1, so that noise stays as white as that of a sensor with the lower rate. Any other filter leaves an edge at
the end of the band, by which a network can tell a decimated recording from a native one (benchmarks/decimation.py,
docs/results/decimation.json).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from drsn_edge.signal.decimation import Decimation

_PER_SAMPLE, _REACH = 16, 96
_KAISER = 7.0
_HALF_EDGE = 0.03
"""Half the width of the edge before the window widens it, as a share of the band."""

_STEPS, _LINES = 41, (1 << 17) + 1


@lru_cache(maxsize=1)
def design_decimation() -> Decimation:
    """Return the anti-alias filter for all factors."""
    from scipy.signal import firwin2

    angle = np.linspace(0, 1, _STEPS)
    edge = (1 - _HALF_EDGE + 2 * _HALF_EDGE * angle) / _PER_SAMPLE
    taps = firwin2(
        2 * _PER_SAMPLE * _REACH + 1,
        [0, *edge, 1],
        [1, *np.cos(np.pi / 2 * angle[:-1]), 0, 0],
        nfreqs=_LINES,
        window=("kaiser", _KAISER),
    )
    half = np.asarray(_PER_SAMPLE * taps[_PER_SAMPLE * _REACH :], np.float32)
    return Decimation(_PER_SAMPLE, tuple(half.tolist()))
