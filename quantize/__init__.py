"""int8 for residual shrinkage networks: the soft threshold, the conversion, and the tools that verify it.

Importing this package, `quantize.tflite`, `quantize.targets`, `quantize.engine`, `quantize.backends` and
`quantize.inspection` needs NumPy only. `quantize.network` and `quantize.training` need Keras, `quantize.convert` needs
TensorFlow.
"""
