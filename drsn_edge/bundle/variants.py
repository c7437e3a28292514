"""Variants of a bundle's model for other processors than the CPU."""

from __future__ import annotations

from drsn_edge.bundle.bundle import Bundle, network_of, with_extra

EDGETPU_MODEL = "model_edgetpu.tflite"
"""Member of a bundle: `model.tflite` as edgetpu_compiler compiled it."""


def with_edgetpu(bundle: Bundle, compiled: bytes) -> Bundle:
    """Return the bundle with its variant for the Edge TPU; the signature is removed, since the bundle changes.

    Raises:
        BundleError: If the bundle has no network.
        TargetError: If the file is not compiled, or its model has other inputs or outputs.
        ModelFileError: If it is not a .tflite file.
    """
    from quantize.targets.edgetpu_compiler import check_compiled

    check_compiled(network_of(bundle, "it has no variant for an Edge TPU"), compiled)
    return with_extra(bundle, EDGETPU_MODEL, compiled)
