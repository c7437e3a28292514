"""A sensor made of events and a classifier that is told what to see: the monitor without wire and without model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.promise import Promise
from drsn_edge.bundle.votes import Votes
from drsn_edge.monitor.stages.alarms import AlarmSettings
from drsn_edge.monitor.stages.capture import Capture
from drsn_edge.monitor.stages.judge import Judge, Model
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.results import Decision, Result, WindowResult
from drsn_edge.monitor.stages.settings import MonitorSettings
from drsn_edge.monitor.stages.stream_state import HostClock
from drsn_edge.runtime.tensor import TensorSpec
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.novelty import Novelty
from drsn_edge.verdicts import Verdict
from firmware_bridge.wire.events import SampleBlock, SourceEvent
from firmware_bridge.wire.messages import Hello

AMPLITUDES = {"calm": (100, 100), "worn": (100, 1000), "loud": (1000, 100)}
"""Counts of noise on x and y by which FakeClassifier tells the labels apart."""


class FakeClassifier:
    """Tells the label by which axis is stronger, and keeps what it was shown."""

    input = TensorSpec("window", (1, 1, 64, 2), 0.05, 0)
    output = TensorSpec("logits", (1, 3), 0.1, 0)

    def __init__(self) -> None:
        self.seen: list[NDArray[np.float32]] = []

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        self.seen += list(inputs)
        x, y = inputs.std(axis=(1, 2)).T
        return np.stack([np.full(len(x), 2.0), 4.0 * (y > 3 * x), 4.0 * (x > 3 * y)], axis=1).astype(np.float32)


@dataclass
class FakeSensor:
    """Makes the events of a sensor with two axes, and keeps every sample that it made."""

    scale: float = 16 / 2**15
    full_scale: float = 16.0
    sample_rate_hz: float = 4000.0
    true_sample_rate_hz: float = 4000.0
    unit: str = "g"
    axes: tuple[str, ...] = ("x", "y")
    session: int = 1
    position: int = 0
    lost: int = 0
    samples_lost: int = 0
    device_time_s: float = 0.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def hello(self) -> Hello:
        return Hello(
            self.session, "bench", "1.0.0", "fake", self.axes, self.unit, self.scale, self.full_scale,
            self.sample_rate_hz,
        )  # fmt: skip

    def block(self, label: str = "calm", n: int = 32) -> SampleBlock:
        amplitudes = AMPLITUDES[label]
        return self.counts((self.rng.normal(size=(n, 2)) * amplitudes).clip(-9000, 9000).astype(np.int16))

    def counts(self, counts: NDArray[np.int16]) -> SampleBlock:
        block = SampleBlock(self.position, self.device_time_s, counts, self.lost)
        self._pass(len(counts))
        self.lost = 0
        return block

    def blocks(self, label: str, windows: int) -> list[SampleBlock]:
        """Return blocks of one hop each."""
        return [self.block(label) for _ in range(windows)]

    def lose(self, n: int) -> None:
        self.lost += n
        self.samples_lost += n
        self._pass(n)

    def _pass(self, n: int) -> None:
        self.position += n
        self.device_time_s += n / self.true_sample_rate_hz

    def restart(self) -> None:
        self.session += 1
        self.position, self.lost, self.device_time_s = 0, 0, 0.0


@dataclass
class Bench:
    """A monitor on the bench, with a clock that only moves when told."""

    monitor: Monitor
    classifier: FakeClassifier
    clock: list[float]

    def take(self, *events: SourceEvent | Iterable[SourceEvent]) -> list[Result]:
        flat: list[Any] = []
        for event in events:
            flat += event if isinstance(event, list) else [event]
        return [result for event in flat for result in self.monitor.take(event)]

    def wait(self, seconds: float) -> None:
        self.clock[0] += seconds


@pytest.fixture(scope="session")
def new_classifier() -> type[FakeClassifier]:
    return FakeClassifier


@pytest.fixture
def sensor() -> FakeSensor:
    return FakeSensor()


@pytest.fixture(scope="session")
def new_sensor() -> type[FakeSensor]:
    return FakeSensor


@pytest.fixture(scope="session")
def manifest(tiny_contract: SignalContract) -> Manifest:
    fake, labels = FakeClassifier, tuple(AMPLITUDES)
    return Manifest(
        "fake", "1.0.0", tiny_contract, labels, fake.input, (fake.output,), {}, "tests", noise_limit=1.0
    )  # its sensor sends noise


@pytest.fixture(scope="session")
def new_bench(manifest: Manifest) -> Callable[..., Bench]:
    def make(
        votes: Votes | None = None,
        novelty: Novelty | None = None,
        alarms: AlarmSettings | None = None,
        capture: Capture | None = None,
        lag_s: Callable[[], float] = lambda: 0.0,
        promise: Promise | None = None,
        at_most_wrong: float | None = None,
        **changes: Any,
    ) -> Bench:
        classifier, clock = FakeClassifier(), [0.0]
        changed = replace(manifest, contract=replace(manifest.contract, **changes), promise=promise)
        model = Model(changed, classifier, novelty)  # type: ignore[arg-type]
        judge = Judge(model, MonitorSettings(votes or Votes(), alarms, at_most_wrong=at_most_wrong))
        monitor = Monitor(judge, HostClock(lambda: clock[0], lag_s), capture=capture)
        return Bench(monitor, classifier, clock)

    return make


@pytest.fixture
def bench(new_bench: Callable[..., Bench]) -> Bench:
    return new_bench()


@pytest.fixture
def windows_of() -> Callable[[Iterable[Result]], list[WindowResult]]:
    return lambda results: [result for result in results if isinstance(result, WindowResult)]


@pytest.fixture
def said() -> Callable[[Iterable[Result]], list[str | None]]:
    """Return what each decision says: its label or its reason."""
    return lambda results: [result.window.state[1] for result in results if isinstance(result, Decision)]


@pytest.fixture(scope="session")
def window_result() -> Callable[..., WindowResult]:
    """Make a window result: of a label, or of NO_VERDICT with a reason."""

    def make(label: str | None = None, reason: str | None = None, at: float = 0.0) -> WindowResult:
        verdict = Verdict.CLASS if label else Verdict.NO_VERDICT
        scores = {label: 0.8, "other": 0.2} if label else None
        return WindowResult(round(at * 100), at, verdict, label, scores, reason, 0)

    return make
