"""Defaults of a report, for help that must not wait for NumPy."""

WINDOWS = 256
"""Windows that a report is made of at most."""
