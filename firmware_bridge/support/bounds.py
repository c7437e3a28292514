"""Bounds of the numbers that a device may send. Numbers out of bounds are refused where they are decoded.

The bounds are wide: they leave room for every accelerometer, and keep the numbers of a broken or hostile device from
overflowing later calculations.
"""

from __future__ import annotations

import math

from firmware_bridge.errors import DescriptionError

COUNTER_END = 1 << 53
"""Sample indices and device times in microseconds stay below this: 285 years of microseconds, 2,800 years at 100 kHz,
and the limit up to which a double represents every integer."""

FULL_SCALES = 1e-9, 1e9
"""Full scale in the sensor's unit: that of a 200,000 g shock sensor is 2e8 in mg."""

STEPS = 2.0, float(1 << 32)
"""Counts from zero to full scale; converters have up to 24 bits."""

SAMPLE_RATES_HZ = 0.01, 1e7


def check_between(name: str, value: float, bounds: tuple[float, float]) -> None:
    """Raise an error if a number of a HELLO is out of its bounds.

    Raises:
        DescriptionError: If the number is not finite, or out of bounds.
    """
    lowest, highest = bounds
    if not (math.isfinite(value) and lowest <= value <= highest):
        raise DescriptionError(
            f"HELLO expects {name} from {lowest:g} to {highest:g}, got {value:g}.",
            "out_of_bounds",
            field=name,
            got=value,
        )


def check_counter(name: str, value: int) -> None:
    """Raise an error if a sample index, or a device time in microseconds, is higher than any device counts.

    Raises:
        DescriptionError: If the number is negative or not below `COUNTER_END`.
    """
    if not 0 <= value < COUNTER_END:
        raise DescriptionError(
            f"Expected {name} from 0 to 2^53 - 1, got {value}.", "out_of_bounds", field=name, got=value
        )
