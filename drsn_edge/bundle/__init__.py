"""Bundles, a model with everything that gives it a meaning on a gateway: bytes in, what judges windows out."""
