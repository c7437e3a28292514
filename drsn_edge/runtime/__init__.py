"""Running an int8 model on a gateway: scaled windows in, logits out. Never imports TensorFlow."""
