"""However a stream is sliced, live or replayed, its results are the same bits: with every fault of the injector."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.promise import Promise, RiskPoint
from drsn_edge.bundle.votes import Votes
from drsn_edge.datasets.anti_alias import design_decimation
from drsn_edge.monitor.stages import coverage
from drsn_edge.monitor.stages.alarms import AlarmLimits, AlarmSettings
from drsn_edge.monitor.stages.capture import Capture
from drsn_edge.monitor.stages.judge import Judge, Model
from drsn_edge.monitor.stages.pipeline import ACKNOWLEDGE, Monitor
from drsn_edge.monitor.stages.results import Alarm, Coverage, Decision, Result, Severity, WindowResult
from drsn_edge.monitor.stages.settings import CaptureSettings, MonitorSettings
from drsn_edge.monitor.stages.severity_limits import SeverityConfig
from drsn_edge.monitor.stages.severity_meter import SeverityMeter
from drsn_edge.recordings.recorder import LogKeeper
from drsn_edge.runtime.tensor import TensorSpec
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.mounting import Mounting, features
from drsn_edge.signal.novelty import Novelty, References
from drsn_edge.signal.spectra import Spectra
from drsn_edge.signal.windows import Scaling, centre
from drsn_edge.verdicts import LOST_SAMPLES, NOT_RUNNING, OFFSET_JUMPED, RATE_OFF, REPEATED, STUCK_BIT, WRAPPED
from firmware_bridge.sources.arrivals import Arrival
from firmware_bridge.sources.replay import ReplaySource
from firmware_bridge.sources.serial_port import SerialSource
from firmware_bridge.virtual.accelerometer import VirtualAccelerometer
from firmware_bridge.virtual.fault_script import KINDS, parse_script
from firmware_bridge.virtual.faults import FaultInjector
from firmware_bridge.wire.events import LinkLost, LinkRestored, Note, SampleBlock, SourceEvent
from firmware_bridge.wire.messages import Hello

LEANING = np.array([0.0, 3.0, 0.0], np.float32)
"""Added to logits, so that most windows are of one class and raise an alarm."""

PROMISE = Promise(1.5, "another seed", 3, 100, (RiskPoint(0.6, 0.1, 0.8, 0.9),))
"""Makes some of the windows UNSURE."""

RATE_HZ, SECONDS, AXES = 4000.0, 19.0, ("x", "y", "z")
HELLO = Hello(1, "bench", "1", "bench", AXES, "g", 16 / 32768, 16.0, RATE_HZ)
SCRIPT = """
flip 2e-6
drop-byte 2e-7
repeat-byte 2e-7
drop-frame 0.0005
repeat-frame 0.0005
clock-drift 0.001 at 1
garbage at 2 for 0.1
stall at 3 for 0.5
unplug at 4 for 0.2
overrun 80 at 5.4
overrun 1 at 5.8
clip 0.1 at 6.3 for 0.5
stuck 0 at 7 for 0.5
swap 0 at 7.7 for 1
bit 5 at 9 for 0.4
wrap 9 at 9.6 for 0.4
freeze 300 at 10.2 for 0.4
clock-step 0.2 at 13
rate 0.05 at 16
"""


def machine(seed: int = 0, n: int = round(SECONDS * RATE_HZ)) -> np.ndarray[Any, Any]:
    """Return a machine in g, shape (n, 3), that stands still for a while; z hangs down."""
    rng, time_s = np.random.default_rng(seed), np.arange(n) / RATE_HZ
    tones = sum(a * np.sin(2 * np.pi * f * time_s + f) for f, a in ((49, 0.3), (147, 0.2), (611, 0.25), (1303, 0.1)))
    runs = np.where((time_s > 11) & (time_s < 12.5), 0.01, 1.0)
    mixed = np.stack([tones, 0.5 * np.roll(tones, 7), 0.3 * tones], axis=1) + 0.05 * rng.normal(size=(n, 3))
    return (mixed * runs[:, None] + np.array([0.0, 0.0, 1.0])).astype(np.float32)


class Exact:
    """Names a class by the bits of a window's input, so that one other bit anywhere is another result."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.input = TensorSpec("window", (1, 1, *shape), 0.05, 0)
        self.output = TensorSpec("logits", (1, 3), 0.1, 0)

    def logits(self, inputs: Any) -> Any:
        sums = [crc32(np.ascontiguousarray(each).tobytes()) for each in inputs]
        return np.array([[(each >> shift & 255) / 64 for shift in (0, 8, 16)] for each in sums], np.float32) + LEANING


