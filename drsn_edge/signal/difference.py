"""A change of a machine since learning, in numbers and in words. Without NumPy, since every command has this value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """A change of one axis in a range of frequencies.

    Attributes:
        axis: Name of the axis; None: the level over all axes and frequencies.
        low_hz: Lower edge in Hz.
        high_hz: Upper edge in Hz.
        db: Change of the power in decibels, above 0 for more; of several bands the largest.
        is_relative: Whether it is the change of the share in the window's power, because no level was learned.
    """

    axis: str | None
    low_hz: float
    high_hz: float
    db: float
    is_relative: bool = False

    @property
    def words(self) -> str:
        """The change in words, such as `x: 2.9 to 3.3 kHz up 14 dB since learning`."""
        what = "level" if self.axis is None else f"{self.axis}: {band_words(self.low_hz, self.high_hz)}"
        change = f"{'up' if self.db > 0 else 'down'} {abs(self.db):.0f} dB"
        return f"{what} {change}{' against other bands' if self.is_relative else ''} since learning"


def band_words(low_hz: float, high_hz: float) -> str:
    """Return a range of frequencies in words, such as `below 417 Hz`, `120 to 160 Hz` or `2.9 to 3.3 kHz`."""
    if low_hz <= 0:
        return f"below {high_hz:.0f} Hz" if high_hz < 1000 else f"below {high_hz / 1000:.1f} kHz"
    if high_hz < 1000:
        return f"{low_hz:.0f} to {high_hz:.0f} Hz"
    digits = 1 if high_hz - low_hz >= 200 else 2
    return f"{low_hz / 1000:.{digits}f} to {high_hz / 1000:.{digits}f} kHz"
