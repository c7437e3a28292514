"""A healthy machine while it is learned: what it must show, what is left out, and when enough was seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from refusals import refused

from drsn_edge.bundle.healthy import HealthyOptions
from drsn_edge.errors import BundleError, LearningError
from drsn_edge.monitor.healthy_machine import DAY, POINT, START, HealthyMachine
from drsn_edge.monitor.stages import learner as module
from drsn_edge.monitor.stages.learner import Learner
from drsn_edge.monitor.stages.severity_limits import Limits
from drsn_edge.signal.suited import JUMP
from drsn_edge.verdicts import LOST_SAMPLES, NOT_RUNNING
from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.messages import Hello

RATE_HZ, BLOCK = 512, 256
HELLO = Hello(1, "pump", "1", "test", ("x", "y"), "g", 2**-12, 8.0, float(RATE_HZ))
PUMP = HealthyOptions("pump", "1.0.0")


def vibration(seconds: int, gain: float = 1.0, slope: float = 0.6, seed: int = 0) -> NDArray[np.float64]:
    """Return the vibration of a machine in g, shape (n, 2): lines of a shaft, and noise that `slope` tilts."""
    noise = np.random.default_rng(seed).normal(scale=0.1, size=(RATE_HZ * seconds, 2))
    noise[1:] += slope * noise[:-1]
    turns = 23.4 * np.arange(len(noise)) / RATE_HZ
    lines = 0.3 * np.sin(2 * np.pi * turns) + 0.2 * np.sin(2 * np.pi * (5 * turns + 0.3))
    return np.asarray(gain * (noise + lines[:, None] * (1.0, 0.7)))


def blocks(accel_g: NDArray[np.float64], first: int = 0) -> Iterator[SampleBlock]:
    counts = np.rint(accel_g / HELLO.scale).clip(-32768, 32767).astype(np.int16)
    for at in range(0, len(counts), BLOCK):
        yield SampleBlock(first + at, (first + at) / RATE_HZ, counts[at : at + BLOCK], 0)


def listening(*parts: NDArray[np.float64], **options: Any) -> HealthyMachine:
    machine = HealthyMachine(PUMP, **options)
    machine.take(HELLO)
    for block in blocks(np.concatenate(parts)):
        machine.take(block)
    return machine


def test_each_load_is_an_operating_point() -> None:
    taught = listening(vibration(60), vibration(30, 2.0, -0.3)).taught()
    assert [round(each.share, 1) for each in taught.points] == [0.7, 0.3]
    idle, loaded = (each.level_rms for each in taught.points)
    assert loaded > 1.5 * idle
    assert taught.not_seen == (DAY, START) and len(taught.novelty.prototypes) == 2
    assert taught.heard_s == pytest.approx(90, abs=1) and taught.unknown_share < 0.05


def test_what_teaches_nothing_is_left_out_by_reason() -> None:
    knocked = vibration(60)
    knocked[20 * RATE_HZ : 20 * RATE_HZ + 256] *= 6
    taught = listening(knocked, vibration(10, 0.05), vibration(20)).taught()
    assert set(taught.left_out) == {JUMP, NOT_RUNNING}
    assert 1 <= taught.left_out[JUMP] <= 4 and 19 <= taught.left_out[NOT_RUNNING] <= 21
    assert taught.not_seen == (DAY, POINT) and len(taught.points) == 1
    assert taught.windows + sum(taught.left_out.values()) == 90 * 2 - 1


def test_enough_was_seen_after_some_time_without_a_new_operating_point() -> None:
    steady = {"false_unknown_share": 0.2, "steady_s": 60.0}
    machine = listening(vibration(40), vibration(40, 2.0, -0.3), **steady)
    assert not machine.is_enough
    for block in blocks(vibration(90, 2.0, -0.3, seed=1), 80 * RATE_HZ):
        machine.take(block)
    assert machine.is_enough


def test_few_windows_are_not_enough_for_a_small_share() -> None:
    assert not listening(vibration(150), false_unknown_share=0.01, steady_s=30.0).is_enough
    assert listening(vibration(150), false_unknown_share=0.1, steady_s=30.0).is_enough


@pytest.mark.parametrize(
    "changes", [{"device_id": "fan"}, {"scale": 2**-13, "full_scale": 4.0}, {"axes": ("x", "z")}, {"unit": "m/s2"}]
)
def test_a_sensor_that_changes_is_refused(changes: dict[str, Any]) -> None:
    machine = listening(vibration(2))
    machine.take(replace(HELLO, session=2))
    with refused(LearningError, "sensor_changed", fields=tuple(changes)):
        machine.take(replace(HELLO, **changes))


def test_windows_with_lost_samples_are_left_out() -> None:
    machine = HealthyMachine(PUMP)
    machine.take(HELLO)
    for number, block in enumerate(blocks(vibration(40))):
        if number % 40:
            machine.take(replace(block, lost_before=BLOCK if number > 1 and number % 40 == 1 else 0))
    assert machine.taught().left_out == {LOST_SAMPLES: 2}


@pytest.mark.parametrize(("limits", "zone"), [((50.0, 90.0, 99.0), "A"), ((1e-3, 90.0, 99.0), "B")])
def test_a_machine_within_its_limits_is_learned(limits: tuple[float, float, float], zone: str) -> None:
    assert listening(vibration(40), limits=Limits(limits)).taught().zones == {zone: 1.0}


@pytest.mark.parametrize("limits", [(1e-3, 2e-3, 99.0), (1e-3, 2e-3, 3e-3)])
def test_a_machine_beyond_its_limits_is_not_learned(limits: tuple[float, float, float]) -> None:
    with refused(LearningError, "beyond_limits"):
        listening(vibration(40), limits=Limits(limits)).taught()


def test_limits_that_cannot_be_compared_are_said() -> None:
    machine = HealthyMachine(PUMP, limits=Limits((1.0, 2.0, 3.0)))
    machine.take(replace(HELLO, unit="counts"))
    for block in blocks(vibration(40)):
        machine.take(block)
    with refused(LearningError, "no_velocity"):
        machine.taught()


def test_nothing_came() -> None:
    with refused(LearningError, "no_sample"):
        HealthyMachine(PUMP).taught()


def test_a_name_that_no_bundle_can_have_is_refused_at_once() -> None:
    with refused(BundleError, "invalid_field", field="name"):
        HealthyMachine(replace(PUMP, name="a b"))


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_memory_is_bounded_and_the_windows_stay_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WINDOWS", 128)
    learner = Learner(4)
    for number in range(1000):
        learner.take(np.full((1, 64, 2), number, np.float32) + vibration(1)[None, :64].astype(np.float32), number)
    kept = learner.heard().means[:, 0].round()
    assert learner.windows == 1000 and 64 <= len(kept) < 128
    assert set(np.diff(kept)) == {kept[1] - kept[0]} and kept[-1] >= 1000 - 2 * (kept[1] - kept[0])
    assert len(learner.examples()) in range(32, 64)


def test_a_stretch_ends_with_a_pause_and_with_a_restart() -> None:
    learner = Learner(4)
    window = vibration(1)[None, :64].astype(np.float32)
    for time_s in (*range(100, 130), *range(145, 160), *range(20)):
        learner.take(window, time_s)
    assert learner.heard().stretches.tolist() == [0] * 30 + [1] * 15 + [2] * 20
