"""Signals with NumPy alone: samples and windows in, units, quality, spectra, vibration and novelty out."""
