"""What suites there are, for help that must not wait for NumPy."""

SUITES = ("paper", "splits")
"""The protocols of each are in `drsn_edge.reproduce.protocols`."""
