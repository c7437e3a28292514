"""The cost of a bundle on this machine: latency, throughput, memory, energy, and the number of sensors that fit.

Start time and first window are measured in a fresh process, whose main program is this module; memory is measured by
the process of the health gate.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from drsn_edge.errors import BundleError, DrsnEdgeError, GateError
from drsn_edge.gateway.health_gate import measured_apart
from drsn_edge.runtime.names import AUTO, RuntimeChoice
from drsn_edge.support.apart import ApartError, RefusedApartError, answer_apart, ask_apart

if TYPE_CHECKING:
    from drsn_edge.bundle.bundle import Bundle
    from drsn_edge.bundle.golden import Golden
    from drsn_edge.bundle.golden_novelty import GoldenNovelty
    from drsn_edge.runtime.classifier import Classifier
    from drsn_edge.signal.windows import FloatArray

TIMEOUT_S = 300.0
_WARM_UP, _WINDOWS, _MOST_S = 20, 2000, 5.0
_PIPELINE_STREAM_S = 20.0
_BLOCK_SAMPLES = 256
_USABLE = 0.7
"""Share of a core that sensors may use; the rest is for the system, for reading and for sinks."""

_RAPL = "sys/class/powercap/intel-rapl:0/energy_uj"

Progress = Callable[[str], object]


@dataclass(frozen=True)
class Benched:
    """The measurements of a bundle.

    Attributes:
        runtime: Name of the interpreter; None: the bundle has no network, and NumPy computes the novelty of windows.
        start_s: Time from the start of a process to the logits, or without a network the novelty, of the first window,
            in seconds.
        first_ms: Time of the first window, preprocessing included.
        latencies_ms: Times of warm windows, one after the other, preprocessing included, on one thread.
        windows_per_s: Windows per second by number of threads of the interpreter; without a network of one thread.
        memory_mb: Highest resident memory of interpreter and model, or without a network of novelty, in 10^6 bytes.
        process_mb: Highest resident memory of the whole process, in 10^6 bytes.
        energy_mj: Energy per window in millijoules; None if the machine does not measure it.
        operators_us: Median time per window by kind of operator in the NumPy engine; None if it does not run the model,
            or there is none.
        pipeline_share: Share of one core for one sensor at the contract's rate: windows, quality, classifier, decision.
        sensors: Number of such sensors that fit on all cores, with room for reading and sinks.
        budget_ms: Limit of the manifest for the time of 99 of 100 windows; None: no limit.
        budget_mb: Limit of the manifest for the memory, in 10^6 bytes; None: no limit.
    """

    runtime: str | None
    start_s: float
    first_ms: float
    latencies_ms: tuple[float, ...]
    windows_per_s: dict[int, float]
    memory_mb: float
    process_mb: float
    energy_mj: float | None
    operators_us: dict[str, float] | None
    pipeline_share: float
    sensors: int
    budget_ms: float | None
    budget_mb: float | None

    def quantile_ms(self, share: float) -> float:
        """Return the latency below which this share of windows stays, in ms."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def bench(path: Path, choice: RuntimeChoice = AUTO, progress: Progress = lambda what: None) -> Benched:
    """Measure a bundle.

    Args:
        path: File of the bundle.
        choice: Choice of the runtime.
        progress: Called with the name of each measurement as it begins.

    Raises:
        BundleError: If the file is not a bundle, or has no golden vectors.
        GateError: If the bundle does not run here.
    """
    from drsn_edge.bundle.open_model import classifier_of

    bundle, golden = _read(path)
    progress("starting")
    start_s, cold = _cold(path, choice)
    memory_mb = measured_apart(path, choice, TIMEOUT_S).memory_mb
    progress("latency")
    classifier = classifier_of(bundle, choice)
    judge, n = _judge_of(bundle, golden, classifier), len(golden.counts)
    latencies_ms = tuple(1000 * seconds for seconds in _timed(_one_by_one(judge), n))
    progress("threads")
    throughput = _throughput(bundle, golden, choice)
    progress("energy")
    act = _without_preprocessing(bundle, golden, classifier)
    energy_mj = _energy_mj(lambda: act(slice(None)), n)
    progress("operators")
    operators_us = _operators_us(bundle, golden)
    progress("pipeline")
    share = _pipeline_share(bundle, classifier, golden.windows())
    budget_ms, budget_mb = _budget(bundle)
    return Benched(
        runtime=None if classifier is None else classifier.runtime,
        start_s=start_s, first_ms=cold["first_ms"], latencies_ms=latencies_ms,
        windows_per_s=throughput, memory_mb=memory_mb, process_mb=cold["process_mb"], energy_mj=energy_mj,
        operators_us=operators_us, pipeline_share=share, sensors=_sensors(share), budget_ms=budget_ms,
        budget_mb=budget_mb,
    )  # fmt: skip


