"""What a device may claim of itself. Numbers beyond these bounds cannot be; they are refused where they are decoded.

The bounds are wide: they keep what a broken or hostile device says from overflowing what is computed of it, and leave
room for every accelerometer there is.
"""

from __future__ import annotations

import math

from firmware_bridge.errors import DescriptionError

COUNTER_END = 1 << 53
"""Sample indices and device times in microseconds stay below this: 285 years of microseconds, 2,800 years at 100 kHz,
and the last number up to which a double holds each integer."""

FULL_SCALES = 1e-9, 1e9
"""In the sensor's unit: a shock sensor of 200,000 g says 2e8 in mg."""

STEPS = 2.0, float(1 << 32)
"""Counts from zero to full scale; converters have up to 24 bits."""

SAMPLE_RATES_HZ = 0.01, 1e7


def check_between(name: str, value: float, bounds: tuple[float, float]) -> None:
    """Refuse a number that cannot be.

    Raises:
        DescriptionError: If it is not finite, or out of its bounds.
    """
    lowest, highest = bounds
    if not (math.isfinite(value) and lowest <= value <= highest):
        raise DescriptionError(f"HELLO expects {name} from {lowest:g} to {highest:g}, got {value:g}.")


def check_counter(name: str, value: int) -> None:
    """Refuse a sample index, or a device time in microseconds, that no device reaches.

    Raises:
        DescriptionError: If it is negative or not below `COUNTER_END`.
    """
    if not 0 <= value < COUNTER_END:
        raise DescriptionError(f"Expected {name} below 2^53, got {value}.")
