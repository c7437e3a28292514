"""Names and choices of runtimes; help texts use them without loading an interpreter."""

from __future__ import annotations

from dataclasses import dataclass

EDGETPU = "edgetpu"
RUNTIMES = ("auto", EDGETPU, "litert", "tflite-runtime", "numpy")
"""`auto` takes the first that is installed; a named runtime never falls back. `numpy` is the slow last resort."""

DISTRIBUTIONS = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime", "numpy": "numpy"}
"""Python package of each runtime."""

EDGETPU_LIBRARY = "libedgetpu.so.1"
FALLBACKS = ("none", "cpu")

Delegate = tuple[str, str | None]
"""Library and device of an Edge TPU; see `drsn_edge.runtime.interpreters.open_delegate`."""


@dataclass(frozen=True)
class RuntimeChoice:
    """The choice of a runtime for a bundle; see `drsn_edge.bundle.open_model.open_classifier`.

    Attributes:
        runtime: One of `RUNTIMES`.
        threads: Number of CPU threads.
        fallback: "cpu": if `edgetpu` does not work, run the model on the CPU; "none": fail.
        edgetpu_library: Name or path of libedgetpu.
        edgetpu_device: Device, such as "usb", "usb:1" or "pci:0"; None: any.
    """

    runtime: str = "auto"
    threads: int = 1
    fallback: str = "none"
    edgetpu_library: str = EDGETPU_LIBRARY
    edgetpu_device: str | None = None


AUTO = RuntimeChoice()
