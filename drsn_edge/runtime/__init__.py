"""Running an int8 model on a gateway. Never imports TensorFlow."""
