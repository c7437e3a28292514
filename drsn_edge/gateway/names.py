"""Names and defaults of the gateway that help texts and library share."""

from __future__ import annotations

TRIAL_S = 300.0
"""Time in seconds that a flashed bundle must work before it is confirmed."""
