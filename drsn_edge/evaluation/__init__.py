"""Judging a trained network or a bundle on labelled windows, the same figures for both. No TensorFlow for a bundle."""
