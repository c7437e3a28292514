"""Sensors without hardware: waveforms in, the bytes of a device out, with any fault that is asked for."""
