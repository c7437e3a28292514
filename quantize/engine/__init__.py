"""The int8 network in integers: a .tflite file run by NumPy alone, with the same bits as TFLite's reference kernels.

This room is the specification of what the file computes: `fixed_point` holds the arithmetic, one module for each family
of operators their kernels, `engine` the graph. Each function names the TFLite source that it follows. The reference
kernels are those of `OpResolverType.BUILTIN_REF`; the optimised kernels and XNNPACK round differently in some places.
"""

from quantize.engine.engine import Engine

__all__ = ["Engine"]
