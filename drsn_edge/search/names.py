"""Names that help texts and the library share; this module imports nothing, so that help texts are quick."""

TARGETS = ("gateway", "sensor")
"""What the network is for: a gateway runs every candidate, a sensor those on waveforms."""
