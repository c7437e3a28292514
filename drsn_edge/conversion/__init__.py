"""From a run to a bundle: a run folder in; int8 models, golden vectors and a manifest out. Needs TensorFlow."""