def novelty_for(contract: SignalContract, site: bool) -> Novelty:
    """Return a novelty detection that finds some windows of `machine` unknown and some turned."""
    rng = np.random.default_rng(3)
    n_windows = 12
    windows = machine(1, contract.window * n_windows).reshape(n_windows, contract.window, 3)
    size, lines = 24 * 3, 24
    whitening = (rng.normal(size=(size, size)) / 8).astype(np.float32)
    plain = Novelty(lines, whitening, np.zeros((1, size), np.float32), np.ones(1, np.float32), 0.1, 1.0)
    prototypes = plain.whitened(windows[:6])
    limit = 1.3 * float(np.median(replace(plain, prototypes=prototypes).distances(windows[6:])))
    known = replace(
        plain,
        prototypes=prototypes,
        limits=np.full(6, limit, np.float32),
        gravity=1.0,
        mounting=Mounting(features(windows[:6]), limit=0.8),
    )
    if not site:
        return known
    limits, levels = np.full(3, limit, np.float32), np.ones(3)
    own = References(
        plain.whitened(windows[6:9]), limits, levels, 0.1, 1.0, centre(windows).means[0], features(windows[6:9])
    )
    return known.with_references(own)


def contracts() -> Iterator[tuple[SignalContract, float | None]]:
    """Yield contracts of all kinds, each with the speed of its shaft."""
    waveform = SignalContract(RATE_HZ, AXES, "g", 1024, 512, Scaling())
    yield waveform, None
    yield replace(waveform, window=512, hop=300, scaling=Scaling("fixed", 0.5)), None  # too short for one noise check
    size = len(AXES) * 5
    every = Spectra(means=(-1.0,) * size, deviations=(0.7,) * size)
    yield replace(waveform, window=1000, hop=250, spectra=Spectra(("bands",), 100)), None
    yield replace(waveform, spectra=every), 24.5
    yield replace(waveform, sample_rate_hz=RATE_HZ / 2, decimation=design_decimation()), None
    yield replace(waveform, sample_rate_hz=RATE_HZ * 1.015), None  # resampled by interpolation


