"""What kinds there are of noise and of scaling, for help and settings that must not wait for NumPy."""

NOISE_KINDS = ("gaussian", "laplacian", "pink", "impulsive")
"""Each is made in `drsn_edge.signal.noise`."""

SCALINGS = ("rms", "fixed")
"""Each is told in `drsn_edge.signal.windows.Scaling`."""
