"""Networks as graphs: a Keras model in, the same network in a form that suits int8 out."""
