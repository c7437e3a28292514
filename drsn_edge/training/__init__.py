"""Training on a workstation: windows in, a run folder out. Needs TensorFlow."""
