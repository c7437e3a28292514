"""Golden vectors: real windows with the logits that they give, so that a gateway can prove its own interpreter.

The logits are those of the NumPy engine, whose integer arithmetic is that of TFLite's reference kernels: of the same
input codes, the same on every machine. The codes themselves are kept as well, since scaling and spectra are in floating
point, whose last bit is another one here and there. An interpreter with faster kernels rounds by a step or two; the
manifest says how far it may be, from the windows on.
"""

from __future__ import annotations

from dataclasses import dataclass

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
"""Of counts and codes: the windows should not be the larger part of a bundle."""

TOLERANCE_LSB = 3.0
"""RMS. LiteRT's fast kernels were 1.05 to 1.33 steps from the reference over 1000 windows of CWRU and ADI
(docs/INT8.md)."""


@dataclass(frozen=True)
class Golden:
    """Windows and what a model says of them.

    Attributes:
        counts: Shape (n, window, axes), int16 as a sensor's.
        scales: Unit of the contract per count of each window, shape (n,).
        speeds_hz: Of the shaft, shape (n,); NaN where it is not known and not needed.
        inputs_q: What the network was given of them, shape (n, 1, steps, channels), int8.
        logits_q: Shape (n, classes), int8.
    """

    counts: NDArray[np.int16]
    scales: NDArray[np.float64]
    speeds_hz: NDArray[np.float64]
    inputs_q: NDArray[np.int8]
    logits_q: NDArray[np.int8]

    def windows(self) -> FloatArray:
        """Return the windows in the contract's unit, shape (n, window, axes)."""
        return (self.counts * self.scales[:, None, None]).astype(np.float32)

    def network_input(self, contract: SignalContract) -> FloatArray:
        """Return what the network sees of them, shape (n, 1, steps, channels)."""
        return network_input(self.windows(), contract, self.speeds_hz)


def make_golden(
    model: bytes, contract: SignalContract, windows: FloatArray, speeds_hz: NDArray[np.float64] | None
) -> Golden:
    """Return golden vectors of a model, of some of these windows.

    Args:
        model: The int8 .tflite file.
        contract: What it was trained on.
        windows: Shape (n, window, axes), in the contract's unit.
        speeds_hz: Of the shaft, shape (n,); None: not known.
    """
    steps, channels = contract.input_shape
    fitting = _MOST_BYTES // (2 * contract.window * len(contract.axes) + steps * channels)
    n = min(max(fitting, FEWEST_WINDOWS), MOST_WINDOWS, len(windows))
    chosen = np.unique(np.linspace(0, len(windows) - 1, n).astype(int))
    picked = windows[chosen].astype(np.float64)
    scales = np.maximum(np.abs(picked).max(axis=(1, 2)), np.finfo(np.float32).tiny) / 32_767
    counts = np.rint(picked / scales[:, None, None]).astype(np.int16)
    speeds = np.full(len(chosen), np.nan) if speeds_hz is None else np.asarray(speeds_hz, np.float64)[chosen]
    nothing = np.zeros(0, np.int8)
    engine = Classifier(model, "numpy")
    inputs_q = engine.quantized(Golden(counts, scales, speeds, nothing, nothing).network_input(contract))
    return Golden(counts, scales, speeds, inputs_q, engine.codes_of(inputs_q))


def golden_of(bundle: Bundle) -> Golden | None:
    """Return the golden vectors of a bundle, None where it has none.

    Raises:
        BundleError: If they are damaged or do not fit the manifest.
    """
    data = bundle.extras.get(MEMBER)
    return None if data is None else golden_from_bytes(data, bundle.manifest)


def golden_to_bytes(golden: Golden) -> bytes:
    """Return the member; the same vectors give the same bytes."""
    return archive_of(**vars(golden))


def golden_from_bytes(data: bytes, manifest: Manifest) -> Golden:
    """Return the vectors in a member's bytes.

    Raises:
        BundleError: If they are damaged or do not fit the manifest.
    """
    contract = manifest.contract
    try:
        golden = Golden(**typed_arrays(data, MAX_ARRAYS_BYTES, _FORMS))
    except ValueError as exc:
        raise BundleError(f"Expected golden vectors in {MEMBER}, could not read them: {exc}.") from exc
    n = len(golden.counts)
    shapes = {
        "counts": (n, contract.window, len(contract.axes)),
        "scales": (n,),
        "speeds_hz": (n,),
        "inputs_q": (n, 1, *contract.input_shape),
        "logits_q": (n, len(manifest.labels)),
    }
    for name, shape in shapes.items():
        found = getattr(golden, name).shape
        if found != shape or not 0 < n <= MOST_WINDOWS:
            raise BundleError(f"Expected {name} in {MEMBER} of shape {shape}, got {found}.")
    if not (np.isfinite(golden.scales).all() and (golden.scales > 0).all()):
        raise BundleError(f"Expected scales > 0 in {MEMBER}, got others.")
    return golden
