"""Faults simulated into the healthy signal of a real machine: healthy windows in, windows with one fault out.

A machine without a recording of a fault still shows how its housing rings: as peaks of its own healthy spectrum. A
fault of the bearing strikes the housing at a rate that geometry and shaft speed determine, and each impact excites
these resonances. A fault of the shaft adds lines at multiples of the shaft speed. What is added has a stated power
relative to the healthy vibration, so that a severity means the same for every sensor and unit.

    healthy windows ─┬▶ resonances ▶ impacts ─┐
                     └────────────────────────┴▶ window with a fault ▶ + noise

Everything is drawn from one seed. Not simulated are changes of speed within a window, wear that spreads along a race,
and transfer paths that differ between healthy operation and impacts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.bearing import BearingGeometry, FloatArray, ImpactTrain, load_zone, require
from drsn_edge.signal.noise import add_noise

Windows = NDArray[np.float32]

MOST_RESONANCES = 6
"""Most resonances that are taken from a healthy spectrum, the most prominent first."""

LOWEST_SHARE = 0.08
"""Resonances are searched above this share of half the sampling rate, where lines of the shaft are weak."""

DAMPING = (0.01, 0.08)
"""Bounds of the damping of a resonance relative to critical damping, as its width in the spectrum also holds noise."""

_SEGMENT = 192
"""Samples of the segments whose spectra are averaged: wide enough apart that a line of the shaft is no resonance."""

_PROMINENT_DB = 2.0
_RINGING_FLOOR = 1e-3
"""Ringing ends where its envelope has decayed to this share of its start."""

_SCATTER = 0.2
"""Standard deviation of an impact's strength, relative to its mean."""


@dataclass(frozen=True)
class Resonances:
    """How a machine's housing rings, estimated from its healthy vibration.

    Attributes:
        hz: Frequency of each resonance in Hz, shape (k,).
        damping: Damping of each, relative to critical damping, shape (k,).
        gains: Amplitude of each on each axis, relative to the largest, shape (k, axes).
    """

    hz: FloatArray
    damping: FloatArray
    gains: FloatArray


@dataclass(frozen=True)
class Fault:
    """A fault that is simulated into healthy windows.

    Attributes:
        name: One of `FAULTS`.
        severity_db: Power that the fault adds over the power of the healthy window without its mean, in dB. In a window
            of a second, -20 dB is barely visible and 5 dB plainly.
        slip: Standard deviation of the interval between two impacts of a bearing, relative to its mean.
        offset: Deviation of the mean rate from that of rolling without slip, relative to it; bearings only.
        load: Depth of the load zone: 0 for the same load at each angle, 1 for a load on one half of the bearing alone.
        snr_db: Signal-to-noise ratio of white noise that is added at the end, in dB; None: no noise.
    """

    name: str
    severity_db: float
    slip: float = 0.01
    offset: float = 0.0
    load: float = 1.0
    snr_db: float | None = None

    def __post_init__(self) -> None:
        """Refuse a fault that cannot be simulated.

        Raises:
            InvalidValueError: With the name of the attribute and its range.
        """
        require(self.name in FAULTS, "fault", f"one of {', '.join(FAULTS)}", repr(self.name))
        require(-60 <= self.severity_db <= 60, "severity_db", "in [-60, 60]", self.severity_db)
        require(0 <= self.slip <= 0.1, "slip", "in [0, 0.1]", self.slip)
        require(-0.1 <= self.offset <= 0.1, "offset", "in [-0.1, 0.1]", self.offset)
        require(0 <= self.load <= 1, "load", "in [0, 1]", self.load)


@dataclass(frozen=True)
class Place:
    """Where a fault is simulated.

    Attributes:
        sample_rate_hz: Sampling rate in Hz.
        shaft_hz: Turns of the shaft per second.
        bearing: Bearing under the sensor.
        resonances: How the housing rings.
        gear_teeth: Teeth of the pinion on the shaft.
    """

    sample_rate_hz: float
    shaft_hz: float
    bearing: BearingGeometry
    resonances: Resonances
    gear_teeth: int = 19


def resonances_of(healthy: Windows, sample_rate_hz: float) -> Resonances:
    """Estimate the resonances of a machine from its healthy vibration.

    They are the peaks of the averaged spectrum that stand at least 2 dB above the valleys on both sides. The damping
    follows from the width of a peak 3 dB below its top.

    Args:
        healthy: Healthy windows, shape (n, window, axes).
        sample_rate_hz: Sampling rate in Hz.

    Returns:
        At least one resonance. A spectrum without a peak gets one at its strongest line.
    """
    density = _density(healthy)
    total = density.sum(axis=1)
    level_db = 10 * np.log10(np.maximum(total, max(total.max() * 1e-12, 1e-300)))
    first = max(1, math.ceil(LOWEST_SHARE * (len(total) - 1)))
    peaks = _peaks(level_db, first) or [first + int(np.argmax(level_db[first:-1]))]
    step_hz = sample_rate_hz / 2 / (len(total) - 1)
    at = np.array(peaks)
    damping = np.array([_width(level_db, peak) / (2 * peak) for peak in peaks])
    amplitude = np.sqrt(density[at])
    return Resonances(at * step_hz, np.clip(damping, *DAMPING), amplitude / (amplitude.max() or 1.0))


