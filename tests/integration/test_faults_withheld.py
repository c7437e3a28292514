"""Real recordings through the virtual accelerometer with every fault there is: no window is judged that is not whole.

The classifier here names a class for whatever it is shown, so that each window that is not withheld counts. What it was
shown must be what the sensor measured, sample by sample.
"""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.monitor.stages.judge import Judge, Model
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.results import Summary, WindowResult
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.runtime.tensor import TensorSpec
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.windows import Scaling
from drsn_edge.simulation.virtual_sensor import Playback, full_scale_for, virtual_sensor
from drsn_edge.verdicts import CLIPPED, FLAT_LINE, LOST_SAMPLES, RATE_OFF, Verdict
from firmware_bridge.sources.serial_port import SerialSource
from firmware_bridge.sources.threaded import Threaded
from firmware_bridge.virtual.fault_script import parse_script
from firmware_bridge.virtual.faults import FaultInjector

pytestmark = pytest.mark.integration

SPEED = 5.0
SCRIPT = """
flip 1e-6
drop-byte 2e-7
repeat-byte 2e-7
drop-frame 0.0005
repeat-frame 0.0005
garbage at 3 for 0.4
stall at 5 for 1
unplug at 8 for 0.5
overrun 80 at 11
overrun 1 at 11.7
clip 0.3 at 13 for 2
stuck 0 at 17 for 1.5
clock-step 0.2 at 21
rate 0.1 at 25
"""
SECONDS = 30.0
INVISIBLE = 0.01
"""Share of a window's samples that an amplifier may flatten unseen, well below the sensor's full scale."""
CLIP_EDGES_S = (13.0, 15.0)
PTY_BYTES = 4096
NAMED = {LOST_SAMPLES, CLIPPED, FLAT_LINE, RATE_OFF}


class Sure:
    """Calls everything by the first name, and keeps what it was shown."""

    def __init__(self, window: int, axes: int) -> None:
        self.input = TensorSpec("window", (1, 1, window, axes), 0.05, 0)
        self.output = TensorSpec("logits", (1, 2), 0.1, 0)

    def logits(self, inputs: Any) -> Any:
        return np.array([[9.0, 0.0]] * len(inputs), np.float32)


def long_enough(recordings: list[Recording]) -> Recording:
    """Return recordings one behind the other; each has its own offset, which would count as a jump."""
    first = recordings[0]
    parts = [(each.samples - each.samples.mean(axis=0)).astype(np.float32) for each in recordings]
    samples = np.concatenate(parts)[: round(SECONDS * first.sample_rate_hz)]
    return replace(first, samples=samples, name="real")


@pytest.mark.parametrize(("data", "window"), [("cwru", 1024), ("adi_mfs_mems", 2048)])
def test_no_verdict_is_given_from_a_damaged_window(shared_data: Path, tmp_path: Path, data: str, window: int) -> None:
    recording = long_enough(load_recordings(shared_data / data))
    contract = SignalContract(
        recording.sample_rate_hz, recording.axes, recording.unit, window, window // 2, Scaling("fixed", 1.0)
    )
    sure = Sure(window, len(recording.axes))
    manifest = Manifest("sure", "1.0.0", contract, ("a", "b"), sure.input, (sure.output,), {}, "tests")
    shown: list[Any] = []
    monitor = Monitor(Judge(Model(manifest, sure), keep=lambda samples: shown.append(samples[0])))  # type: ignore[arg-type]
    truth: list[dict[str, Any]] = []
    injector = FaultInjector(parse_script(SCRIPT.splitlines()), 3, truth.append)
    sensor = virtual_sensor(recording, Playback(speed=SPEED), link=tmp_path / "port", faults=injector)
    source = Threaded(lambda stop, on_bytes: SerialSource(sensor.port, stop=stop, on_bytes=on_bytes), lambda: False)
    thread = threading.Thread(target=sensor.run)
    thread.start()
    results = list(monitor.run(source, lambda: source.counters))
    thread.join()

    scale = full_scale_for(recording.samples) / 32768
    measured = np.rint(recording.samples.astype(np.float64) / scale)
    windows = [result for result in results if isinstance(result, WindowResult)]
    judged = [each for each in windows if each.verdict is Verdict.CLASS]
    assert len(judged) == len(shown) > 0.4 * len(windows)
    wrong = []
    for result, samples in zip(judged, shown, strict=True):
        as_measured = measured[result.first_sample : result.first_sample + window]
        changed = int((np.rint(samples / scale) != as_measured).sum(axis=0).max())
        at_s = result.first_sample / contract.sample_rate_hz
        # A level at which an amplifier clips does not begin in the middle of a window, as this fault does.
        begins_inside = any(at_s < edge_s < at_s + contract.window_s for edge_s in CLIP_EDGES_S)
        if changed > INVISIBLE * window and not begins_inside:
            wrong.append((round(at_s, 3), changed))
    assert wrong == []
    summary = results[-1]
    assert isinstance(summary, Summary)
    # What was on its way when the plug was pulled, a pty's buffer at most, was sent whole and never read.
    on_its_way = summary.samples_lost - injector.totals.samples_lost
    assert 0 <= on_its_way <= PTY_BYTES // (2 * len(recording.axes))
    assert injector.totals.samples_lost > 1000
    assert summary.samples_received + summary.samples_lost == injector.totals.samples_produced
    assert {each.reason for each in windows} >= NAMED
    at_new_rate = [each for each in windows if each.device_time_s > 27.7]
    assert at_new_rate and all(each.verdict is Verdict.NO_VERDICT for each in at_new_rate)
    assert {each["kind"] for each in truth if each["type"] == "fault"} >= {"garbage", "stall", "unplug", "overrun"}
    json.dumps(truth)
