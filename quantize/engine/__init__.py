"""The int8 network in integers: a .tflite file run by NumPy alone, bit for bit as TFLite's reference kernels do it.

Read it as the specification of what the file computes: `fixed_point` holds the arithmetic, one module each the
families of operators, `engine` the graph. Each function names the TFLite source that it follows. The reference kernels
are those of `OpResolverType.BUILTIN_REF`; the optimised ones and XNNPACK round differently in places.
"""

from quantize.engine.engine import Engine

__all__ = ["Engine"]