@pytest.fixture(autouse=True)
def few_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let coverage be off after fewer windows than it takes in use; the stream has not so many."""
    monkeypatch.setattr(coverage, "WINDOWS", 40)


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Arrival], Path]:
    """Return the events of a sensor with every fault there is, with their times, and the raw log of its bytes."""
    folder = tmp_path_factory.mktemp("stream")
    log = LogKeeper(folder, "run")
    sensor = VirtualAccelerometer(
        HELLO, iter([machine()]), link=folder / "port", speed=None,
        faults=FaultInjector(parse_script(SCRIPT.splitlines()), 3),
    )  # fmt: skip
    thread = threading.Thread(target=sensor.run)
    thread.start()
    events: list[SourceEvent] = []
    for event in SerialSource(sensor.port, on_bytes=log.write, reopen_after_s=0.02):
        log.take(event)
        events.append(event)
        if len(events) == 400:
            events.append(Note(ACKNOWLEDGE))
    thread.join()
    log.close()
    return [*timed(events)], folder


def timed(events: Sequence[SourceEvent]) -> Iterator[Arrival]:
    """Give events times as if the sensor had sent them in real time: a wait shows as a gap."""
    now_s = 100.0
    for event in events:
        if isinstance(event, SampleBlock):
            now_s = max(now_s, 100.0 + event.device_time_s + len(event.samples) / RATE_HZ)
        elif isinstance(event, LinkRestored):
            now_s += 3.5  # until a decision is too old
        now_s += 1e-4
        yield Arrival(event, now_s, 1.8e9 + now_s)


def monitor_for(
    contract: SignalContract, speed_hz: float | None, folder: Path, *, site: bool = False, capture: bool = True
) -> Monitor:
    fake = Exact(contract.input_shape)
    manifest = Manifest(
        "exact", "1.0.0", contract, ("a", "b", "c"), fake.input, (fake.output,), {}, "tests", promise=PROMISE
    )
    alarms = AlarmSettings(("a",), windows=4, limits=AlarmLimits(0.4, 0.2, 0.5, 0.5))
    model = Model(manifest, fake, novelty_for(contract, site))  # type: ignore[arg-type]
    judge = Judge(model, MonitorSettings(Votes(2, 3), alarms, at_most_wrong=0.1), speed_hz)
    captures = Capture(CaptureSettings(str(folder), 0.5, 0.5), "m") if capture else None
    return Monitor(judge, severity=SeverityMeter(SeverityConfig(), speed_hz), capture=captures)


def results_of(monitor: Monitor, slices: Sequence[Sequence[Arrival]]) -> list[tuple[float, str]]:
    """Return every result with the time of its event, every bit of its numbers included."""
    return [
        (arrival.time_s, exactly(result))
        for taken in slices
        for arrival, results in monitor.take_slice(taken)
        for result in results
    ]


def exactly(result: Result) -> str:
    if isinstance(result, Decision):
        return f"Decision {result.since!r} {exactly(result.window)}"
    return f"{type(result).__name__} {vars(result)!r}"


def files_of(folder: Path) -> list[bytes]:
    """Return the captured frames; the number of a log is drawn at random."""
    sources = [ReplaySource([path]) for path in sorted(folder.glob("*.drsnlog"))]
    return [repr([(each.time_ns, told(each.event)) for each in source.timed()]).encode() for source in sources]


def told(event: SourceEvent) -> Any:
    if isinstance(event, SampleBlock):
        return event.first_sample, event.device_time_s, event.samples.tobytes(), event.lost_before, event.overrun
    return event


def test_the_stream_has_every_fault_and_every_kind_of_event(stream: tuple[list[Arrival], Path], tmp_path: Path) -> None:
    arrivals, _ = stream
    assert {line.split()[0] for line in SCRIPT.split("\n") if line} == set(KINDS)
    assert {type(each.event) for each in arrivals} >= {Hello, SampleBlock, LinkLost, LinkRestored, Note}
    (contract, speed_hz), *_ = contracts()
    monitor = monitor_for(contract, speed_hz, tmp_path)
    results = [each for _, found in monitor.take_slice(arrivals) for each in found]
    assert {type(each) for each in results} == {WindowResult, Decision, Alarm, Coverage, Severity}
    reasons = {each.reason for each in results if isinstance(each, WindowResult)}
    assert reasons >= {LOST_SAMPLES, NOT_RUNNING, OFFSET_JUMPED, RATE_OFF, REPEATED, STUCK_BIT, WRAPPED, None}
    assert all(monitor.stream.counts.verdicts.values()), monitor.stream.counts.verdicts


@pytest.mark.parametrize("number", range(len([*contracts()])))
def test_no_result_depends_on_the_slicing(
    stream: tuple[list[Arrival], Path], number: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    arrivals, _ = stream
    contract, speed_hz = [*contracts()][number]

    def judged(slices: Sequence[Sequence[Arrival]]) -> tuple[list[tuple[float, str]], list[bytes]]:
        folder = tmp_path_factory.mktemp("captures")
        monitor = monitor_for(contract, speed_hz, folder, site=number % 2 == 1)
        found = results_of(monitor, slices)
        return found, files_of(folder)

    one_by_one = judged([[each] for each in arrivals])
    assert len(one_by_one[0]) > 80 and len(one_by_one[1]) > 0

    @settings(
        max_examples=2,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.randoms(use_true_random=False), st.sampled_from((3, 60, 600)))
    def agrees(random: Any, longest: int) -> None:
        slices, at = [], 0
        while at < len(arrivals):
            n = random.randint(1, longest)
            slices.append(arrivals[at : at + n])
            at += n
        assert judged(slices) == one_by_one

    agrees()


def test_a_replay_says_what_was_said_live(stream: tuple[list[Arrival], Path], tmp_path: Path) -> None:
    arrivals, folder = stream
    (contract, speed_hz), *_ = contracts()
    logs = sorted(folder.glob("*.drsnlog"))
    ways: dict[str, Iterable[Sequence[Arrival]]] = {
        "events": ([each] for each in timed([*ReplaySource(logs)])),
        "slices": ReplaySource(logs).slices(0.05),
        "seconds": ReplaySource(logs).slices(2.0),
    }
    found = {}
    for name, slices in ways.items():
        monitor = monitor_for(contract, speed_hz, tmp_path, capture=False)
        windows = [
            exactly(each)
            for taken in slices
            for _, results in monitor.take_slice(taken)
            for each in results
            if isinstance(each, WindowResult)
        ]
        found[name] = windows
    live = monitor_for(contract, speed_hz, tmp_path, capture=False)
    said = [text for _, text in results_of(live, [arrivals]) if text.startswith("WindowResult")]
    assert found["events"] == found["slices"] == found["seconds"] == said


def test_a_bundle_that_is_swapped_between_slices_loses_and_doubles_no_window(
    stream: tuple[list[Arrival], Path], tmp_path: Path
) -> None:
    arrivals, _ = stream
    (contract, speed_hz), *_ = contracts()
    whole = starts_of(results_of(monitor_for(contract, speed_hz, tmp_path, capture=False), [arrivals]))
    for at in (150, 301, 640):
        monitor = monitor_for(contract, speed_hz, tmp_path, capture=False)
        other = monitor_for(contract, speed_hz, tmp_path, capture=False, site=True)
        found = results_of(monitor, [arrivals[:at]])
        monitor.swap(other.judge, SeverityMeter(SeverityConfig(), speed_hz))
        found += results_of(monitor, [arrivals[at:]])
        assert starts_of(found) == whole
        assert sum(monitor.stream.counts.verdicts.values()) == len(whole)


def starts_of(results: Sequence[tuple[float, str]]) -> list[str]:
    """Return where each window begins, by index and by time."""
    return [text.partition("'verdict'")[0] for _, text in results if text.startswith("WindowResult")]
