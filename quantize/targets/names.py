"""What a file can be judged for, for help that must not wait for NumPy."""

TARGETS = ("cpu", "edgetpu", "tflite-runtime")
