"""int8 for residual shrinkage networks: the soft threshold, the conversion, and what proves it.

Importing this package, its reader, its lint, `quantize.engine`, `quantize.backends` and `quantize.inspection` needs
NumPy only; `quantize.training.soft_threshold` needs Keras and `quantize.convert` needs TensorFlow.
"""
