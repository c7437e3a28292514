from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from refusals import refused
from scipy.signal import butter, find_peaks, hilbert, sosfiltfilt, welch

from drsn_edge.signal.bearing import SKF_6205, BearingGeometry, ImpactTrain, load_zone
from drsn_edge.simulation.machine import SEVERITY_RANGE_G, Condition, Machine, Sensor
from drsn_edge.simulation.names import CONDITIONS
from drsn_edge.simulation.simulator import VibrationSimulator, simulate_dataset, simulate_recording, vary_machine
from drsn_edge.support.invalid import InvalidValueError

Array = NDArray[Any]

RATE_HZ = 3200.0
IDEAL = Sensor(lsb_g=0.0, noise_density_g_rthz=0.0, range_g=1000.0)


def quiet(**changes: Any) -> Machine:
    """Return a machine at exactly 25 Hz that shows nothing but its fault."""
    still = Machine(
        rpm=1500.0,
        speed_ripple=0.0,
        slip=0.0,
        gear_mesh_g=0.0,
        residual_imbalance_g=0.0,
        residual_misalignment_g=0.0,
        background_g_rthz=0.0,
        sensor=IDEAL,
    )
    return replace(still, **changes)


def record(machine: Machine, condition: Condition, seconds: float, rate_hz: float = RATE_HZ, seed: int = 1) -> Array:
    return simulate_recording(machine, condition, seconds, rate_hz, seed).samples.astype(np.float64)


def amplitudes(samples: Array) -> Array:
    """Return the amplitude in each bin of a record of whole periods, along axis 0."""
    return np.abs(np.fft.rfft(samples, axis=0)) * 2 / len(samples)


def envelope_spectrum(samples: Array, rate_hz: float = RATE_HZ) -> tuple[Array, Array]:
    """Return frequencies and amplitudes of the envelope around the resonance, x axis."""
    band = butter(4, [700, 1500], "bandpass", fs=rate_hz, output="sos")
    envelope = np.abs(hilbert(sosfiltfilt(band, samples[:, 0])))
    tapered = (envelope - envelope.mean()) * np.hanning(len(envelope))
    return np.fft.rfftfreq(len(tapered), 1 / rate_hz), np.abs(np.fft.rfft(tapered)) * 4 / len(tapered)


def peak(spectrum: tuple[Array, Array], around_hz: float, within: float = 0.01) -> tuple[float, float]:
    """Return frequency and height of the highest bin near a frequency."""
    frequency_hz, height = spectrum
    near = np.flatnonzero(np.abs(frequency_hz - around_hz) <= within * around_hz)
    best = near[np.argmax(height[near])]
    return float(frequency_hz[best]), float(height[best])


def floor(spectrum: tuple[Array, Array], low_hz: float, high_hz: float) -> float:
    frequency_hz, height = spectrum
    return float(np.median(height[(frequency_hz > low_hz) & (frequency_hz < high_hz)]))


def test_orders_of_the_6205_match_the_published_ones() -> None:
    orders = (SKF_6205.bpfo, SKF_6205.bpfi, SKF_6205.ball_defect, SKF_6205.bsf, SKF_6205.ftf)
    assert orders == pytest.approx((3.585, 5.415, 4.714, 2.357, 0.398), abs=6e-4)


@given(st.integers(3, 40), st.floats(0.01, 0.9), st.floats(0, 80))
def test_races_share_the_passing_balls(n_balls: int, ratio: float, angle_deg: float) -> None:
    bearing = BearingGeometry(n_balls, 10 * ratio, 10.0, angle_deg)
    assert bearing.bpfo + bearing.bpfi == pytest.approx(n_balls)
    assert bearing.bpfo == pytest.approx(n_balls * bearing.ftf)


def test_contact_angle_brings_the_races_together() -> None:
    flat, steep = BearingGeometry(9, 7.94, 39.04, 0), BearingGeometry(9, 7.94, 39.04, 40)
    assert flat.bpfo < steep.bpfo < 4.5 < steep.bpfi < flat.bpfi


