"""Training on a workstation: recordings in, a run folder out. The only part that needs TensorFlow."""
