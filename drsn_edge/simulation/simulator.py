"""Simulated vibration: the readings of an accelerometer on the bearing housing of a rotating machine, in g.

All periodic vibration follows one shaft angle, which is the integral of a slowly varying speed. Imbalance, misalignment
and the gear mesh are lines at fixed orders. A bearing defect causes impacts at angles that slip from impact to impact,
and each impact makes the housing ring. The sensor tilts the axes, adds noise, rounds and clips.

    speed ▶ angle ─┬▶ lines ──────────────┬▶ tilt ▶ + noise ▶ round, clip
                   └▶ impacts ▶ resonance ┘

Not simulated are transfer paths other than one resonance, transients of speed, and the roll-off of the sensor's filter
(lines above half the sampling rate are dropped; the ringing is sampled without a filter).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.bearing import BearingGeometry, FloatArray, ImpactTrain, load_zone, require
from drsn_edge.simulation.machine import (
    AXES,
    BACKGROUND_REFERENCE_HZ,
    REFERENCE_RPM,
    SEVERITY_RANGE_G,
    Axes,
    Condition,
    Machine,
    Sensor,
)
from drsn_edge.simulation.names import CONDITIONS

DEFAULT_SAMPLE_RATE_HZ = 3200.0
"""Highest sampling rate of the ADXL345."""

_BLOCK = 1024
"""Samples per block of random numbers. Fixed, so that a stream does not depend on the sizes in which it is read."""

_SPEED_MEMORY_S = 2.0
"""Correlation time of the speed fluctuation in seconds."""

_SIDE_BAND = 0.3
"""Depth of the amplitude modulation of the gear mesh at shaft speed, caused by run-out of the pinion."""

_MISALIGNMENT = np.array([[0.0, 0.0, 0.8], [1.0, 0.7, 0.8], [0.3, 0.2, 0.2]])
"""Orders 1-3 (rows) along x, y, z, relative to order 2 along x: strongest at twice the shaft speed and along z."""

_MESH_HARMONICS = np.array([1.0, 0.5, 0.25])

_RINGING_FLOOR = 1e-4
"""Ringing ends where its envelope has decayed to this share of its start: below one LSB for up to 39 g."""


@dataclass(frozen=True)
class _Lines:
    """Sinusoids locked to the shaft: integer orders, shape (k,), and complex amplitudes in g, shape (k, 3)."""

    orders: FloatArray
    phasors: NDArray[np.complex128]

    def at(self, turns: FloatArray) -> FloatArray:
        """Return the sum of the lines, shape (n, 3), at each shaft angle in revolutions, shape (n,)."""
        first = np.exp(2j * np.pi * turns)
        powers: dict[int, NDArray[np.complex128]] = {0: np.ones_like(first), 1: first}
        lines = np.stack([_power(int(order), powers) for order in self.orders], axis=1)
        return np.asarray((lines @ self.phasors).real)


def _power(order: int, powers: dict[int, NDArray[np.complex128]]) -> NDArray[np.complex128]:
    """Return an integer power as a product of known powers, in a tenth of the time of a complex exponential."""
    if order not in powers:
        half = order // 2
        near = max(known for known in powers if known < order)
        known = (near, order - near) if order - near in powers else (half, order - half)
        powers[order] = _power(known[0], powers) * _power(known[1], powers)
    return powers[order]


def _shaft_phasors(machine: Machine, condition: Condition, phases: FloatArray) -> NDArray[np.complex128]:
    """Return orders 1-3 from imbalance and misalignment, shape (3, 3); `phases` in radians, (order, axis)."""
    extra = {condition.name: condition.severity}
    misalignment_g = machine.residual_misalignment_g + extra.get("misalignment", 0.0)
    imbalance_g = machine.residual_imbalance_g + extra.get("imbalance", 0.0)
    phasors = misalignment_g * _MISALIGNMENT * np.exp(1j * phases)
    # A heavy spot passes y a quarter turn after x and exerts no force along the shaft.
    heavy_spot = np.exp(1j * phases[0, 0]) * np.array([1, -1j, 0])
    phasors[0] += imbalance_g * (machine.rpm / REFERENCE_RPM) ** 2 * heavy_spot
    return np.asarray(phasors)


def _mesh_lines(machine: Machine, phases: FloatArray) -> _Lines:
    """Return the gear mesh's harmonics, each between two side bands; `phases` in radians, (harmonic, axis)."""
    carriers = machine.gear_mesh_g * np.outer(_MESH_HARMONICS, machine.axis_gains) * np.exp(1j * phases)
    orders = machine.gear_teeth * np.arange(1.0, 1 + len(_MESH_HARMONICS))
    side = _SIDE_BAND / 2 * carriers
    return _Lines(np.concatenate([orders - 1, orders, orders + 1]), np.concatenate([side, carriers, side]))


