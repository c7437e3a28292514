"""Sensors without hardware: waveforms in, the bytes of a device out, with faults on request."""
