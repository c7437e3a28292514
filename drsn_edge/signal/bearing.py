"""Rolling-bearing kinematics: the orders of defects, and the times and strengths of their impacts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.support.invalid import InvalidValueError

FloatArray = NDArray[np.float64]

_BATCH = 64


def require(ok: bool, name: str, rule: str, got: object) -> None:
    """Raise InvalidValueError (a ValueError) unless `ok`: "NAME must be RULE, got GOT"."""
    if not ok:
        raise InvalidValueError(f"{name} must be {rule}, got {got}", "out_of_range", name=name, got=got)


@dataclass(frozen=True)
class BearingGeometry:
    """A rolling bearing whose outer ring is fixed and whose inner ring turns with the shaft.

    The properties are orders, which are multiples of the shaft speed, for rolling without slip.

    Attributes:
        n_balls: Number of rolling elements, at least 3.
        ball_diameter_mm: Diameter of a rolling element in mm, below the pitch diameter.
        pitch_diameter_mm: Diameter of the circle through the centres of the rolling elements, in mm.
        contact_angle_deg: Angle of the load to the radial plane, in degrees from 0 to below 90.

    Source: Randall & Antoni 2011, doi:10.1016/j.ymssp.2010.07.017, eqs. 1-4.
    """

    n_balls: int
    ball_diameter_mm: float
    pitch_diameter_mm: float
    contact_angle_deg: float = 0.0

    def __post_init__(self) -> None:
        """Refuse impossible dimensions.

        Raises:
            InvalidValueError: With the name of the dimension and its range.
        """
        require(self.n_balls >= 3, "n_balls", "at least 3", self.n_balls)
        require(0 < self.pitch_diameter_mm < math.inf, "pitch_diameter_mm", "above 0", self.pitch_diameter_mm)
        require(
            0 < self.ball_diameter_mm < self.pitch_diameter_mm,
            "ball_diameter_mm",
            f"above 0 and below pitch_diameter_mm ({self.pitch_diameter_mm})",
            self.ball_diameter_mm,
        )
        require(0 <= self.contact_angle_deg < 90, "contact_angle_deg", "in [0, 90)", self.contact_angle_deg)

    @property
    def _ratio(self) -> float:
        return self.ball_diameter_mm / self.pitch_diameter_mm * math.cos(math.radians(self.contact_angle_deg))

    @property
    def ftf(self) -> float:
        """Fundamental train frequency (FTF): turns of the cage per turn of the shaft."""
        return (1 - self._ratio) / 2

    @property
    def bpfo(self) -> float:
        """Ball pass frequency, outer race (BPFO): balls that pass a point of the outer race per turn of the shaft."""
        return self.n_balls * (1 - self._ratio) / 2

    @property
    def bpfi(self) -> float:
        """Ball pass frequency, inner race (BPFI): balls that pass a point of the inner race per turn of the shaft."""
        return self.n_balls * (1 + self._ratio) / 2

    @property
    def bsf(self) -> float:
        """Ball spin frequency (BSF): turns of a ball about its own axis per turn of the shaft."""
        return self.pitch_diameter_mm / (2 * self.ball_diameter_mm) * (1 - self._ratio**2)

    @property
    def ball_defect(self) -> float:
        """Impacts per turn of the shaft from a defect on one ball, which hits both races in each spin."""
        return 2 * self.bsf


SKF_6205 = BearingGeometry(n_balls=9, ball_diameter_mm=7.94, pitch_diameter_mm=39.04)
"""SKF 6205-2RS JEM, the drive-end bearing of the CWRU recordings (ball 0.3126 in, pitch 1.537 in)."""


def load_zone(turns: FloatArray) -> FloatArray:
    """Return the relative load on a ball that is `turns` revolutions away from the centre of the load.

    For radial load without clearance it is cos(angle)^1.5 on the loaded half and 0 on the other half.

    Args:
        turns: Angle in revolutions, of any shape.

    Returns:
        Values in [0, 1] of the same shape.

    Source: Stribeck's distribution for point contact with load factor 0.5, as used by McFadden & Smith 1984,
    doi:10.1016/0022-460X(84)90595-9.
    """
    return np.asarray(np.maximum(np.cos(2 * np.pi * turns), 0.0) ** 1.5)


class ImpactTrain:
    """Shaft angles of the impacts of a defect, with the random slip of the balls.

    Each interval is drawn independently, so that the timing error accumulates. Jitter around a fixed grid would keep
    the high harmonics sharp, which they are not in real bearings.

    Source: Antoni & Randall 2003, doi:10.1115/1.1569940.
    """

    def __init__(self, order: float, slip: float, start_turns: float, rng: np.random.Generator) -> None:
        """Begin at a random point of the first interval.

        Args:
            order: Mean number of impacts per turn of the shaft.
            slip: Standard deviation of an interval, relative to its mean; well below 1.
            start_turns: Shaft angle before the first impact, in revolutions.
            rng: Source of the intervals.
        """
        self._order, self._slip, self._rng = order, slip, rng
        self._ahead = np.array([start_turns + rng.uniform() / order])

    def until(self, end_turns: float) -> FloatArray:
        """Return the shaft angles of the impacts since the last call and before `end_turns`, in revolutions."""
        while self._ahead[-1] < end_turns:
            intervals = (1 + self._slip * self._rng.standard_normal(_BATCH)) / self._order
            self._ahead = np.append(self._ahead, self._ahead[-1] + np.cumsum(intervals))
        cut = int(np.searchsorted(self._ahead, end_turns))
        due, self._ahead = self._ahead[:cut], self._ahead[cut:]
        return due
