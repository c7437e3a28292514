"""What conditions a simulated machine can be in, for help that must not wait for NumPy."""

CONDITIONS = ("healthy", "imbalance", "misalignment", "outer_race", "inner_race", "ball")
"""They serve as labels."""