def _density(windows: Windows) -> FloatArray:
    """Return the mean power of each line of segments, shape (lines, axes)."""
    n, length, axes = windows.shape
    require(n > 0 and length >= _SEGMENT, "window", f"at least one of {_SEGMENT} samples", (n, length))
    parts = windows[:, : length // _SEGMENT * _SEGMENT].reshape(-1, _SEGMENT, axes).astype(np.float64)
    parts -= parts.mean(axis=1, keepdims=True)
    spectra = np.fft.rfft(parts * np.hanning(_SEGMENT)[:, None], axis=1)
    return np.asarray(np.mean(np.square(spectra.real) + np.square(spectra.imag), axis=0))


def _peaks(level_db: FloatArray, first: int) -> list[int]:
    """Return the lines of the most prominent peaks from line `first` upwards, the most prominent first."""
    inner = level_db[1:-1]
    tops = 1 + np.flatnonzero((inner > level_db[:-2]) & (inner >= level_db[2:]))
    prominence = {int(top): _prominence(level_db, int(top), first) for top in tops if top >= first}
    found = sorted((top for top, db in prominence.items() if db >= _PROMINENT_DB), key=lambda top: -prominence[top])
    return found[:MOST_RESONANCES]


def _prominence(level_db: FloatArray, top: int, first: int) -> float:
    """Return how far a peak stands above the higher of the lowest points towards the next higher peaks, in dB."""
    valleys = []
    for side in (level_db[first:top][::-1], level_db[top + 1 :]):
        higher = np.flatnonzero(side > level_db[top])
        reach = side[: higher[0]] if len(higher) else side
        valleys.append(float(reach.min()) if len(reach) else -math.inf)
    return float(level_db[top]) - max(valleys)


def _width(level_db: FloatArray, top: int) -> float:
    """Return the width of a peak 3 dB below its top, in lines."""
    below = level_db < level_db[top] - 3
    left = np.flatnonzero(below[:top])
    right = np.flatnonzero(below[top:])
    return float((right[0] if len(right) else len(level_db) - top) + (top - left[-1] if len(left) else top)) - 1


def with_fault(healthy: Windows, fault: Fault, place: Place, seed: int) -> Windows:
    """Return healthy windows with a fault, shape (n, window, axes); each window has a phase and a path of its own.

    Args:
        healthy: Healthy windows, shape (n, window, axes).
        fault: What is added.
        place: Speed, bearing and resonances.
        seed: Seed of all random numbers, >= 0; the same seed gives the same windows.
    """
    require(seed >= 0, "seed", "at least 0", seed)
    seeds = np.random.SeedSequence(seed).spawn(len(healthy))
    made = [
        _one(window, fault, place, np.random.default_rng(each)) for window, each in zip(healthy, seeds, strict=True)
    ]
    return np.stack(made) if made else healthy.copy()


def _one(window: Windows, fault: Fault, place: Place, rng: np.random.Generator) -> Windows:
    added = FAULTS[fault.name](window.shape[0], fault, place, rng)
    added -= added.mean(axis=0)
    power = np.mean(np.var(window, axis=0, dtype=np.float64))
    gain = math.sqrt(10 ** (fault.severity_db / 10) * power / max(float(np.mean(np.square(added))), 1e-300))
    faulty = (window + gain * added).astype(np.float32)
    return faulty if fault.snr_db is None else add_noise(faulty, fault.snr_db, rng)


def _ring(
    at: FloatArray, strength: FloatArray, n: int, resonances: Resonances, hz: float, path: FloatArray
) -> FloatArray:
    """Return the ringing of the resonances after impacts, shape (n, axes).

    Args:
        at: Times of the impacts in samples, also before the window.
        strength: Strength of each impact.
        n: Number of samples.
        resonances: How the housing rings.
        hz: Sampling rate in Hz.
        path: How strongly an impact excites each resonance, shape (k,).
    """
    ringing = np.zeros((n, resonances.gains.shape[1]))
    for index, own_hz in enumerate(resonances.hz):
        decay = 2 * np.pi * own_hz * resonances.damping[index] / hz
        length = min(n, math.ceil(-math.log(_RINGING_FLOOR) / decay))
        samples = np.ceil(at).astype(np.intp)[:, None] + np.arange(length)
        since = samples - at[:, None]
        response = strength[:, None] * np.exp(-decay * since) * np.sin(2 * np.pi * own_hz / hz * since)
        inside = (samples >= 0) & (samples < n)
        wave = np.bincount(samples[inside], response[inside], minlength=n)
        ringing += path[index] * wave[:, None] * resonances.gains[index]
    return ringing


def _path(resonances: Resonances, rng: np.random.Generator) -> FloatArray:
    """Draw how strongly impacts excite each resonance: log-normal, since their path to the sensor is unknown."""
    return np.asarray(rng.choice((-1.0, 1.0), len(resonances.hz)) * np.exp(rng.normal(0, 1, len(resonances.hz))))


def _impacts(
    n: int, order: float, zone_order: float, fault: Fault, place: Place, rng: np.random.Generator
) -> FloatArray:
    """Return the ringing after impacts at a mean order, whose load repeats at another order."""
    turns_per_sample = place.shaft_hz / place.sample_rate_hz
    lead = 4 / order
    train = ImpactTrain(order * (1 + fault.offset), fault.slip, 0.0, rng)
    hits = train.until(n * turns_per_sample + lead)
    angle = rng.uniform()
    strength = 1 - fault.load + fault.load * load_zone(zone_order * hits + angle)
    strength = strength * np.maximum(0, 1 + _SCATTER * rng.standard_normal(len(hits)))
    at = (hits - lead) / turns_per_sample
    return _ring(at, strength, n, place.resonances, place.sample_rate_hz, _path(place.resonances, rng))


def _outer(n: int, fault: Fault, place: Place, rng: np.random.Generator) -> FloatArray:
    return _impacts(n, place.bearing.bpfo, 0.0, _unloaded(fault), place, rng)


def _inner(n: int, fault: Fault, place: Place, rng: np.random.Generator) -> FloatArray:
    return _impacts(n, place.bearing.bpfi, 1.0, fault, place, rng)


def _ball(n: int, fault: Fault, place: Place, rng: np.random.Generator) -> FloatArray:
    return _impacts(n, place.bearing.ball_defect, place.bearing.ftf, fault, place, rng)


def _cage(n: int, fault: Fault, place: Place, rng: np.random.Generator) -> FloatArray:
    return _impacts(n, place.bearing.ftf, 0.0, _unloaded(fault), place, rng)


def _unloaded(fault: Fault) -> Fault:
    """Return a fault whose impacts all meet the same load: the place of the defect does not move in the load zone."""
    return replace(fault, load=0.0)


def _lines(n: int, amplitudes: Mapping[float, float], place: Place, rng: np.random.Generator) -> FloatArray:
    """Return lines at orders with amplitudes, shape (n, axes); each order has a phase and gains of its own."""
    turns = np.arange(n)[:, None] * place.shaft_hz / place.sample_rate_hz
    axes = place.resonances.gains.shape[1]
    found = np.zeros((n, axes))
    for order, amplitude in amplitudes.items():
        if order * place.shaft_hz < place.sample_rate_hz / 2:
            gains, phases = rng.uniform(0.3, 1, axes), rng.uniform(0, 1, axes)
            found += amplitude * gains * np.cos(2 * np.pi * (order * turns + phases))
    return found


def _imbalance(n: int, fault: Fault, place: Place, rng: np.random.Generator) -> FloatArray:
    return _lines(n, {1.0: 1.0}, place, rng)


def _misalignment(n: int, fault: Fault, place: Place, rng: np.random.Generator) -> FloatArray:
    """Return twice the shaft speed and weaker lines beside it."""
    return _lines(n, {1.0: rng.uniform(0.2, 0.5), 2.0: 1.0, 3.0: rng.uniform(0.2, 0.4)}, place, rng)


def _looseness(n: int, fault: Fault, place: Place, rng: np.random.Generator) -> FloatArray:
    """Return many multiples of half the shaft speed, and an impact in every other turn with half of the power."""
    lines = _lines(n, {order: rng.uniform(0.3, 1) / math.sqrt(order) for order in _HALF_ORDERS}, place, rng)
    return _of_power(lines) + _of_power(_impacts(n, 0.5, 0.0, _locked(fault), place, rng))


def _gear_tooth(n: int, fault: Fault, place: Place, rng: np.random.Generator) -> FloatArray:
    """Return an impact of the damaged tooth in each turn, and with a tenth of its power a burst of the mesh."""
    struck = _impacts(n, 1.0, 0.0, _locked(fault), place, rng)
    mesh = _lines(n, {place.gear_teeth: 1.0, 2 * place.gear_teeth: 0.5}, place, rng)
    turns = np.arange(n)[:, None] * place.shaft_hz / place.sample_rate_hz + rng.uniform()
    burst = np.exp(-np.square((turns % 1 - 0.5) * place.gear_teeth / 2))
    return _of_power(struck) + math.sqrt(0.1) * _of_power(mesh * burst)


def _of_power(samples: FloatArray) -> FloatArray:
    return samples / math.sqrt(max(float(np.mean(np.square(samples))), 1e-300))


def _locked(fault: Fault) -> Fault:
    """Return a fault whose impacts follow the shaft."""
    return replace(fault, slip=0.0, offset=0.0, load=0.0)


_HALF_ORDERS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)

Maker = Callable[[int, Fault, Place, np.random.Generator], FloatArray]

FAULTS: Mapping[str, Maker] = {
    "outer_race": _outer,
    "inner_race": _inner,
    "ball": _ball,
    "cage": _cage,
    "imbalance": _imbalance,
    "misalignment": _misalignment,
    "looseness": _looseness,
    "gear_tooth": _gear_tooth,
}
"""What each fault adds to n samples, shape (n, axes), before it is scaled."""
