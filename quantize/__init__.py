"""int8 for residual shrinkage networks: the soft threshold, the conversion, and what proves it.

Importing this package, `quantize.tflite_file`, `quantize.lint` and `quantize.inspection` needs NumPy only;
`quantize.soft_threshold` needs Keras and `quantize.convert` needs TensorFlow.
"""
