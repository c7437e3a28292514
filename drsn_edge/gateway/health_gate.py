"""The health gate: does this machine, with its own interpreter, run a bundle as the manifest says?

The bundle runs in a process of its own, so that a model that crashes its interpreter, uses up the memory or never
returns harms nothing else. This module is also the main program of that process, which measures and does not judge.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drsn_edge.errors import BundleError, DrsnEdgeError, GateError
from drsn_edge.runtime.names import AUTO, RuntimeChoice
from drsn_edge.support.apart import ApartError, RefusedApartError, TimeoutApartError, answer_apart, ask_apart

if TYPE_CHECKING:
    from drsn_edge.bundle.bundle import Bundle
    from drsn_edge.signal.windows import FloatArray

TIMEOUT_S = 120.0
_RUNS, _WARM_UP = 200, 5
_MOST_S = 2.0
_ROOM_BYTES = 1 << 30
"""Memory that the process may use beyond the budget, for Python and its libraries."""


@dataclass(frozen=True)
class Measured:
    """Measurements of a bundle on this machine.

    Attributes:
        runtime: Name of the interpreter; None: the bundle has no network.
        windows: Number of golden vectors.
        reference_differs: Number of logits that the NumPy engine computes differently; None: it does not run the model,
            or there is none.
        rms_lsb: Deviation of the interpreter from the golden vectors, RMS over all logits, in int8 steps; None without
            a network.
        worst_lsb: Largest deviation of one logit, in int8 steps; None without a network.
        worst_novelty: Largest deviation of a novelty from the golden ones, in multiples of the limit of novelty; None
            with a network. See `GoldenNovelty.deviation`.
        latency_ms: Median time per window, preprocessing included.
        latency_p99_ms: Time that 99 of 100 windows keep, preprocessing included.
        memory_mb: Highest resident memory of interpreter and model, in 10^6 bytes; without a network that of novelty.
    """

    runtime: str | None
    windows: int
    reference_differs: int | None
    rms_lsb: float | None
    worst_lsb: int | None
    worst_novelty: float | None
    latency_ms: float
    latency_p99_ms: float
    memory_mb: float

    @property
    def by(self) -> str:
        """What judged the windows: the interpreter, or NumPy for novelty alone."""
        return self.runtime or "NumPy"


def measure(path: Path, choice: RuntimeChoice) -> Measured:
    """Run a bundle's golden vectors in this process, once per process: memory is measured at its peak.

    Raises:
        DrsnEdgeError: If the file is not a bundle, it has no golden vectors, or no interpreter can run it.
    """
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.bundle.golden import MEMBER

    bundle = read_bundle(path)
    if MEMBER not in bundle.extras:
        words = f"{path} has no golden vectors, which the health check needs. Make the bundle again with this version."
        raise BundleError(words, "no_golden_vectors", path=path)
    return _measure_network(bundle, choice) if bundle.manifest.has_network else _measure_novelty(bundle)


def _measure_network(bundle: Bundle, choice: RuntimeChoice) -> Measured:
    import numpy as np

    from drsn_edge.bundle.bundle import network_of
    from drsn_edge.bundle.golden import golden_of
    from drsn_edge.bundle.open_model import open_classifier
    from drsn_edge.signal.network_input import network_input

    golden, contract = golden_of(bundle), bundle.manifest.contract
    assert golden is not None
    windows, inputs = golden.windows(), golden.network_input(contract)
    before = memory_bytes("VmRSS")
    classifier = open_classifier(bundle, choice)
    difference = classifier.codes(inputs).astype(np.int32) - golden.logits_q

    def judge_one(index: int) -> None:
        classifier.codes(network_input(windows[index : index + 1], contract, golden.speeds_hz[index : index + 1]))

    warm_ms = 1000 * np.array(_warm_times_s(judge_one, len(windows)))
    peak = memory_bytes("VmHWM")  # ru_maxrss would include the peak of the process that started this one
    _check_further_members(bundle, windows)
    return Measured(
        classifier.runtime,
        len(windows),
        _reference_differs(network_of(bundle, "it has no logits"), golden.inputs_q, golden.logits_q),
        float(np.sqrt(np.mean(np.square(difference, dtype=np.float64)))),
        int(np.abs(difference).max()),
        None,
        float(np.median(warm_ms)),
        float(np.quantile(warm_ms, 0.99)),
        max(peak - before, 0) / 1e6,
    )


def _measure_novelty(bundle: Bundle) -> Measured:
    """Return the measurements of a bundle without a network, whose novelty needs NumPy alone."""
    import numpy as np

    from drsn_edge.bundle.golden_novelty import golden_novelty_of
    from drsn_edge.bundle.open_model import novelty_of

    golden = golden_novelty_of(bundle)
    assert golden is not None
    windows, before = golden.windows(), memory_bytes("VmRSS")
    novelty = novelty_of(bundle)
    assert novelty is not None
    deviation = golden.deviation(novelty.novelty(windows))
    warm_ms = 1000 * np.array(_warm_times_s(lambda one: novelty.novelty(windows[one : one + 1]), len(windows)))
    peak = memory_bytes("VmHWM")
    _check_further_members(bundle, windows)
    return Measured(
        None, len(windows), None, None, None, deviation,
        float(np.median(warm_ms)), float(np.quantile(warm_ms, 0.99)), max(peak - before, 0) / 1e6,
    )  # fmt: skip


def _warm_times_s(judge_one: Callable[[int], object], n: int) -> list[float]:
    """Return the seconds that each call takes, over `n` windows again and again, without the first few calls."""
    times_s: list[float] = []
    until_s = time.monotonic() + _MOST_S
    while len(times_s) < _WARM_UP + _RUNS and (len(times_s) <= _WARM_UP or time.monotonic() < until_s):
        began = time.perf_counter()
        judge_one(len(times_s) % n)
        times_s.append(time.perf_counter() - began)
    return times_s[_WARM_UP:]


def _check_further_members(bundle: Bundle, windows: FloatArray) -> None:
    """Use the members beside the model as the monitor does; a crash ends only this process."""
    import numpy as np

    from drsn_edge.bundle.bundle import REPORT
    from drsn_edge.bundle.open_model import naming_of, novelty_of
    from drsn_edge.bundle.variants import EDGETPU_MODEL
    from drsn_edge.support.fields import parsed
    from quantize.tflite.file import read_model

    naming_of(bundle)
    novelty = novelty_of(bundle)
    if novelty is not None and not np.isfinite(novelty.novelty(windows)).all():
        words = "novelty.npz gives no finite numbers for the golden windows. Convert again."
        raise BundleError(words, "novelty_not_finite", member="novelty.npz")
    if EDGETPU_MODEL in bundle.extras:
        read_model(bundle.extras[EDGETPU_MODEL])
    try:
        parsed(bundle.extras.get(REPORT, b"{}"))
    except ValueError as exc:
        words = f"{REPORT} in the bundle is not valid JSON: {exc}. Inspect or convert the model again."
        raise BundleError(words, "not_json", member=REPORT) from exc


def _reference_differs(model: bytes, inputs_q: Any, expected_q: Any) -> int | None:
    from drsn_edge.errors import RuntimeUnavailableError
    from drsn_edge.runtime.classifier import Classifier

    try:
        engine = Classifier(model, "numpy")
    except RuntimeUnavailableError:
        return None
    return int((engine.codes_of(inputs_q) != expected_q).sum())


def memory_bytes(field: str) -> int:
    """Return a field of this process's status in bytes: VmRSS, resident now, or VmHWM, the peak so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise GateError(
        f"/proc/self/status of this machine has no {field}, so memory cannot be measured.", "no_memory_info"
    )


