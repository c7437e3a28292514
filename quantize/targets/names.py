"""Targets that a file can be checked for; this module imports nothing, so that help texts are quick."""

TARGETS = ("cpu", "edgetpu", "tflite-runtime")
