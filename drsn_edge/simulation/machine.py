"""Plain values of a simulation: a machine, the accelerometer on its bearing, and its condition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from drsn_edge.signal.bearing import SKF_6205, BearingGeometry, require
from drsn_edge.simulation.names import CONDITIONS

Axes = tuple[float, float, float]

AXES = ("x", "y", "z")
"""x and y are radial, with x in the direction of the bearing's load; z is axial."""

REFERENCE_RPM = 1500.0
"""Shaft speed in 1/min for which imbalance is stated; its force grows with the square of the speed."""

BACKGROUND_REFERENCE_HZ = 100.0
"""Frequency in Hz for which the density of the 1/f background is stated."""

SEVERITY_RANGE_G: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "healthy": (0.0, 0.0),
        "imbalance": (0.06, 0.5),
        "misalignment": (0.06, 0.4),
        "outer_race": (0.3, 2.0),
        "inner_race": (0.4, 3.0),
        "ball": (0.4, 3.0),
    }
)
"""Lowest and highest severity of each condition in simulated data sets, from barely visible to clearly visible."""
assert tuple(SEVERITY_RANGE_G) == CONDITIONS


def _require_amplitude(name: str, value: float) -> None:
    require(0 <= value < math.inf, name, "at least 0", value)


def _require_axes(name: str, values: Axes) -> None:
    ok = len(values) == len(AXES) and all(math.isfinite(v) for v in values)
    require(ok, name, f"one finite number for each of {', '.join(AXES)}", values)


@dataclass(frozen=True)
class Sensor:
    """A three-axis accelerometer. The defaults are those of the ADXL345 in full resolution at +-16 g.

    Attributes:
        range_g: Limit of the readings, which are clipped to [-range_g, range_g - lsb_g].
        lsb_g: Step between readings; 0 for no steps. The ADXL345 has 256 LSB/g (its lowest bit stays 0 at 1600 and
            3200 Hz: section "Data Formatting of Upper Data Rates").
        noise_density_g_rthz: White noise of each axis in g/sqrt(Hz), one-sided. The ADXL345 has 2.9e-4 on x and y,
            4.3e-4 on z (section "Noise Performance").
        gravity_g: Constant acceleration in the axes of the machine; (0, 0, 0) for no gravity.
        tilt_deg: Rotation of the sensor about the machine's x, then y, then z axis, in degrees.

    Source: Analog Devices, ADXL345 data sheet.
    """

    range_g: float = 16.0
    lsb_g: float = 1 / 256
    noise_density_g_rthz: float = 4e-4
    gravity_g: Axes = (0.0, 0.0, 0.0)
    tilt_deg: Axes = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        """Refuse impossible values.

        Raises:
            InvalidValueError: With the name of the attribute and its range.
        """
        require(0 < self.range_g < math.inf, "range_g", "above 0", self.range_g)
        require(0 <= self.lsb_g < self.range_g, "lsb_g", f"in [0, {self.range_g})", self.lsb_g)
        _require_amplitude("noise_density_g_rthz", self.noise_density_g_rthz)
        _require_axes("gravity_g", self.gravity_g)
        _require_axes("tilt_deg", self.tilt_deg)


ADXL345 = Sensor()
"""The accelerometer of the reference hardware."""


@dataclass(frozen=True)
class Machine:
    """A motor with one bearing and one gear stage, measured at the bearing housing. Defaults: four poles at 50 Hz.

    Attributes:
        rpm: Mean shaft speed in 1/min.
        speed_ripple: Standard deviation of the slow speed fluctuation, relative to `rpm`.
        bearing: The bearing under the sensor.
        slip: Standard deviation of the interval between two impacts of a defect, relative to the interval.
        gear_teeth: Teeth of the pinion on the shaft.
        gear_mesh_g: Amplitude at the meshing frequency, before `axis_gains`.
        residual_imbalance_g: Remaining imbalance after balancing: radial amplitude at shaft speed, at `REFERENCE_RPM`.
        residual_misalignment_g: Remaining misalignment: amplitude along x at twice the shaft speed.
        resonance_hz: Undamped frequency of the housing's resonance, which every impact excites.
        damping_ratio: Damping of the resonance, relative to critical damping.
        background_g_rthz: Density of structure-borne 1/f noise at `BACKGROUND_REFERENCE_HZ`, in g/sqrt(Hz).
        axis_gains: Gains from the forces at the bearing (impacts, gear mesh) to x, y and z.
        sensor: The accelerometer.
    """

    rpm: float = 1480.0
    speed_ripple: float = 0.002
    bearing: BearingGeometry = SKF_6205
    slip: float = 0.015
    gear_teeth: int = 19
    gear_mesh_g: float = 0.05
    residual_imbalance_g: float = 0.03
    residual_misalignment_g: float = 0.015
    resonance_hz: float = 1100.0
    damping_ratio: float = 0.05
    background_g_rthz: float = 5e-4
    axis_gains: Axes = (1.0, 0.7, 0.4)
    sensor: Sensor = ADXL345

    def __post_init__(self) -> None:
        """Refuse a machine that the simulation does not cover.

        Raises:
            InvalidValueError: With the name of the attribute and its range.
        """
        require(0 < self.rpm < math.inf, "rpm", "above 0", self.rpm)
        require(0 <= self.speed_ripple <= 0.1, "speed_ripple", "in [0, 0.1]", self.speed_ripple)
        require(0 <= self.slip <= 0.1, "slip", "in [0, 0.1]", self.slip)
        require(self.gear_teeth >= 4, "gear_teeth", "at least 4", self.gear_teeth)
        require(0 < self.resonance_hz < math.inf, "resonance_hz", "above 0", self.resonance_hz)
        require(0.001 <= self.damping_ratio < 1, "damping_ratio", "in [0.001, 1)", self.damping_ratio)
        for name in ("gear_mesh_g", "residual_imbalance_g", "residual_misalignment_g", "background_g_rthz"):
            _require_amplitude(name, getattr(self, name))
        _require_axes("axis_gains", self.axis_gains)

    @property
    def shaft_hz(self) -> float:
        """Mean shaft speed in turns per second."""
        return self.rpm / 60


@dataclass(frozen=True)
class Condition:
    """A fault of a machine and its severity, in addition to the vibration of a healthy machine.

    Attributes:
        name: One of `CONDITIONS`.
        severity: Amplitude in g. imbalance: radial amplitude at shaft speed, at `REFERENCE_RPM`; misalignment:
            amplitude along x at twice the shaft speed; outer_race, inner_race, ball: amplitude of the ringing after an
            impact under full load, before `Machine.axis_gains`; healthy: 0.
    """

    name: str = "healthy"
    severity: float = 0.0

    def __post_init__(self) -> None:
        """Refuse unknown conditions and faults without a severity.

        Raises:
            InvalidValueError: With the possible values.
        """
        require(self.name in CONDITIONS, "condition", f"one of {', '.join(CONDITIONS)}", repr(self.name))
        if self.name == "healthy":
            require(self.severity == 0, "severity", "0 for healthy", self.severity)
        else:
            require(0 < self.severity < math.inf, "severity", f"above 0 g for {self.name}", self.severity)

    @classmethod
    def typical(cls, name: str) -> Condition:
        """Return the condition at the geometric mean of its `SEVERITY_RANGE_G`.

        Raises:
            InvalidValueError: If `name` is not in `CONDITIONS`.
        """
        low, high = SEVERITY_RANGE_G.get(name, (0.0, 0.0))
        return cls(name, math.sqrt(low * high))