def judge(measured: Measured, tolerance: float, latency_ms: float | None, memory_mb: float | None) -> None:
    """Refuse measurements that exceed the limits of a manifest.

    Args:
        measured: Measurements on this machine.
        tolerance: Limit of the logits' deviation, RMS in int8 steps; without a network that of a novelty, in multiples
            of its limit.
        latency_ms: Limit of the time per window for 99 of 100 windows; None: no limit.
        memory_mb: Limit of the memory of interpreter and model, in 10^6 bytes; None: no limit.

    Raises:
        GateError: With the measurement and its limit.
    """
    if measured.reference_differs:
        raise GateError(
            f"The model gives {measured.reference_differs} other logits than the golden vectors of {measured.windows} "
            "windows: its weights have changed since they were made. Convert again.",
            "other_weights",
            got=measured.reference_differs,
        )
    if measured.worst_novelty is not None and not measured.worst_novelty <= tolerance:  # NaN is also refused
        raise GateError(
            f"The novelty of a golden window deviates by {measured.worst_novelty:.2g} of the limit on this machine, "
            f"and the bundle allows {tolerance:g}. Update NumPy, or make the bundle again.",
            "deviates",
            got=measured.worst_novelty,
            limit=tolerance,
        )
    if measured.rms_lsb is not None and measured.rms_lsb > tolerance:
        raise GateError(
            f"{measured.runtime} deviates from the golden vectors by {measured.rms_lsb:.2f} steps (RMS; at worst "
            f"{measured.worst_lsb}), and the bundle allows {tolerance:g}. Use another --runtime, or convert again.",
            "deviates",
            runtime=measured.runtime,
            got=measured.rms_lsb,
            worst=measured.worst_lsb,
            limit=tolerance,
        )
    _check_budget(measured, latency_ms, memory_mb)


