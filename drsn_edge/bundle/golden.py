"""Golden vectors: real windows and their logits, by which a gateway verifies its own interpreter.

The logits come from the NumPy engine, which computes in the same integer arithmetic as TFLite's reference kernels: the
same input codes give the same logits on every machine. The input codes are stored as well, since scaling and spectra
use floating point, whose last bit differs between machines. Interpreters with faster kernels deviate by a step or two;
the manifest has the tolerance, measured from the windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.manifest import Manifest
from drsn_edge.errors import BundleError
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.windows import FloatArray
from drsn_edge.support.arrays import MAX_ARRAYS_BYTES, Form, archive_of, typed_arrays
from drsn_edge.support.invalid import InvalidValueError

MEMBER = "golden.npz"
_FORMS = {
    "counts": Form(np.int16, 3),
    "scales": Form(np.float64, 1, exact=True),
    "speeds_hz": Form(np.float64, 1, exact=True),
    "inputs_q": Form(np.int8, 4),
    "logits_q": Form(np.int8, 2),
}
MOST_WINDOWS, FEWEST_WINDOWS = 16, 4
_MOST_BYTES = 65_536
"""Limit of counts and codes together, so that golden vectors stay the smaller part of a bundle."""

TOLERANCE_LSB = 3.0
"""Tolerance in int8 steps, RMS. LiteRT's fast kernels were 1.05 to 1.33 steps off over 1000 windows of CWRU and ADI
(docs/INT8.md)."""


@dataclass(frozen=True)
class Golden:
    """Windows and the logits of a model.

    Attributes:
        counts: Windows, shape (n, window, axes), int16 like a sensor's counts.
        scales: Unit of the contract per count of each window, shape (n,).
        speeds_hz: Speed of the shaft, shape (n,); NaN if unknown and not needed.
        inputs_q: Input of the network, shape (n, 1, steps, channels), int8.
        logits_q: Logits, shape (n, classes), int8.
    """

    counts: NDArray[np.int16]
    scales: NDArray[np.float64]
    speeds_hz: NDArray[np.float64]
    inputs_q: NDArray[np.int8]
    logits_q: NDArray[np.int8]

    def windows(self) -> FloatArray:
        """Return the windows in the contract's unit, shape (n, window, axes)."""
        return in_unit(self.counts, self.scales)

    def network_input(self, contract: SignalContract) -> FloatArray:
        """Return the network's input of these windows, shape (n, 1, steps, channels)."""
        return network_input(self.windows(), contract, self.speeds_hz)


def make_golden(
    model: bytes, contract: SignalContract, windows: FloatArray, speeds_hz: NDArray[np.float64] | None
) -> Golden:
    """Return golden vectors of a model, made of some of these windows.

    Args:
        model: The int8 .tflite file.
        contract: Signal contract of the model.
        windows: Shape (n, window, axes), in the contract's unit.
        speeds_hz: Speed of the shaft, shape (n,); None: unknown.
    """
    steps, channels = contract.input_shape
    chosen = some_of(len(windows), contract, steps * channels)
    counts, scales = as_counts(windows[chosen])
    speeds = np.full(len(chosen), np.nan) if speeds_hz is None else np.asarray(speeds_hz, np.float64)[chosen]
    nothing = np.zeros(0, np.int8)
    engine = Classifier(model, "numpy")
    inputs_q = engine.quantized(Golden(counts, scales, speeds, nothing, nothing).network_input(contract))
    return Golden(counts, scales, speeds, inputs_q, engine.codes_of(inputs_q))


def some_of(n_windows: int, contract: SignalContract, further_bytes: int = 0) -> NDArray[np.int64]:
    """Return the indices of the windows that golden vectors are made of, spread over all.

    Args:
        n_windows: Number of windows, at least 1.
        contract: Signal contract of the windows.
        further_bytes: Bytes that a golden vector takes beside the counts of its window.
    """
    fitting = _MOST_BYTES // (2 * contract.window * len(contract.axes) + further_bytes)
    n = min(max(fitting, FEWEST_WINDOWS), MOST_WINDOWS, n_windows)
    return np.unique(np.linspace(0, n_windows - 1, n).astype(np.int64))


def as_counts(windows: FloatArray) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Return windows, shape (n, window, axes), as a sensor's counts, and the unit per count of each, shape (n,)."""
    exact = windows.astype(np.float64)
    scales = np.maximum(np.abs(exact).max(axis=(1, 2)), np.finfo(np.float32).tiny) / 32_767
    return np.rint(exact / scales[:, None, None]).astype(np.int16), scales


def in_unit(counts: NDArray[np.int16], scales: NDArray[np.float64]) -> FloatArray:
    """Return counts, shape (n, window, axes), with the unit per count of each, shape (n,), in the contract's unit."""
    return (counts * scales[:, None, None]).astype(np.float32)


def golden_of(bundle: Bundle) -> Golden | None:
    """Return the golden vectors of a bundle with a network; None if it has none.

    Raises:
        BundleError: If they are damaged or do not fit the manifest.
    """
    data = bundle.extras.get(MEMBER)
    return None if data is None else golden_from_bytes(data, bundle.manifest)


def golden_to_bytes(golden: Golden) -> bytes:
    """Return the bytes of the member; the same vectors give the same bytes."""
    return archive_of(**vars(golden))


def golden_from_bytes(data: bytes, manifest: Manifest) -> Golden:
    """Return the vectors in a member's bytes.

    Raises:
        BundleError: If they are damaged or do not fit the manifest.
    """
    contract = manifest.contract
    golden = Golden(**golden_arrays(data, _FORMS))
    n = len(golden.counts)
    shapes = {
        "counts": (n, contract.window, len(contract.axes)),
        "scales": (n,),
        "speeds_hz": (n,),
        "inputs_q": (n, 1, *contract.input_shape),
        "logits_q": (n, len(manifest.labels)),
    }
    check_golden(vars(golden), shapes)
    return golden


def golden_arrays(data: bytes, forms: Mapping[str, Form]) -> dict[str, NDArray[Any]]:
    """Return the arrays in a member's bytes, each in its form.

    Raises:
        BundleError: If they are damaged.
    """
    try:
        return typed_arrays(data, MAX_ARRAYS_BYTES, forms)
    except InvalidValueError as exc:
        words = f"Could not read the golden vectors in {MEMBER}: {exc}. Copy or make the bundle again."
        raise BundleError(words, exc.problem, **{**exc.facts, "member": MEMBER}) from exc


def check_golden(arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse golden vectors with other shapes, too many windows, or impossible scales.

    Args:
        arrays: `counts`, `scales` and further arrays, by name.
        shapes: Shapes that the manifest needs, by name of the array.

    Raises:
        BundleError: With the array and what is allowed.
    """
    for name, shape in shapes.items():
        found = arrays[name].shape
        if found != shape or not 0 < len(arrays["counts"]) <= MOST_WINDOWS:
            words = f"{name} in {MEMBER} has the shape {found}, but the manifest needs {shape}. Make the bundle again."
            raise BundleError(words, "golden_shape", member=MEMBER, array=name, expected=shape, got=found)
    scales = arrays["scales"]
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        words = f"scales in {MEMBER} must be finite and above 0, but some are not. Make the bundle again."
        raise BundleError(words, "golden_scales", member=MEMBER)
