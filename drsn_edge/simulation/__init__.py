"""Simulated machines and sensors: a machine and its condition in, recordings and streams out."""
