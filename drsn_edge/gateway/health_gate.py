"""The health gate: does this machine, with its own interpreter, run a bundle as its manifest says?

The bundle runs in a process of its own, so that a model that kills its interpreter, eats the memory or never returns
kills nothing else. This module is also that process' main program: it answers what it measured, and judges nothing.
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
"""Of memory beside the budget, for Python and its libraries, before the process is stopped."""


@dataclass(frozen=True)
class Measured:
    """What a bundle did on this machine.

    Attributes:
        runtime: Name of the interpreter.
        windows: How many golden vectors there are.
        reference_differs: Logits in which the NumPy engine differs from them; None: it does not run this model.
        rms_lsb: How far the interpreter is from them, RMS over all logits, in steps of int8.
        worst_lsb: The farthest.
        latency_ms: Of a window, preprocessing included: the median.
        latency_p99_ms: 99 in 100 take no longer.
        memory_mb: Resident memory of interpreter and model at its highest.
    """

    runtime: str
    windows: int
    reference_differs: int | None
    rms_lsb: float
    worst_lsb: int
    latency_ms: float
    latency_p99_ms: float
    memory_mb: float


def measure(path: Path, choice: RuntimeChoice) -> Measured:
    """Run a bundle's golden vectors here and now; the process is spent afterwards, as memory is measured at its peak.

    Raises:
        DrsnEdgeError: If it is no bundle, has none, or no interpreter takes it.
    """
    import numpy as np

    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.bundle.golden import golden_of
    from drsn_edge.bundle.open_model import open_classifier
    from drsn_edge.signal.network_input import network_input

    bundle = read_bundle(path)
    golden = golden_of(bundle)
    if golden is None:
        raise BundleError("Expected golden vectors in the bundle, got none. Convert again with this version.")
    contract = bundle.manifest.contract
    windows, inputs = golden.windows(), golden.network_input(contract)
    before = memory_bytes("VmRSS")
    classifier = open_classifier(bundle, choice)
    difference = classifier.codes(inputs).astype(np.int32) - golden.logits_q

    def judge_one(index: int) -> None:
        classifier.codes(network_input(windows[index : index + 1], contract, golden.speeds_hz[index : index + 1]))

    warm_ms = 1000 * np.array(_warm_times_s(judge_one, len(windows)))
    peak = memory_bytes("VmHWM")  # ru_maxrss would have the highest of the process that started this one
    _check_further_members(bundle, windows)
    return Measured(
        classifier.runtime,
        len(windows),
        _reference_differs(bundle.model, golden.inputs_q, golden.logits_q),
        float(np.sqrt(np.mean(np.square(difference, dtype=np.float64)))),
        int(np.abs(difference).max()),
        float(np.median(warm_ms)),
        float(np.quantile(warm_ms, 0.99)),
        max(peak - before, 0) / 1e6,
    )


def _warm_times_s(judge_one: Callable[[int], object], n: int) -> list[float]:
    """Return the seconds that each call takes, of `n` windows over and over, after the first few."""
    times_s: list[float] = []
    until_s = time.monotonic() + _MOST_S
    while len(times_s) < _WARM_UP + _RUNS and (len(times_s) <= _WARM_UP or time.monotonic() < until_s):
        began = time.perf_counter()
        judge_one(len(times_s) % n)
        times_s.append(time.perf_counter() - began)
    return times_s[_WARM_UP:]


def _check_further_members(bundle: Bundle, windows: FloatArray) -> None:
    """Use the members beside the model as the monitor does, here, where they can end no process but this one."""
    import numpy as np

    from drsn_edge.bundle.bundle import REPORT
    from drsn_edge.bundle.open_model import novelty_of
    from drsn_edge.bundle.variants import EDGETPU_MODEL
    from drsn_edge.support.fields import parsed
    from quantize.tflite.file import read_model

    novelty = novelty_of(bundle)
    if novelty is not None and not np.isfinite(novelty.novelty(windows)).all():
        raise BundleError("Expected novelty.npz to judge the golden windows, it gives no numbers. Convert again.")
    if EDGETPU_MODEL in bundle.extras:
        read_model(bundle.extras[EDGETPU_MODEL])
    try:
        parsed(bundle.extras.get(REPORT, b"{}"))
    except ValueError as exc:
        raise BundleError(f"Expected JSON in {REPORT} of the bundle, got something else: {exc}.") from exc


def _reference_differs(model: bytes, inputs_q: Any, expected_q: Any) -> int | None:
    from drsn_edge.errors import RuntimeUnavailableError
    from drsn_edge.runtime.classifier import Classifier

    try:
        engine = Classifier(model, "numpy")
    except RuntimeUnavailableError:
        return None
    return int((engine.codes_of(inputs_q) != expected_q).sum())


def memory_bytes(field: str) -> int:
    """Return a field of this process' status: VmRSS, resident now, or VmHWM, the most so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise GateError("Expected a Linux that says how much memory a process has, this one does not.")


