"""What can run a model, and what shall: names and choices, for help that must not wait for an interpreter."""

from __future__ import annotations

from dataclasses import dataclass

EDGETPU = "edgetpu"
RUNTIMES = ("auto", EDGETPU, "litert", "tflite-runtime", "numpy")
"""`auto` takes the first that is there; a named one never falls back. NumPy alone is the last resort: slower."""

DISTRIBUTIONS = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime", "numpy": "numpy"}
"""The installed package behind each."""

EDGETPU_LIBRARY = "libedgetpu.so.1"
FALLBACKS = ("none", "cpu")

Delegate = tuple[str, str | None]
"""Library and device of an Edge TPU; see `drsn_edge.runtime.interpreters.open_delegate`."""


@dataclass(frozen=True)
class RuntimeChoice:
    """What shall run a bundle; `drsn_edge.bundle.open_model.open_classifier` heeds it.

    Attributes:
        runtime: One of `RUNTIMES`.
        threads: Of the processor.
        fallback: "cpu": where `edgetpu` does not come up, go on as `auto` does without one; "none": do not.
        edgetpu_library: Name or path of libedgetpu.
        edgetpu_device: Such as "usb", "usb:1" or "pci:0"; None: any.
    """

    runtime: str = "auto"
    threads: int = 1
    fallback: str = "none"
    edgetpu_library: str = EDGETPU_LIBRARY
    edgetpu_device: str | None = None


AUTO = RuntimeChoice()
