"""Networks as graphs: a Keras model in, the same network in a form that int8 suits out."""
