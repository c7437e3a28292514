"""The whole chain without hardware: simulate machines, train, convert, and monitor a virtual sensor.

The monitored machine is not in the training data: it has its own seed, speed and resonance.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drsn_edge import __version__
from drsn_edge.bundle.bundle import Bundle
from drsn_edge.errors import DemoError
from drsn_edge.monitor.stages.judge import Judge, model_of
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.results import Decision, Result, Summary, WindowResult
from drsn_edge.recordings.recording import Recording
from drsn_edge.simulation.machine import ADXL345, AXES, Condition, Machine
from drsn_edge.simulation.simulator import DEFAULT_SAMPLE_RATE_HZ, VibrationSimulator, simulate_dataset
from drsn_edge.verdicts import Verdict
from firmware_bridge.sources.serial_port import SerialSource
from firmware_bridge.virtual.accelerometer import VirtualAccelerometer
from firmware_bridge.wire.events import SampleBlock, SourceEvent
from firmware_bridge.wire.messages import Hello

CLASSES = ("healthy", "outer_race", "inner_race", "imbalance")
"""The classes of the demo's network."""

PHASES = ("healthy", "outer_race", "imbalance")
"""The conditions of the monitored machine, in order."""

PHASE_S = 6.0
TRAINING_MACHINES = 12
TRAINING_S = 8.0
HOLD_OUT = "machine=1"
_CHUNK_SAMPLES = 320


@dataclass(frozen=True)
class Phase:
    """One condition of the monitored machine, and when the monitor recognised it.

    Attributes:
        label: The condition.
        start_s: Device time of its start, in s.
        end_s: Device time of its end, in s.
        delay_s: Time from its start to the end of the window that made the decision correct, in s; None if the decision
            is not correct at the end of the phase.
    """

    label: str
    start_s: float
    end_s: float
    delay_s: float | None


@dataclass(frozen=True)
class DemoResult:
    """The result of monitoring the virtual sensor.

    Attributes:
        phases: One phase for each condition.
        results: All results of the monitor.
        accel_g: The received samples, shape (n, 3), in g.
        sample_rate_hz: Sampling rate of the samples.
        window_s: Length of a window, in s; its verdict is known at its end.
    """

    phases: tuple[Phase, ...]
    results: tuple[Result, ...]
    accel_g: NDArray[np.float32]
    sample_rate_hz: float
    window_s: float

    @property
    def summary(self) -> Summary:
        """The monitor's summary of the stream."""
        return next(result for result in self.results if isinstance(result, Summary))


def training_recordings(seed: int, progress: Callable[[int, int], None] | None = None) -> list[Recording]:
    """Return the simulated recordings of `TRAINING_MACHINES` machines in every class."""
    return simulate_dataset(CLASSES, TRAINING_MACHINES, TRAINING_S, seed, progress)


def watched_machine(seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield the vibration of a machine in all `PHASES`, in chunks of shape (n, 3), in g."""
    machine = Machine(rpm=1525.0, resonance_hz=1065.0)
    simulator = VibrationSimulator(machine, Condition(PHASES[0]), DEFAULT_SAMPLE_RATE_HZ, seed)
    for label in PHASES:
        simulator.set_condition(Condition.typical(label))
        for _ in range(round(PHASE_S * DEFAULT_SAMPLE_RATE_HZ / _CHUNK_SAMPLES)):
            yield simulator.samples(_CHUNK_SAMPLES)


def watch(
    bundle: Bundle, seed: int, link: Path, take: Callable[[Result], None], speed: float | None = 1.0
) -> DemoResult:
    """Stream the monitored machine through a pseudo-terminal, and monitor that port.

    Args:
        bundle: Bundle to monitor with.
        seed: Seed of the machine.
        link: Path of a symbolic link to the virtual port.
        take: Called with each result as it arrives.
        speed: Speed as a multiple of real time; None: as fast as the port is read.
    """
    sensor = VirtualAccelerometer(_hello(), watched_machine(seed), link=link, speed=speed)
    source = SerialSource(sensor.port)
    blocks: list[SampleBlock] = []
    results: list[Result] = []
    monitor = Monitor(Judge(model_of(bundle)))
    done = threading.Event()
    device = threading.Thread(target=sensor.run, args=(done.is_set,), name="virtual accelerometer")
    device.start()
    try:
        for result in monitor.run(_keep_blocks(source, blocks), lambda: source.counters):
            results.append(result)
            take(result)
    finally:
        done.set()
        device.join()
    accel_g = np.concatenate([block.samples for block in blocks]) * np.float32(ADXL345.lsb_g)
    window_s = bundle.manifest.contract.window / DEFAULT_SAMPLE_RATE_HZ
    phases = tuple(judge_phases(results, window_s))
    return DemoResult(phases, tuple(results), accel_g, DEFAULT_SAMPLE_RATE_HZ, window_s)


def judge_phases(results: Iterable[Result], window_s: float) -> list[Phase]:
    """Compare the decisions with the simulated conditions.

    A phase is recognised if the decision is correct at its end. Its delay is the time from the start of the phase to
    the end of the window that made the decision correct until the end of the phase.
    """
    decisions = [result for result in results if isinstance(result, Decision)]
    phases = []
    for index, label in enumerate(PHASES):
        start_s, end_s = index * PHASE_S, (index + 1) * PHASE_S
        until_end = [decision for decision in decisions if _known_at_s(decision, window_s) <= end_s]
        last = until_end[-1] if until_end else None
        right = last is not None and last.window.verdict is Verdict.CLASS and last.window.label == label
        delay_s = max(0.0, _known_at_s(last, window_s) - start_s) if right and last else None
        phases.append(Phase(label, start_s, end_s, delay_s))
    return phases


def check_recognised(result: DemoResult) -> None:
    """Raise DemoError unless each phase was recognised and no sample was lost."""
    missed = [phase.label for phase in result.phases if phase.delay_s is None]
    if missed:
        raise DemoError(
            f"The monitor did not recognise these simulated conditions: {', '.join(missed)}. Run the demo again with "
            "another --seed.",
            "not_recognised",
            conditions=missed,
        )
    produced = round(len(PHASES) * PHASE_S * result.sample_rate_hz)
    summary = result.summary
    if summary.samples_received != produced or summary.samples_lost:
        raise DemoError(
            f"The virtual sensor sent {produced} samples; the monitor received {summary.samples_received} and counted "
            f"{summary.samples_lost} as lost. Run the demo again on a machine that is less busy.",
            "samples",
            expected=produced,
            received=summary.samples_received,
            lost=summary.samples_lost,
        )


def windows_of(result: DemoResult) -> list[WindowResult]:
    """Return the window results in order."""
    return [item for item in result.results if isinstance(item, WindowResult)]


def _known_at_s(decision: Decision, window_s: float) -> float:
    return decision.window.device_time_s + window_s


def _keep_blocks(source: Iterable[SourceEvent], blocks: list[SampleBlock]) -> Iterator[SourceEvent]:
    for event in source:
        if isinstance(event, SampleBlock):
            blocks.append(event)
        yield event


def _hello() -> Hello:
    return Hello(
        session=0,
        device_id="virtual:demo",
        firmware_version=__version__,
        sensor_model="ADXL345 (simulated)",
        axes=AXES,
        unit="g",
        scale=ADXL345.lsb_g,
        full_scale=ADXL345.range_g,
        sample_rate_hz=DEFAULT_SAMPLE_RATE_HZ,
    )