def test_load_is_full_below_the_shaft_and_none_on_the_other_half() -> None:
    assert load_zone(np.array([0.0, 0.25, 0.4, 0.5, 1.0, 1 / 6])) == pytest.approx([1, 0, 0, 0, 1, 0.5**1.5])


def test_slip_accumulates_as_a_random_walk() -> None:
    errors = []
    for seed in range(400):
        hits = ImpactTrain(2.0, 0.02, 0.0, np.random.default_rng(seed)).until(120.0)
        errors.append([hits[k] - hits[0] - k / 2.0 for k in (25, 100)])
    assert np.std(errors, axis=0) == pytest.approx([0.01 * 5, 0.01 * 10], rel=0.15)


def test_impacts_do_not_depend_on_the_steps_taken() -> None:
    whole = ImpactTrain(3.585, 0.02, 7.0, np.random.default_rng(3)).until(107.0)
    train = ImpactTrain(3.585, 0.02, 7.0, np.random.default_rng(3))
    assert np.concatenate([train.until(end) for end in (7.0, 7.1, 50.0, 106.9, 107.0)]).tolist() == whole.tolist()
    assert whole[0] >= 7.0


@pytest.mark.parametrize(("rpm", "expected_g"), [(1500.0, 0.2), (3000.0, 0.8)])
def test_imbalance_turns_radially_and_grows_with_the_square_of_speed(rpm: float, expected_g: float) -> None:
    samples = record(quiet(rpm=rpm), Condition("imbalance", 0.2), 1.0)
    lines = amplitudes(samples)
    assert lines[round(rpm / 60)] == pytest.approx([expected_g, expected_g, 0], abs=1e-5)
    assert np.delete(lines, round(rpm / 60), axis=0).max() < 1e-5
    assert np.hypot(samples[:, 0], samples[:, 1]) == pytest.approx(expected_g, abs=1e-5)


def test_residual_and_added_imbalance_share_the_heavy_spot() -> None:
    samples = record(quiet(residual_imbalance_g=0.05), Condition("imbalance", 0.2), 1.0)
    assert amplitudes(samples)[25, 0] == pytest.approx(0.25, abs=1e-5)


def test_misalignment_shows_twice_per_turn_and_along_the_shaft() -> None:
    lines = amplitudes(record(quiet(), Condition("misalignment", 0.3), 1.0))
    assert lines[50, 0] == pytest.approx(0.3, abs=1e-5)
    assert lines[50, 0] > lines[25, 0] and lines[50, 0] > lines[75, 0]
    assert lines[25, 2] > 0.5 * 0.3


def test_gear_mesh_has_harmonics_and_side_bands_at_shaft_speed() -> None:
    machine = quiet(gear_mesh_g=0.1, gear_teeth=19)
    lines = amplitudes(record(machine, Condition(), 1.0))
    mesh = 19 * 25
    assert lines[mesh] == pytest.approx(0.1 * np.array(machine.axis_gains), abs=1e-5)
    assert lines[[mesh - 25, mesh + 25], 0] == pytest.approx(0.015, abs=1e-5)
    assert lines[[2 * mesh, 3 * mesh], 0] == pytest.approx([0.05, 0.025], abs=1e-5)


def test_lines_above_half_the_sample_rate_do_not_fold_back() -> None:
    lines = amplitudes(record(quiet(gear_mesh_g=0.1, gear_teeth=30), Condition(), 1.0))
    assert np.flatnonzero(lines[:, 0] > 1e-5).tolist() == [725, 750, 775, 1475, 1500, 1525]


def test_all_orders_follow_one_shaft() -> None:
    machine = quiet(speed_ripple=0.03)
    turning = record(machine, Condition("imbalance", 1.0), 8.0)
    meshing = record(replace(machine, gear_mesh_g=1.0, gear_teeth=19), Condition(), 8.0)
    band = butter(4, [350, 600], "bandpass", fs=RATE_HZ, output="sos")
    shaft = np.unwrap(np.arctan2(turning[:, 1], turning[:, 0]))
    mesh = np.unwrap(np.angle(hilbert(sosfiltfilt(band, meshing[:, 0]))))
    lag = (mesh - 19 * shaft)[800:-800]
    assert np.ptp(shaft - np.linspace(shaft[0], shaft[-1], len(shaft))) > 0.5
    assert np.ptp(lag) < 0.3


