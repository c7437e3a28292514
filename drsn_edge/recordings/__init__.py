"""Recordings: files in, evenly sampled stretches of vibration with their labels and origin out."""
