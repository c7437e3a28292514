"""Names of the suites; this module imports nothing, so that help texts are quick."""

SUITES = ("paper", "splits")
"""Suites of protocols; see `drsn_edge.reproduce.protocols`."""