def test_speed_wanders_slowly_about_the_mean() -> None:
    turning = record(quiet(speed_ripple=0.02), Condition("imbalance", 1.0), 400.0)
    speed_hz = np.diff(np.unwrap(np.arctan2(turning[:, 1], turning[:, 0]))) / (2 * np.pi) * RATE_HZ
    per_block = speed_hz[: len(speed_hz) // 640 * 640].reshape(-1, 640).mean(axis=1)
    assert per_block.mean() == pytest.approx(25.0, rel=0.005)
    assert per_block.std() / 25.0 == pytest.approx(0.02, rel=0.3)
    assert np.abs(np.diff(per_block)).max() < 3 * per_block.std()


def test_outer_race_shows_its_ball_pass_frequency_and_harmonics() -> None:
    machine = Machine(rpm=1500.0)
    spectrum = envelope_spectrum(record(machine, Condition("outer_race", 1.0), 20.0))
    bpfo_hz = SKF_6205.bpfo * 25
    for harmonic in (1, 2, 3):
        frequency_hz, height = peak(spectrum, harmonic * bpfo_hz)
        assert frequency_hz == pytest.approx(harmonic * bpfo_hz, rel=0.01)
        assert height > 8 * floor(spectrum, bpfo_hz * (harmonic - 0.4), bpfo_hz * (harmonic - 0.2))


def test_inner_race_has_side_bands_at_shaft_speed() -> None:
    spectrum = envelope_spectrum(record(Machine(rpm=1500.0), Condition("inner_race", 1.5), 20.0))
    bpfi_hz = SKF_6205.bpfi * 25
    for line_hz in (bpfi_hz - 25, bpfi_hz, bpfi_hz + 25, 25.0):
        frequency_hz, height = peak(spectrum, line_hz)
        assert frequency_hz == pytest.approx(line_hz, rel=0.01)
        assert height > 8 * floor(spectrum, line_hz + 8, line_hz + 17)


def test_ball_defect_is_modulated_by_the_cage() -> None:
    spectrum = envelope_spectrum(record(quiet(slip=0.01), Condition("ball", 1.5), 20.0))
    cage_hz, struck_hz = SKF_6205.ftf * 25, SKF_6205.ball_defect * 25
    for line_hz in (cage_hz, struck_hz - cage_hz, struck_hz, struck_hz + cage_hz):
        assert peak(spectrum, line_hz)[1] > 4 * floor(spectrum, line_hz + 0.3 * cage_hz, line_hz + 0.7 * cage_hz)


@pytest.mark.parametrize("zeta", [0.02, 0.1])
def test_an_impact_rings_with_the_stated_damping(zeta: float) -> None:
    rate_hz = 51200.0
    machine = quiet(rpm=60.0, resonance_hz=1000.0, damping_ratio=zeta)
    ringing = record(machine, Condition("outer_race", 2.0), 0.6, rate_hz)[:, 0]
    start = int(np.argmax(ringing > 0.02))
    tops = find_peaks(ringing[start : start + int(0.006 * rate_hz)], height=0.01)[0] + start
    decrement = -np.diff(np.log(ringing[tops]))
    assert decrement == pytest.approx(2 * np.pi * zeta / np.sqrt(1 - zeta**2), rel=0.03)
    assert np.diff(tops) == pytest.approx(rate_hz / 1000 / np.sqrt(1 - zeta**2), abs=1)
    # The first top comes a quarter of a period after the impact.
    assert ringing[tops[0]] == pytest.approx(2.0 * np.exp(-zeta * np.pi / 2), rel=0.02)


def test_ringing_obeys_its_differential_equation_between_impacts() -> None:
    machine = quiet(resonance_hz=1100.0, damping_ratio=0.05, slip=0.02)
    x = record(machine, Condition("outer_race", 1.0), 2.0)[:, 0]
    radians = 2 * np.pi * 1100.0 / RATE_HZ
    pole = np.exp(radians * (-0.05 + 1j * np.sqrt(1 - 0.05**2)))
    driven = np.abs(x[2:] - 2 * pole.real * x[1:-1] + abs(pole) ** 2 * x[:-2]) > 1e-3
    assert 0 < driven.sum() <= 2 * (2 * 25 * SKF_6205.bpfo + 1)


def test_impacts_reach_the_axes_by_their_gains() -> None:
    samples = record(quiet(axis_gains=(1.0, 0.5, 0.25)), Condition("outer_race", 1.0), 1.0)
    assert samples[:, 1] == pytest.approx(0.5 * samples[:, 0], abs=1e-6)
    assert samples[:, 2] == pytest.approx(0.25 * samples[:, 0], abs=1e-6)


def test_slip_smears_the_higher_harmonics() -> None:
    fault = Condition("outer_race", 1.0)
    steady, slipping = (envelope_spectrum(record(quiet(slip=slip), fault, 20.0)) for slip in (0.0, 0.02))
    kept = [peak(slipping, k * SKF_6205.bpfo * 25)[1] / peak(steady, k * SKF_6205.bpfo * 25)[1] for k in (1, 4)]
    assert kept[1] < 0.6 * kept[0] < 0.6


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2500), max_size=8), st.integers(0, 5000), st.sampled_from(CONDITIONS))
def test_the_stream_does_not_depend_on_how_it_is_read(cuts: list[int], change_at: int, name: str) -> None:
    def stream(pieces: list[int]) -> Array:
        simulator = VibrationSimulator(Machine(), Condition.typical("outer_race"), RATE_HZ, seed=5)
        out, done = [], 0
        for piece in [*pieces, 5000]:
            before = min(max(change_at - done, 0), piece)
            out.append(simulator.samples(before))
            if done <= change_at < done + piece:
                simulator.set_condition(Condition.typical(name))
            out.append(simulator.samples(piece - before))
            done += piece
        return np.concatenate(out)[:5000]

    assert np.array_equal(stream(cuts), stream([]))


