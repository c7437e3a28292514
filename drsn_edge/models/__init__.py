"""The DRSN family: a network is a `DrsnConfig`, and `build_model` makes the Keras model of it."""
