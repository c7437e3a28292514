"""The same model for other processors, beside the one for every CPU."""

from __future__ import annotations

from drsn_edge.bundle.bundle import Bundle, with_extra
from quantize.targets.edgetpu_compiler import check_compiled

EDGETPU_MODEL = "model_edgetpu.tflite"
"""Member of a bundle: `model.tflite` as edgetpu_compiler made it."""


def with_edgetpu(bundle: Bundle, compiled: bytes) -> Bundle:
    """Return the bundle with its variant for the Edge TPU; a signature goes, since the bundle is another one.

    Raises:
        TargetError: If it is not compiled, or not of a model with these inputs and outputs.
        ModelFileError: If it is no .tflite file.
    """
    check_compiled(bundle.model, compiled)
    return with_extra(bundle, EDGETPU_MODEL, compiled)