def judge(measured: Measured, tolerance_lsb: float, latency_ms: float | None, memory_mb: float | None) -> None:
    """Refuse what a manifest does not allow.

    Args:
        measured: On this machine.
        tolerance_lsb: RMS of the logits' difference, in steps of int8.
        latency_ms: Of 99 windows in 100; None: any.
        memory_mb: Of interpreter and model; None: any.

    Raises:
        GateError: Saying what, how much, and what was allowed.
    """
    if measured.reference_differs:
        raise GateError(
            f"Expected the golden vectors of {measured.windows} windows, {measured.reference_differs} logits are "
            "others: the weights are not those that were judged. Convert again."
        )
    if measured.rms_lsb > tolerance_lsb:
        raise GateError(
            f"Expected {measured.runtime} within {tolerance_lsb:g} steps (RMS) of the golden vectors, it is "
            f"{measured.rms_lsb:.2f} away, {measured.worst_lsb} at worst. Use another --runtime, or convert again."
        )
    if latency_ms is not None and measured.latency_p99_ms > latency_ms:
        raise GateError(
            f"Expected at most {latency_ms:g} ms for a window, {measured.runtime} takes "
            f"{measured.latency_p99_ms:.3g} ms here (99 in 100). Use a smaller network, or a longer hop."
        )
    if memory_mb is not None and measured.memory_mb > memory_mb:
        raise GateError(
            f"Expected at most {memory_mb:g} MB for interpreter and model, {measured.runtime} takes "
            f"{measured.memory_mb:.0f} MB here. Use a smaller network."
        )


def run_gate(path: Path, choice: RuntimeChoice = AUTO, timeout_s: float = TIMEOUT_S) -> Measured:
    """Measure a bundle in a process of its own, and judge it by its manifest.

    Raises:
        BundleError: If it is no bundle.
        GateError: If this machine does not run it as it should; saying why.
    """
    from drsn_edge.bundle.bundle import read_bundle

    manifest = read_bundle(path).manifest
    budget = manifest.budget
    measured = measured_apart(path, choice, timeout_s, None if budget is None else budget.memory_mb)
    tolerance = manifest.golden_tolerance_lsb
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
        path: Of the bundle.
        choice: What shall run it.
        timeout_s: When the process is stopped.
        memory_mb: What its manifest allows; with a good deal more the process is stopped.

    Raises:
        GateError: If it cannot be measured; saying why.
    """
    room = _ROOM_BYTES + int(1e6 * (memory_mb or 0))
    arguments = (str(path), json.dumps(asdict(choice)), str(room))
    try:
        return Measured(**ask_apart("drsn_edge.gateway.health_gate", *arguments, timeout_s=timeout_s))
    except RefusedApartError as exc:
        raise GateError(str(exc)) from exc
    except TimeoutApartError as exc:
        raise GateError(f"Expected the golden vectors within {timeout_s:g} s, they took longer: too slow.") from exc
    except ApartError as exc:
        raise GateError(f"Expected the model to run here, {exc}") from exc


def main(arguments: list[str]) -> None:
    """Answer what a bundle does here, or why it does not."""
    from firmware_bridge.errors import FirmwareBridgeError
    from quantize.errors import QuantizeError

    path, choice, room = arguments
    resource.setrlimit(resource.RLIMIT_DATA, (int(room), int(room)))
    refusals = (DrsnEdgeError, QuantizeError, FirmwareBridgeError, MemoryError)
    answer_apart(lambda: asdict(measure(Path(path), RuntimeChoice(**json.loads(choice)))), refusals)


if __name__ == "__main__":
    main(sys.argv[1:])
