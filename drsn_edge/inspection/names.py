"""Defaults of a report; this module imports nothing, so that help texts are quick."""

WINDOWS = 256
"""Highest number of hold-out windows in a report, unless the user asks for more."""
