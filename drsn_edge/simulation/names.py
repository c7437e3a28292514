"""Names of the conditions of a simulated machine, for help that must not wait for NumPy."""

CONDITIONS = ("healthy", "imbalance", "misalignment", "outer_race", "inner_race", "ball")
"""The labels of simulated recordings."""