def _lines(machine: Machine, condition: Condition, sample_rate_hz: float, phases: FloatArray) -> _Lines:
    """Return every line below half the sampling rate; `phases` in radians, (shaft or mesh, 3, axis)."""
    mesh = _mesh_lines(machine, phases[1])
    orders = np.concatenate([[1.0, 2.0, 3.0], mesh.orders])
    phasors = np.concatenate([_shaft_phasors(machine, condition, phases[0]), mesh.phasors])
    kept = orders * machine.shaft_hz < sample_rate_hz / 2
    return _Lines(orders[kept], phasors[kept])


def _shaft_turns(machine: Machine, sample_rate_hz: float, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield the shaft angle at the end of each sample of a block in revolutions from 0, shape (_BLOCK,).

    The speed is a first-order Gauss-Markov process at the block edges and linear between them.
    """
    keep = math.exp(-_BLOCK / sample_rate_hz / _SPEED_MEMORY_S)
    ramp = np.arange(_BLOCK) / _BLOCK
    turns, wander = 0.0, rng.standard_normal()
    while True:
        following = keep * wander + math.sqrt(1 - keep**2) * rng.standard_normal()
        speed_hz = machine.shaft_hz * (1 + machine.speed_ripple * (wander + (following - wander) * ramp))
        block = turns + np.cumsum(speed_hz) / sample_rate_hz
        turns, wander = float(block[-1]), following
        yield block


def _noise_filter(machine: Machine, sample_rate_hz: float) -> NDArray[np.complex128]:
    """Return the frequency response from unit white noise to the noise in g, on the bins of 2 * _BLOCK samples.

    The filter is designed by frequency sampling with _BLOCK taps and a Hann window. The 1/f part is constant below the
    first bin.
    """
    frequency_hz = np.fft.rfftfreq(_BLOCK, 1 / sample_rate_hz)
    frequency_hz[0] = frequency_hz[1]
    background = machine.background_g_rthz**2 * BACKGROUND_REFERENCE_HZ / frequency_hz
    density_g_rthz = np.sqrt(machine.sensor.noise_density_g_rthz**2 + background)
    taps = np.fft.irfft(density_g_rthz * math.sqrt(sample_rate_hz / 2))
    windowed = np.fft.fftshift(taps) * np.hanning(_BLOCK + 1)[:-1]
    return np.asarray(np.fft.rfft(windowed, 2 * _BLOCK))


def _noise(machine: Machine, sample_rate_hz: float, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield blocks of the noise of sensor and structure in g, shape (_BLOCK, 3), filtered by overlap-save."""
    response = _noise_filter(machine, sample_rate_hz)[:, np.newaxis]
    white = rng.standard_normal((2 * _BLOCK, len(AXES)))
    while True:
        yield np.fft.irfft(np.fft.rfft(white, axis=0) * response, axis=0)[_BLOCK:]
        white = np.concatenate([white[_BLOCK:], rng.standard_normal((_BLOCK, len(AXES)))])


def impact_orders(name: str, bearing: BearingGeometry) -> tuple[float, float] | None:
    """Return impacts and passes through the load zone per turn for a bearing defect; None for other faults."""
    return {
        "outer_race": (bearing.bpfo, 0.0),
        "inner_race": (bearing.bpfi, 1.0),
        "ball": (bearing.ball_defect, bearing.ftf),
    }.get(name)


class _Ringing:
    """Response of the housing to impacts; it decays even after the condition has changed."""

    def __init__(self, machine: Machine, sample_rate_hz: float) -> None:
        omega = 2 * np.pi * machine.resonance_hz
        self._decay = machine.damping_ratio * omega / sample_rate_hz
        self._radians = omega * math.sqrt(1 - machine.damping_ratio**2) / sample_rate_hz
        self._length = math.ceil(-math.log(_RINGING_FLOOR) / self._decay)
        self._tail = np.zeros(self._length)

    def strike(self, at: FloatArray, amplitude_g: FloatArray, n: int) -> FloatArray:
        """Return the next n samples in g, shape (n,), and keep the ringing beyond them.

        An impact adds amplitude * exp(-zeta w t) * sin(wd t), with wd = w sqrt(1 - zeta²), from its time onwards.

        Args:
            at: Times of the impacts in samples, rising within [0, n]; fractions of a sample are possible.
            amplitude_g: Amplitude of each impact.
            n: Number of samples.
        """
        index = np.ceil(at).astype(np.intp)[:, np.newaxis] + np.arange(self._length)
        since = index - at[:, np.newaxis]
        response = amplitude_g[:, np.newaxis] * np.exp(-self._decay * since) * np.sin(self._radians * since)
        ringing = np.concatenate([self._tail, np.zeros(n)])
        np.add.at(ringing, index, response)
        self._tail = ringing[n:]
        return ringing[:n]


def _rotation(tilt_deg: Axes) -> FloatArray:
    """Return the rotation matrix, shape (3, 3), from the machine's axes to those of a sensor tilted about x, y, z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_z = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def _digitise(accel_g: FloatArray, sensor: Sensor) -> NDArray[np.float32]:
    """Round to the sensor's steps and clip to its range; the shape is unchanged."""
    if sensor.lsb_g:
        accel_g = np.round(accel_g / sensor.lsb_g) * sensor.lsb_g
    return np.clip(accel_g, -sensor.range_g, sensor.range_g - sensor.lsb_g).astype(np.float32)


class VibrationSimulator:
    """An endless stream of samples from one machine, whose condition can change at any sample.

    The same seed gives the same stream, whatever the sizes of the calls: shaft angle, noise and ringing continue.
    """

    def __init__(
        self, machine: Machine, condition: Condition, sample_rate_hz: float = DEFAULT_SAMPLE_RATE_HZ, seed: int = 0
    ) -> None:
        """Start at shaft angle 0.

        Args:
            machine: The machine and its sensor.
            condition: Condition at the start.
            sample_rate_hz: Sampling rate in Hz.
            seed: Seed of all random numbers, >= 0.

        Raises:
            InvalidValueError: If the sampling rate is too low for resonance or shaft speed, or the seed is negative.
        """
        _require_sampled(machine, sample_rate_hz)
        require(seed >= 0, "seed", "at least 0", seed)
        turns, noise, phases, self._impact_seeds = np.random.SeedSequence(seed).spawn(4)
        self.machine, self.sample_rate_hz = machine, sample_rate_hz
        self._phases = np.random.default_rng(phases).uniform(0, 2 * np.pi, (2, 3, len(AXES)))
        self._turns_blocks = _shaft_turns(machine, sample_rate_hz, np.random.default_rng(turns))
        self._noise_blocks = _noise(machine, sample_rate_hz, np.random.default_rng(noise))
        self._turns, self._noise = np.zeros(1), np.zeros((0, len(AXES)))
        self._ringing = _Ringing(machine, sample_rate_hz)
        self._rotation = _rotation(machine.sensor.tilt_deg)
        self.set_condition(condition)

    def set_condition(self, condition: Condition) -> None:
        """Set the condition from the next sample onwards; ringing of earlier impacts continues."""
        self.condition = condition
        self._lines = _lines(self.machine, condition, self.sample_rate_hz, self._phases)
        rng = np.random.default_rng(self._impact_seeds.spawn(1)[0])
        orders = impact_orders(condition.name, self.machine.bearing)
        self._load_order = orders[1] if orders else 0.0
        self._train = ImpactTrain(orders[0], self.machine.slip, float(self._turns[0]), rng) if orders else None

    def samples(self, n: int) -> NDArray[np.float32]:
        """Return the next n samples in g, shape (n, 3), with the axes of `AXES`.

        Raises:
            InvalidValueError: If n is negative.
        """
        require(n >= 0, "n", "at least 0", n)
        out = np.empty((n, len(AXES)), np.float32)
        for start in range(0, n, _BLOCK):
            out[start : start + _BLOCK] = self._next(min(_BLOCK, n - start))
        return out

    def _next(self, n: int) -> NDArray[np.float32]:
        turns, noise = self._take(n)
        motion = self._lines.at(turns[:-1]) + np.outer(self._ring(turns), self.machine.axis_gains)
        seen = (motion + self.machine.sensor.gravity_g) @ self._rotation.T
        return _digitise(seen + noise, self.machine.sensor)

    def _take(self, n: int) -> tuple[FloatArray, FloatArray]:
        """Return the next shaft angles, in revolutions, shape (n + 1,), and the next noise, shape (n, 3)."""
        while len(self._noise) < n:
            self._turns = np.concatenate([self._turns, next(self._turns_blocks)])
            self._noise = np.concatenate([self._noise, next(self._noise_blocks)])
        turns, noise = self._turns[: n + 1], self._noise[:n]
        self._turns, self._noise = self._turns[n:], self._noise[n:]
        return turns, noise

    def _ring(self, turns: FloatArray) -> FloatArray:
        hits = self._train.until(float(turns[-1])) if self._train else np.zeros(0)
        at = np.interp(hits, turns, np.arange(len(turns)))
        return self._ringing.strike(at, self.condition.severity * load_zone(self._load_order * hits), len(turns) - 1)


def _require_sampled(machine: Machine, sample_rate_hz: float) -> None:
    require(0 < sample_rate_hz < math.inf, "sample_rate_hz", "above 0", sample_rate_hz)
    fastest_hz = max(machine.resonance_hz, 3 * machine.shaft_hz)
    require(
        fastest_hz < sample_rate_hz / 2,
        "sample_rate_hz",
        f"above {2 * fastest_hz:g} for a resonance at {machine.resonance_hz:g} Hz and {machine.rpm:g} rpm",
        sample_rate_hz,
    )


def simulate_recording(
    machine: Machine,
    condition: Condition,
    duration_s: float,
    sample_rate_hz: float = DEFAULT_SAMPLE_RATE_HZ,
    seed: int = 0,
    name: str = "simulated",
) -> Recording:
    """Return one recording in g with the condition as label, `name` as group, and the fields rpm and severity.

    Raises:
        InvalidValueError: As `VibrationSimulator`, or if the duration is shorter than a sample.
    """
    simulator = VibrationSimulator(machine, condition, sample_rate_hz, seed)
    require(1 / sample_rate_hz <= duration_s < math.inf, "duration_s", "at least one sample", duration_s)
    return Recording(
        name=name,
        samples=simulator.samples(round(duration_s * sample_rate_hz)),
        sample_rate_hz=sample_rate_hz,
        axes=AXES,
        unit="g",
        label=condition.name,
        group=name,
        fields={"rpm": machine.rpm, "severity": condition.severity},
    )


def vary_machine(nominal: Machine, rng: np.random.Generator) -> Machine:
    """Return a machine of the same type with other values, which are drawn uniformly.

    Speed varies by +-10 %, amplitudes and densities by +-30 %, the resonance by +-5 %, the tilt by +-5 degrees about
    each axis.
    """

    def about(value: float, spread: float) -> float:
        return float(value * rng.uniform(1 - spread, 1 + spread))

    (gain_x, gain_y, gain_z), (tilt_x, tilt_y, tilt_z) = nominal.axis_gains, nominal.sensor.tilt_deg
    sensor = replace(
        nominal.sensor,
        noise_density_g_rthz=about(nominal.sensor.noise_density_g_rthz, 0.3),
        tilt_deg=(tilt_x + rng.uniform(-5, 5), tilt_y + rng.uniform(-5, 5), tilt_z + rng.uniform(-5, 5)),
    )
    return replace(
        nominal,
        rpm=about(nominal.rpm, 0.1),
        gear_mesh_g=about(nominal.gear_mesh_g, 0.3),
        residual_imbalance_g=about(nominal.residual_imbalance_g, 0.3),
        residual_misalignment_g=about(nominal.residual_misalignment_g, 0.3),
        resonance_hz=about(nominal.resonance_hz, 0.05),
        background_g_rthz=about(nominal.background_g_rthz, 0.3),
        axis_gains=(about(gain_x, 0.3), about(gain_y, 0.3), about(gain_z, 0.3)),
        sensor=sensor,
    )


def simulate_dataset(
    conditions: Sequence[str],
    n_machines: int,
    duration_s: float,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    *,
    nominal: Machine | None = None,
    sample_rate_hz: float = DEFAULT_SAMPLE_RATE_HZ,
) -> list[Recording]:
    """Return one recording of every machine in every condition, machine by machine.

    Machines vary as in `vary_machine`, severities log-uniformly in `SEVERITY_RANGE_G`. Further machines or conditions
    do not change the other recordings.

    Args:
        conditions: Names in `CONDITIONS`, each at most once.
        n_machines: Number of machines.
        duration_s: Duration of each recording in seconds.
        seed: Seed of all random numbers, >= 0.
        progress: Called after each recording with the number of recordings done and of all.
        nominal: Machine that is varied; None: `Machine()`.
        sample_rate_hz: Sampling rate in Hz.

    Returns:
        Recordings with names such as "outer_race-03", groups such as "machine-03", and the fields machine, rpm and
        severity.

    Raises:
        InvalidValueError: If an argument is out of range.
    """
    for name in conditions:
        require(name in CONDITIONS, "condition", f"one of {', '.join(CONDITIONS)}", repr(name))
    require(0 < len(conditions) == len(set(conditions)), "conditions", "at least one, each once", list(conditions))
    require(n_machines >= 1, "n_machines", "at least 1", n_machines)
    require(seed >= 0, "seed", "at least 0", seed)
    recordings = []
    for number in range(1, n_machines + 1):
        machine = vary_machine(nominal or Machine(), np.random.default_rng(_seeds(seed, number)))
        for name in conditions:
            recordings.append(_numbered(machine, number, name, duration_s, sample_rate_hz, seed))
            if progress:
                progress(len(recordings), n_machines * len(conditions))
    return recordings


def _seeds(seed: int, *key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=key)


def _numbered(
    machine: Machine, number: int, name: str, duration_s: float, sample_rate_hz: float, seed: int
) -> Recording:
    """Return the recording of machine `number` in condition `name` with a random severity."""
    seeds = _seeds(seed, number, CONDITIONS.index(name))
    low, high = SEVERITY_RANGE_G[name]
    severity = low * (high / low) ** np.random.default_rng(seeds).uniform() if high else 0.0
    stream_seed = int(seeds.generate_state(2)[1])
    recording = simulate_recording(
        machine, Condition(name, severity), duration_s, sample_rate_hz, stream_seed, f"{name}-{number:02d}"
    )
    fields = {"machine": number, **recording.fields}
    return replace(recording, group=f"machine-{number:02d}", fields=fields)
