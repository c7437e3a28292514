"""What a signal is and what is known of a window by NumPy alone: samples in, units, quality, spectra, novelty out."""