def _read(path: Path) -> tuple[Bundle, Golden | GoldenNovelty]:
    """Return a bundle and its golden windows, with which everything is measured."""
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.bundle.golden import golden_of
    from drsn_edge.bundle.golden_novelty import golden_novelty_of

    bundle = read_bundle(path)
    golden = golden_of(bundle) if bundle.manifest.has_network else golden_novelty_of(bundle)
    if golden is None:
        words = f"{path} has no golden vectors, with which it would be measured. Make it again with this version."
        raise BundleError(words, "no_golden_vectors", path=path)
    return bundle, golden


def _judge_of(
    bundle: Bundle, golden: Golden | GoldenNovelty, classifier: Classifier | None
) -> Callable[[slice], object]:
    """Return what judges some golden windows, preprocessing included: the classifier, or without one novelty."""
    from drsn_edge.bundle.golden import Golden
    from drsn_edge.bundle.open_model import novelty_of
    from drsn_edge.signal.network_input import network_input

    windows, contract = golden.windows(), bundle.manifest.contract
    if isinstance(golden, Golden):
        assert classifier is not None
        return lambda some: classifier.codes(network_input(windows[some], contract, golden.speeds_hz[some]))
    novelty = novelty_of(bundle)
    assert novelty is not None  # `read_bundle` refuses a bundle without network and novelty
    return lambda some: novelty.novelty(windows[some])


def _sensors(share: float) -> int:
    """Return how many sensors fit on all cores if each takes this share of one core."""
    return int((os.cpu_count() or 1) * _USABLE / share)


def _budget(bundle: Bundle) -> tuple[float | None, float | None]:
    """Return the limits of the manifest in ms and MB, each None if there is no limit."""
    budget = bundle.manifest.budget
    return (None, None) if budget is None else (budget.latency_ms, budget.memory_mb)


def _one_by_one(judge: Callable[[slice], object]) -> Callable[[int], object]:
    return lambda number: judge(slice(number, number + 1))


def _timed(act: Callable[[int], object], n: int) -> Iterator[float]:
    """Yield the seconds that each call takes, for at most `_WINDOWS` calls and about `_MOST_S` seconds."""
    for number in range(_WARM_UP):
        act(number % n)
    until_s = time.monotonic() + _MOST_S
    for number in range(_WINDOWS):
        began = time.perf_counter()
        act(number % n)
        yield time.perf_counter() - began
        if time.monotonic() > until_s:
            return


def _thread_counts() -> list[int]:
    cores = os.cpu_count() or 1
    return sorted({1, min(2, cores), cores})


def _throughput(bundle: Bundle, golden: Golden | GoldenNovelty, choice: RuntimeChoice) -> dict[int, float]:
    """Return windows per second by number of threads, without the preprocessing of a network."""
    from drsn_edge.bundle.open_model import classifier_of

    found = {}
    for threads in _thread_counts() if bundle.manifest.has_network else [1]:
        act = _without_preprocessing(bundle, golden, classifier_of(bundle, replace(choice, threads=threads)))
        times = list(_timed(_one_by_one(act), len(golden.counts)))
        found[threads] = len(times) / sum(times)
    return found


def _without_preprocessing(
    bundle: Bundle, golden: Golden | GoldenNovelty, classifier: Classifier | None
) -> Callable[[slice], object]:
    """Return the same as `_judge_of` for a network whose input is made beforehand."""
    from drsn_edge.bundle.golden import Golden

    if classifier is None or not isinstance(golden, Golden):
        return _judge_of(bundle, golden, classifier)
    inputs = golden.network_input(bundle.manifest.contract)
    return lambda some: classifier.codes(inputs[some])


def _energy_mj(act: Callable[[], object], windows: int, root: Path = Path("/")) -> float | None:
    """Return the millijoules per window by the processor's energy counter, which includes all other programs."""
    file = root / _RAPL
    try:
        before = int(file.read_text())
        until_s, count = time.monotonic() + 1.0, 0
        while time.monotonic() < until_s:
            act()
            count += windows
        spent_uj = int(file.read_text()) - before
    except (OSError, ValueError):
        return None
    return spent_uj / 1000 / count if spent_uj > 0 else None


