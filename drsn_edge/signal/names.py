"""Names of the kinds of noise and of scaling, for help and settings that must not wait for NumPy."""

NOISE_KINDS = ("gaussian", "laplacian", "pink", "impulsive")
"""Kinds of noise; `drsn_edge.signal.noise` makes them."""

SCALINGS = ("rms", "fixed")
"""Kinds of scaling; `drsn_edge.signal.windows.Scaling` describes them."""
