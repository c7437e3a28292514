"""Bundles: a model together with everything that gives it a meaning on a gateway."""