def test_a_change_of_condition_keeps_the_shaft_turning() -> None:
    simulator = VibrationSimulator(quiet(), Condition("imbalance", 0.1), RATE_HZ)
    before = simulator.samples(777)
    simulator.set_condition(Condition("imbalance", 0.4))
    x, y, _ = np.concatenate([before, simulator.samples(777)]).T
    assert np.diff(np.unwrap(np.arctan2(y, x))) == pytest.approx(2 * np.pi * 25 / RATE_HZ, abs=1e-5)
    assert np.hypot(x, y)[[776, 777]] == pytest.approx([0.1, 0.4], abs=1e-6)


def test_ringing_outlives_the_defect() -> None:
    simulator = VibrationSimulator(quiet(damping_ratio=0.01), Condition("outer_race", 1.0), RATE_HZ)
    simulator.samples(1000)
    simulator.set_condition(Condition())
    after = np.abs(simulator.samples(3000)[:, 0])
    assert after[:20].max() > 0.1
    assert after[1000:].max() == 0


def test_a_late_defect_begins_with_one_impact() -> None:
    simulator = VibrationSimulator(quiet(), Condition(), RATE_HZ)
    simulator.samples(10_000)
    simulator.set_condition(Condition("outer_race", 1.0))
    assert 0.5 < np.abs(simulator.samples(200)).max() < 1.0