def _operators_us(bundle: Bundle, golden: Golden | GoldenNovelty) -> dict[str, float] | None:
    from drsn_edge.bundle.golden import Golden
    from quantize.engine import Engine
    from quantize.errors import QuantizeError

    if not isinstance(golden, Golden):
        return None
    codes = golden.inputs_q
    try:
        engine = Engine(bundle.network)
    except QuantizeError:
        return None
    engine.step_times_s(codes[:1])
    runs = [engine.step_times_s(codes[window : window + 1]) for window in range(len(codes))]
    sums: dict[str, float] = defaultdict(float)
    for step in zip(*runs, strict=True):  # the median: one run in which another program had the core weighs nothing
        sums[step[0][0]] += 1e6 * median(seconds for _, seconds in step)
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def _pipeline_share(bundle: Bundle, classifier: Classifier | None, windows: FloatArray) -> float:
    """Return the CPU time of the monitor's stages per second of stream, made of some windows again and again."""
    import numpy as np

    from drsn_edge.bundle.open_model import novelty_of
    from drsn_edge.monitor.stages.judge import Judge, Model
    from drsn_edge.monitor.stages.pipeline import Monitor
    from firmware_bridge.wire.events import SampleBlock
    from firmware_bridge.wire.messages import Hello

    contract = bundle.manifest.contract
    rate_hz = contract.sample_rate_hz
    stream = np.concatenate(windows)
    scale = max(float(np.abs(stream).max()), 1e-30) / 16_000  # half of full scale
    counts = np.rint(stream / scale).astype(np.int16)
    speed_hz = 25.0 if contract.needs_speed else None
    monitor = Monitor(Judge(Model(bundle.manifest, classifier, novelty_of(bundle)), speed_hz=speed_hz))
    monitor.take(
        Hello(1, "bench", "0", "bench", contract.axes, contract.unit, scale, scale * 32_767, rate_hz)
    )  # fmt: skip
    blocks = [counts[at : at + _BLOCK_SAMPLES] for at in range(0, len(counts), _BLOCK_SAMPLES)]
    first, n, number = 0, int(_PIPELINE_STREAM_S * rate_hz), 0
    began = time.process_time()
    while first < n:
        samples = blocks[number % len(blocks)]
        monitor.take(SampleBlock(first, first / rate_hz, samples, 0))
        first, number = first + len(samples), number + 1
    return (time.process_time() - began) / (first / rate_hz)


# --- The fresh process ---------------------------------------------------------------------------------------------


def _cold(path: Path, choice: RuntimeChoice) -> tuple[float, dict[str, Any]]:
    """Return the seconds from the start of a process to its first window, and the measurements of that process."""
    arguments = (str(path), json.dumps(asdict(choice)))
    began = time.monotonic()  # the same clock in all processes, and it is never set
    try:
        values = ask_apart("drsn_edge.diagnostics.bench", *arguments, timeout_s=TIMEOUT_S)
    except RefusedApartError as exc:
        raise GateError(str(exc), exc.problem, **{**exc.facts, "path": path}) from exc
    except ApartError as exc:
        raise GateError(f"{path} does not run here: {exc}.", "crashed", path=path) from exc
    return values["first_at_s"] - began, values


def _first_window(path: Path, choice: RuntimeChoice) -> dict[str, Any]:
    from drsn_edge.bundle.open_model import classifier_of
    from drsn_edge.gateway.health_gate import memory_bytes

    bundle, golden = _read(path)
    judge = _judge_of(bundle, golden, classifier_of(bundle, choice, warm=False))
    began = time.perf_counter()
    judge(slice(1))
    first_ms, first_at_s = 1000 * (time.perf_counter() - began), time.monotonic()
    return {"first_ms": first_ms, "first_at_s": first_at_s, "process_mb": memory_bytes("VmHWM") / 1e6}


def main(arguments: list[str]) -> None:
    """Answer the measurements of the first window of a fresh process."""
    path, choice = arguments
    answer_apart(lambda: _first_window(Path(path), RuntimeChoice(**json.loads(choice))), (DrsnEdgeError,))


if __name__ == "__main__":
    main(sys.argv[1:])
