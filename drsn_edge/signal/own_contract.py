"""The signal contract of a machine that is learned where it runs: the sensor's own description, and a default window.

Nobody has chosen a window yet, so it follows from the sampling rate: the smallest power of two that lasts at least a
quarter of a second. It holds several turns of all but the slowest shafts, and a decision by votes needs no more than a
second. As far as it stays within one second, it is lengthened to 1024 samples, because shorter windows do not show
noise alone (`drsn_edge.signal.noise_alone.LEAST_SAMPLES`). The hop is half a window.
"""

from __future__ import annotations

from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.noise_alone import LEAST_SAMPLES
from drsn_edge.signal.windows import Scaling

SHORTEST_S, LONGEST_S = 0.25, 1.0
"""Shortest time of a window, and the time up to which it is lengthened, in seconds."""

FEWEST_SAMPLES, MOST_SAMPLES = 64, 1 << 16
"""Bounds of a window at sampling rates far below and far above those of accelerometers."""


def window_for(sample_rate_hz: float) -> int:
    """Return the samples of a default window at a sampling rate in Hz: a power of two."""
    window = FEWEST_SAMPLES
    while window < MOST_SAMPLES and window < SHORTEST_S * sample_rate_hz:
        window *= 2
    while window < LEAST_SAMPLES and 2 * window <= LONGEST_S * sample_rate_hz:
        window *= 2
    return window


def own_contract(sample_rate_hz: float, axes: tuple[str, ...], unit: str) -> SignalContract:
    """Return the contract of a sensor with its own rate in Hz, axes and unit."""
    window = window_for(sample_rate_hz)
    return SignalContract(sample_rate_hz, axes, unit, window, window // 2, Scaling())