def test_the_seed_decides_everything() -> None:
    first, again, other = (record(Machine(), Condition.typical("ball"), 1.0, seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", CONDITIONS[1:])
def test_a_fault_grows_with_its_severity(name: str) -> None:
    small, large = (record(quiet(slip=0.01), Condition(name, severity), 1.0) for severity in (0.5, 1.5))
    assert large == pytest.approx(3 * small, abs=1e-6)


def test_white_noise_has_the_stated_density() -> None:
    machine = quiet(sensor=replace(IDEAL, noise_density_g_rthz=5e-4))
    _, density = welch(record(machine, Condition(), 60.0).T, RATE_HZ, nperseg=1024)
    assert np.sqrt(density[:, 4:-4].mean(axis=1)) == pytest.approx(5e-4, rel=0.02)
    assert np.sqrt(density[:, 4:-4]) == pytest.approx(5e-4, rel=0.3)


@pytest.mark.parametrize("frequency_hz", [25.0, 100.0, 400.0])
def test_background_falls_with_frequency(frequency_hz: float) -> None:
    samples = record(quiet(background_g_rthz=1e-3), Condition(), 120.0)
    bins_hz, density = welch(samples[:, 0], RATE_HZ, nperseg=2048)
    near = np.abs(bins_hz - frequency_hz) < 0.2 * frequency_hz
    assert np.sqrt(density[near].mean()) == pytest.approx(1e-3 * np.sqrt(100 / frequency_hz), rel=0.05)


def test_axes_have_noise_of_their_own() -> None:
    samples = record(Machine(gear_mesh_g=0, residual_imbalance_g=0, residual_misalignment_g=0), Condition(), 20.0)
    assert np.abs(np.corrcoef(samples.T) - np.eye(3)).max() < 0.05


def test_the_sensor_rounds_and_clips() -> None:
    machine = Machine(sensor=Sensor(range_g=2.0))
    samples = record(machine, Condition("imbalance", 5.0), 1.0)
    assert np.array_equal(samples * 256, np.round(samples * 256))
    assert (samples.min(), samples.max()) == (-2.0, 2.0 - 1 / 256)


def test_gravity_shows_which_way_the_sensor_is_turned() -> None:
    upright = replace(IDEAL, gravity_g=(0.0, 0.0, 1.0))
    assert record(quiet(sensor=upright), Condition(), 0.1)[0] == pytest.approx([0, 0, 1])
    about_x, about_y = replace(upright, tilt_deg=(90.0, 0.0, 0.0)), replace(upright, tilt_deg=(0.0, 30.0, 0.0))
    assert record(quiet(sensor=about_x), Condition(), 0.1)[0] == pytest.approx([0, 1, 0], abs=1e-6)
    assert record(quiet(sensor=about_y), Condition(), 0.1)[0] == pytest.approx([-0.5, 0, np.sqrt(0.75)], abs=1e-6)


@pytest.mark.parametrize(
    ("build", "name", "got"),
    [
        (lambda: BearingGeometry(2, 7.94, 39.04), "n_balls", 2),
        (lambda: BearingGeometry(9, 40.0, 39.04), "ball_diameter_mm", 40.0),
        (lambda: BearingGeometry(9, 7.94, -1.0), "pitch_diameter_mm", -1.0),
        (lambda: BearingGeometry(9, 7.94, 39.04, 90.0), "contact_angle_deg", 90.0),
        (lambda: Machine(rpm=0.0), "rpm", 0.0),
        (lambda: Machine(rpm=float("nan")), "rpm", "nan"),
        (lambda: Machine(speed_ripple=0.5), "speed_ripple", 0.5),
        (lambda: Machine(slip=-0.1), "slip", -0.1),
        (lambda: Machine(gear_teeth=2), "gear_teeth", 2),
        (lambda: Machine(damping_ratio=1.0), "damping_ratio", 1.0),
        (lambda: Machine(gear_mesh_g=-1.0), "gear_mesh_g", -1.0),
        (lambda: Machine(axis_gains=(1.0, 1.0)), "axis_gains", (1.0, 1.0)),  # type: ignore[arg-type]
        (lambda: Sensor(range_g=-1.0), "range_g", -1.0),
        (lambda: Sensor(lsb_g=20.0), "lsb_g", 20.0),
        (lambda: Sensor(tilt_deg=(0.0, 0.0, float("inf"))), "tilt_deg", (0.0, 0.0, float("inf"))),
        (lambda: Condition("looseness", 1.0), "condition", "'looseness'"),
        (lambda: Condition.typical("looseness"), "condition", "'looseness'"),
        (lambda: Condition("healthy", 1.0), "severity", 1.0),
        (lambda: Condition("outer_race"), "severity", 0.0),
        (lambda: VibrationSimulator(Machine(), Condition(), 2000.0), "sample_rate_hz", 2000.0),
        (lambda: VibrationSimulator(Machine(), Condition(), float("nan")), "sample_rate_hz", "nan"),
        (lambda: VibrationSimulator(Machine(), Condition(), RATE_HZ, -1), "seed", -1),
        (lambda: VibrationSimulator(Machine(), Condition()).samples(-1), "n", -1),
        (lambda: simulate_recording(Machine(), Condition(), 0.0), "duration_s", 0.0),
        (lambda: simulate_dataset(["rust"], 1, 1.0), "condition", "'rust'"),
        (lambda: simulate_dataset([], 1, 1.0), "conditions", []),
        (lambda: simulate_dataset(["ball", "ball"], 1, 1.0), "conditions", ["ball", "ball"]),
        (lambda: simulate_dataset(["ball"], 0, 1.0), "n_machines", 0),
        (lambda: simulate_dataset(["ball"], 1, 1.0, seed=-3), "seed", -3),
    ],
)
def test_impossible_values_are_refused(build: Any, name: str, got: Any) -> None:
    with refused(InvalidValueError, "out_of_range", name=name, got=got):
        build()


def test_a_sampling_rate_too_low_names_the_limit() -> None:
    with refused(InvalidValueError, "out_of_range", name="sample_rate_hz") as caught:
        VibrationSimulator(Machine(), Condition(), 2000.0)
    assert "2200" in str(caught.value)


def test_a_recording_says_what_it_is() -> None:
    recording = simulate_recording(Machine(), Condition("ball", 1.0), 0.5, RATE_HZ, seed=2, name="rig")
    assert recording.samples.shape == (1600, 3)
    assert recording.samples.dtype == np.float32
    assert (recording.name, recording.group, recording.label, recording.unit) == ("rig", "rig", "ball", "g")
    assert recording.axes == ("x", "y", "z")
    assert dict(recording.fields) == {"rpm": 1480.0, "severity": 1.0}


def test_a_dataset_has_every_machine_in_every_condition() -> None:
    seen: list[tuple[int, int]] = []
    recordings = simulate_dataset(CONDITIONS, 3, 0.5, seed=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 18) for done in range(1, 19)]
    assert {(r.label, r.group) for r in recordings} == {(c, f"machine-0{m}") for c in CONDITIONS for m in (1, 2, 3)}
    assert len({r.name for r in recordings}) == 18
    for recording in recordings:
        low, high = SEVERITY_RANGE_G[str(recording.label)]
        assert low <= float(recording.fields["severity"]) <= high
        assert recording.group == f"machine-{recording.fields['machine']:02d}"
    assert len({r.fields["rpm"] for r in recordings}) == 3


def test_more_machines_and_conditions_leave_the_others_as_they_were() -> None:
    few = simulate_dataset(["outer_race"], 1, 0.5, seed=1)[0]
    many = simulate_dataset(["healthy", "outer_race"], 2, 0.5, seed=1)[1]
    assert few.name == many.name == "outer_race-01"
    assert few.fields == many.fields
    assert np.array_equal(few.samples, many.samples)
    assert not np.array_equal(few.samples, simulate_dataset(["outer_race"], 1, 0.5, seed=2)[0].samples)


def test_machines_vary_within_bounds() -> None:
    rng = np.random.default_rng(0)
    machines = [vary_machine(Machine(), rng) for _ in range(200)]
    for name, spread in {"rpm": 0.1, "resonance_hz": 0.05, "gear_mesh_g": 0.3, "background_g_rthz": 0.3}.items():
        relative = np.array([getattr(m, name) for m in machines]) / getattr(Machine(), name) - 1
        assert 0.9 * spread < np.abs(relative).max() <= spread
    assert 4 < np.abs([m.sensor.tilt_deg for m in machines]).max() <= 5


def test_faults_differ_from_health_in_shape_not_only_in_size() -> None:
    def kurtosis(name: str) -> float:
        x = record(Machine(), Condition.typical(name), 10.0)[:, 0]
        return float(np.mean((x - x.mean()) ** 4) / np.var(x) ** 2)

    assert kurtosis("healthy") < 3.5 < 5 < min(kurtosis("outer_race"), kurtosis("inner_race"), kurtosis("ball"))
