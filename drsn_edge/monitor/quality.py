"""May this window be judged at all? A damaged one gets a reason, never a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drsn_edge.bundle.contract import RATE_TOLERANCE
from drsn_edge.monitor.windows import Window

LOST_SAMPLES = "lost samples"
FLAT_LINE = "flat line"
CLIPPED = "clipped"
RATE_OFF = "sample rate off"
NOT_RUNNING = "not running"
LINK_LOST = "LINK LOST"
NO_SAMPLES = "NO SAMPLES"
SKIPPED = "skipped: this machine is too slow"

MAX_CLIPPED_SHARE = 0.001
"""Of a window's samples at full scale: a lone peak may just touch it, a clipped signal sits there.

In a window of fewer than 1000 samples even one counts as clipped.
"""


@dataclass(frozen=True)
class SensorLimits:
    """What the sensor can measure, and the rate that the model expects.

    Attributes:
        full_scale_counts: From here on, on either side of 0, a count is taken as clipped.
        expected_sample_rate_hz: Of the contract.
    """

    full_scale_counts: float
    expected_sample_rate_hz: float


def clipping_level(full_scale: float, scale: float) -> float:
    """Return the magnitude in counts from which on a reading is at the sensor's limit.

    That is a little below full scale: readings end one step short of it on the positive side (4095 for 4096), or a few
    where the lowest bits stay 0, as in the ADXL345 at 3200 Hz (data sheet, "Data Formatting of Upper Data Rates").

    Args:
        full_scale: Largest magnitude that the sensor measures, in its unit.
        scale: Unit per count.
    """
    counts = full_scale / scale
    return min(0.999 * counts, counts - 1)


def find_defect(window: Window, limits: SensorLimits, measured_sample_rate_hz: float | None) -> str | None:
    """Return why the window must not be classified, None if it may be.

    Args:
        window: Raw counts with the number of missing samples.
        limits: Of the sensor and the contract.
        measured_sample_rate_hz: True rate by the sensor's clock, None while it is not known yet.
    """
    if window.lost_samples:
        return LOST_SAMPLES
    counts = np.ascontiguousarray(window.counts.T, np.int32)  # what is contiguous takes a third of the time
    lowest, highest = counts.min(axis=1), counts.max(axis=1)
    if (lowest == highest).any():
        return FLAT_LINE
    full_scale_counts = min(limits.full_scale_counts, np.iinfo(window.counts.dtype).max)
    if highest.max() >= full_scale_counts or lowest.min() <= -full_scale_counts:
        at_limit = (counts >= full_scale_counts) | (counts <= -full_scale_counts)
        if at_limit.any(axis=0).mean() > MAX_CLIPPED_SHARE:
            return CLIPPED
    if measured_sample_rate_hz and abs(measured_sample_rate_hz / limits.expected_sample_rate_hz - 1) > RATE_TOLERANCE:
        return RATE_OFF
    return None