def _check_budget(measured: Measured, latency_ms: float | None, memory_mb: float | None) -> None:
    if latency_ms is not None and measured.latency_p99_ms > latency_ms:
        instead = "a longer hop" if measured.runtime is None else "a smaller network, or a longer hop"
        raise GateError(
            f"{measured.by} takes {measured.latency_p99_ms:.3g} ms per window on this machine (99 of 100 "
            f"windows), and the bundle allows {latency_ms:g} ms. Use {instead}.",
            "over_latency_budget",
            got=measured.latency_p99_ms,
            limit=latency_ms,
        )
    if memory_mb is not None and measured.memory_mb > memory_mb:
        instead = "fewer references, or a shorter window" if measured.runtime is None else "a smaller network"
        raise GateError(
            f"{measured.by} takes {measured.memory_mb:.0f} MB with the model on this machine, and the bundle "
            f"allows {memory_mb:g} MB. Use {instead}.",
            "over_memory_budget",
            got=measured.memory_mb,
            limit=memory_mb,
        )


def run_gate(path: Path, choice: RuntimeChoice = AUTO, timeout_s: float = TIMEOUT_S) -> Measured:
    """Measure a bundle in a process of its own, and judge the measurements by its manifest.

    Raises:
        BundleError: If the file is not a bundle.
        GateError: If this machine does not run it as the manifest says; with the reason.
    """
    from drsn_edge.bundle.bundle import read_bundle

    manifest = read_bundle(path).manifest
    budget = manifest.budget
    measured = measured_apart(path, choice, timeout_s, None if budget is None else budget.memory_mb)
    tolerance = manifest.golden_tolerance_lsb if manifest.has_network else manifest.golden_tolerance_novelty
    judge(
        measured,
        float("inf") if tolerance is None else tolerance,
        None if budget is None else budget.latency_ms,
        None if budget is None else budget.memory_mb,
    )
    return measured


def measured_apart(
    path: Path, choice: RuntimeChoice = AUTO, timeout_s: float = TIMEOUT_S, memory_mb: float | None = None
) -> Measured:
    """Run a bundle's golden vectors in a process of its own.

    Args:
        path: File of the bundle.
        choice: Choice of the runtime.
        timeout_s: Time in seconds after which the process is stopped.
        memory_mb: Limit of the manifest; a process that uses far more is stopped.

    Raises:
        GateError: If it cannot be measured; with the reason.
    """
    room = _ROOM_BYTES + int(1e6 * (memory_mb or 0))
    arguments = (str(path), json.dumps(asdict(choice)), str(room))
    try:
        return Measured(**ask_apart("drsn_edge.gateway.health_gate", *arguments, timeout_s=timeout_s))
    except RefusedApartError as exc:
        raise GateError(str(exc), exc.problem, **{**exc.facts, "path": path}) from exc
    except TimeoutApartError as exc:
        words = (
            f"The golden vectors of {path} took longer than {timeout_s:g} s: this machine is too slow for the bundle."
        )
        raise GateError(words, "too_slow", path=path, limit_s=timeout_s) from exc
    except ApartError as exc:
        raise GateError(f"The model of {path} does not run here: {exc}", "crashed", path=path) from exc


def main(arguments: list[str]) -> None:
    """Answer the measurements of a bundle, or why it does not run."""
    from firmware_bridge.errors import FirmwareBridgeError
    from quantize.errors import QuantizeError

    path, choice, room = arguments
    resource.setrlimit(resource.RLIMIT_DATA, (int(room), int(room)))
    refusals = (DrsnEdgeError, QuantizeError, FirmwareBridgeError, MemoryError)
    answer_apart(lambda: asdict(measure(Path(path), RuntimeChoice(**json.loads(choice)))), refusals)


if __name__ == "__main__":
    main(sys.argv[1:])
